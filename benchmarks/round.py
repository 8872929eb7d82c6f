"""The whole round: propose, pause, decide, resume, execute, journal.

Against LangChain's own middleware in `per_call` mode, on the same kind of checkpointer.
LangChain's side has no store, no recorded decision and no journal; ours has them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt

from benchmarks.measure import Times, Turn, milliseconds, paired, ratio, save, table
from benchmarks.places import DATABASES, Place, place
from signoff import Approve, Policy, Principal, Signoff, review
from signoff.langgraph import Runner, SignoffMiddleware
from tests.langgraph.agents import Scripted, call, turn

NAME: Final = "round"
ROUNDS: Final = 240
WARM_UP: Final = 20
TARGET: Final = 1.5
THEIRS: Final = "langchain per_call"
OURS: Final = "signoff"
MARIA: Final = Principal(id="maria@example.com")


@tool
def pay(amount: float, to: str = "ana") -> str:
    """Pay an amount."""
    return f"paid {amount} to {to}"


def run() -> None:
    """Measure on both databases, print and save."""
    found = {database: _measure(database) for database in DATABASES}
    ratios = {
        database: {side: ratio(times, side, THEIRS) for side in times if side != THEIRS}
        for database, times in found.items()
    }
    met = all(sides[OURS]["cpu"] <= TARGET for sides in ratios.values())
    took = {
        database: {
            side: {"cpu_ms": milliseconds(t.cpu), "wall_ms": milliseconds(t.wall)}
            for side, t in times.items()
        }
        for database, times in found.items()
    }
    save(
        NAME,
        {
            "ratio_to": THEIRS,
            "ratios": ratios,
            "target": {OURS: {"cpu": TARGET}},
            "met": met,
            "rounds": ROUNDS,
            "medians": took,
        },
    )
    rows = [
        (database, side, t["cpu_ms"], _times(ratios, database, side), t["wall_ms"])
        for database, sides in took.items()
        for side, t in sides.items()
    ]
    table(("database", "side", "CPU ms", "CPU ratio", "wall ms"), rows)
    print(
        f"target: {OURS} at most {TARGET} times the CPU: {'met' if met else 'MISSED'}"
    )


def _times(ratios: dict[str, Any], database: str, side: str) -> object:
    return 1 if side == THEIRS else ratios[database][side]["cpu"]


def _measure(database: str) -> dict[str, Times]:
    with place(database) as here:
        sides = {
            THEIRS: _theirs(here),
            OURS: _ours(here),
            "signoff, with its Runner": _with_runner(here),
            "signoff, resume_as=": _vouched(here),
        }
        return paired(sides, rounds=ROUNDS, warm_up=WARM_UP, say=f"round, {database}")


def _agent(here: Place, middleware: AgentMiddleware[Any, Any, Any]) -> Pregel[Any]:
    tools: list[BaseTool] = [pay]
    model = Scripted(turns=[turn(call("pay", "c1", amount=10))])
    graph: Pregel[Any] = create_agent(
        model, tools, middleware=[middleware], checkpointer=here.saver()
    )
    return graph


def _start(graph: Pregel[Any], config: RunnableConfig) -> Interrupt:
    (pause,) = graph.invoke({"messages": [HumanMessage("go")]}, config)["__interrupt__"]
    found: Interrupt = pause
    return found


def _finish(graph: Pregel[Any], config: RunnableConfig, resume: dict[str, Any]) -> None:
    done = graph.invoke(Command(resume=resume), config)
    _check(done["messages"])


def _check(messages: list[Any]) -> None:
    if messages[-1].content != "done" or messages[-2].content != "paid 10.0 to ana":
        raise AssertionError(f"the round didn't come to its end: {messages}")


def _thread(number: int) -> RunnableConfig:
    return {"configurable": {"thread_id": f"t{number}"}}


def _answering(graph: Pregel[Any]) -> Turn:
    def take(number: int) -> None:
        config = _thread(number)
        pause = _start(graph, config)
        _finish(graph, config, {pause.id: {"type": "approve"}})

    return take


def _theirs(here: Place) -> Turn:
    return _answering(
        _agent(here, HumanInTheLoopMiddleware({"pay": True}, interrupt_mode="per_call"))
    )


def _vouched(here: Place) -> Turn:
    so = Signoff(here.url())
    middleware = SignoffMiddleware(
        so, {"pay": True}, resume_as=MARIA, interrupt_mode="per_call"
    )
    return _answering(_agent(here, middleware))


def _deciding(so: Signoff) -> Callable[[Any], None]:
    def decide(value: Any) -> None:  # noqa: ANN401 - an interrupt's value
        asked = value["signoff"]
        so.decide(asked["request_id"], Approve(), by=MARIA, digest=asked["digest"])

    return decide


def _ours(here: Place) -> Turn:
    so = Signoff(here.url(), policy=Policy([review("pay")]))
    graph, decide = _agent(here, SignoffMiddleware(so)), _deciding(so)

    def take(number: int) -> None:
        config = _thread(number)
        pause = _start(graph, config)
        decide(pause.value)
        _finish(graph, config, {pause.id: "signoff"})

    return take


def _with_runner(here: Place) -> Turn:
    so = Signoff(here.url(), policy=Policy([review("pay")]))
    graph, decide = _agent(here, SignoffMiddleware(so)), _deciding(so)
    runner = Runner(so, graph, agent="payer")

    def take(number: int) -> None:
        message = {"messages": [HumanMessage("go")]}
        outcome = runner.start(message, thread_id=f"t{number}")
        decide(outcome.waiting[0])
        _check(runner.resume(f"t{number}").values["messages"])

    return take
