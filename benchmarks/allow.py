"""An allowed call: what signoff adds to it, and that it writes nothing on its path.

An agent makes many calls in one turn, so that what one call costs shows above the noise
of a whole run: with LangChain's own no-op wrapper, then with a policy that allows.

The target is about one core. Where the threads of a turn may move between two, the
interpreter's lock moves with them, and the same code costs up to twice as much, once
more and once less from run to run: that is measured too, and judged by nobody.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, Final

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ToolCallRequest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel
from langgraph.types import Command
from sqlalchemy import event

from benchmarks.measure import Turn, paired, save, table
from benchmarks.places import DATABASES, place
from signoff import Policy, Signoff, allow
from signoff.langgraph import SignoffMiddleware
from tests.langgraph.agents import Scripted, call, turn

NAME: Final = "allow"
TARGET_US: Final = 100.0
CALLS: Final = 50
ROUNDS: Final = 200
WARM_UP: Final = 20
PLAIN: Final = "no-op wrapper"
OURS: Final = "signoff, allow"
IN_THREAD: Final = "added_in_the_callers_thread_us"
BEHIND: Final = ("signoff-recorder", "signoff-pauses")

Result = ToolMessage | Command[Any]
Handler = Callable[[ToolCallRequest], Result]
Wrap = Callable[[ToolCallRequest, Handler], Result]


@tool
def look(what: str) -> str:
    """Look something up."""
    return f"found {what}"


class NoOp(AgentMiddleware[Any, Any, Any]):
    """A tool-call wrapper that does nothing."""

    def wrap_tool_call(self, request: ToolCallRequest, handler: Handler) -> Result:
        """Run the call."""
        return handler(request)


def run() -> None:
    """Measure on both databases, print and save."""
    found = {}
    for database in DATABASES:
        with _on_one_core():
            found[database] = _measure(database)
        free = _measure(database)
        found[database]["the_same_on_all_cores_us"] = free[IN_THREAD]
    met = all(
        one[IN_THREAD] <= TARGET_US and one["statements_on_the_callers_path"] == 0
        for one in found.values()
    )
    rows = [(database, *one.values()) for database, one in found.items()]
    table(("database", *next(iter(found.values()))), rows)
    print(f"target: at most {TARGET_US:g} us, no statement: {_word(met=met)}")
    result = {"target_us": TARGET_US, "met": met, "calls_a_run": CALLS}
    save(NAME, {**result, "rounds": ROUNDS, "per_call": found})


@contextmanager
def _on_one_core() -> Iterator[None]:
    """Keep this thread, and those that it starts, on one core; on Linux."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(every)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def _word(*, met: bool) -> str:
    return "met" if met else "MISSED"


def _measure(database: str) -> dict[str, float]:
    with place(database) as here:
        so = Signoff(here.url(), policy=Policy([allow("look")]))
        caller: dict[str, list[float]] = {PLAIN: [], OURS: []}
        sides = {
            PLAIN: _turn(NoOp(), caller[PLAIN]),
            OURS: _turn(SignoffMiddleware(so), caller[OURS]),
        }
        sides[OURS](-WARM_UP - 1)  # the first call of a process reads the pauses itself
        with _watched(so) as threads:
            times = paired(
                sides, rounds=ROUNDS, warm_up=WARM_UP, say=f"allow, {database}"
            )
            on_path = [name for name in threads if name not in BEHIND]
        so.flush()
        _check(so)
        so.close()
    pairs = zip(times[OURS].cpu, times[PLAIN].cpu, strict=True)
    whole = median(one - other for one, other in pairs) / CALLS
    within = median(caller[OURS]) - median(caller[PLAIN])
    return {
        IN_THREAD: round(within * 1e6, 1),
        "added_to_the_whole_process_us": round(whole * 1e6, 1),
        "statements_on_the_callers_path": len(on_path),
    }


def _turn(middleware: AgentMiddleware[Any, Any, Any], seconds: list[float]) -> Turn:
    vars(middleware)["wrap_tool_call"] = _timed(middleware.wrap_tool_call, seconds)
    calls = [call("look", f"c{n}", what=f"thing {n}") for n in range(CALLS)]
    agent: Pregel[Any] = create_agent(
        Scripted(turns=[turn(*calls)]),
        [look],
        middleware=[middleware],
        checkpointer=InMemorySaver(),
    )

    def take(number: int) -> None:
        config: RunnableConfig = {"configurable": {"thread_id": f"t{number}"}}
        done = agent.invoke({"messages": [HumanMessage("go")]}, config)
        if len(done["messages"]) != CALLS + 3:
            raise AssertionError(f"not every call was answered: {done}")

    return take


def _timed(wrap: Wrap, seconds: list[float]) -> Wrap:
    """The wrapper, noting its own CPU time: in its thread, without the tool's."""

    def run(request: ToolCallRequest, handler: Handler) -> Result:
        inside = 0.0

        def work(inner: ToolCallRequest) -> Result:
            nonlocal inside
            began = time.thread_time()
            result = handler(inner)
            inside = time.thread_time() - began
            return result

        began = time.thread_time()
        result = wrap(request, work)
        seconds.append(time.thread_time() - began - inside)
        return result

    return run


@contextmanager
def _watched(so: Signoff) -> Iterator[list[str]]:
    """The name of the thread that executed each statement on the store."""
    threads: list[str] = []

    def note(*_: object) -> None:
        threads.append(threading.current_thread().name)

    store: Any = so.store
    event.listen(store.engine, "before_cursor_execute", note)
    yield threads
    event.remove(store.engine, "before_cursor_execute", note)


def _check(so: Signoff) -> None:
    """Every call is in the ledger, though nobody waited for it."""
    with so.store.reading() as reading:
        kinds = [event.fact.kind for event in reading.events(f"t{ROUNDS - 1}")]
    if kinds != ["allowed"] * CALLS:
        raise AssertionError(f"not every call was recorded: {kinds}")
