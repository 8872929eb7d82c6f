"""From a decision to the tool's start, and how many resumes a second workers do.

`WAKE_SCALE=0.1` makes everything ten times smaller, to try it. The numbers of latencies
and rates are of this machine; ratios to bare LangGraph are of the same run.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from threading import Event
from typing import Any, Final

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt
from sqlalchemy import text

from benchmarks.measure import RESULTS, progress, save, table
from benchmarks.places import DATABASES, Place, place
from signoff import Approve, Principal, Signoff, review
from signoff.domain.journal import EntryState
from signoff.langgraph import Runner
from signoff.langgraph._savers import open_saver
from signoff.storage import SqlStore
from tests.durable import shop
from tests.langgraph.agents import Scripted, call, turn, with_guard_tools
from tests.storage.making import request as a_request

NAME: Final = "wake"
ROOT: Final = Path(__file__).resolve().parent.parent
SCALE: Final = float(os.environ.get("WAKE_SCALE", "1"))
LATENCIES: Final = max(10, int(300 * SCALE))
RESUMES: Final = max(10, int(300 * SCALE))
SHARED: Final = max(40, int(800 * SCALE))
WAITING: Final = max(1000, int(100_000 * SCALE))
IDLE_S: Final = max(3.0, 20 * SCALE)
TAKE_OVERS: Final = max(1, int(3 * SCALE))
WORKERS: Final = (1, 2, 4)
HEARTBEAT_S: Final = 5
MARIA: Final = Principal(id="maria@example.com")
TARGETS: Final = {
    "embedded_p50_ms": 25,
    "worker_p50_ms": 40,
    "p99_to_p50": 5,
    "idle_percent": 2,
    "resumes_to_bare": 0.6,
    "take_over_s": HEARTBEAT_S + 5,
}
_PAUSE: Final = Event()


def run() -> None:
    """Measure, print and save; `WAKE_PARTS=idle,resumes` keeps the others' figures."""
    wanted = os.environ.get("WAKE_PARTS")
    found: dict[str, Any] = {"targets": TARGETS, "scale": SCALE}
    if wanted is not None:
        found = json.loads((RESULTS / f"{NAME}.json").read_text())
    for part in PARTS if wanted is None else wanted.split(","):
        found |= PARTS[part]()
    found["met"] = _met(found)
    save(NAME, found)
    _show(found)


def _latency() -> dict[str, Any]:
    taken = {"embedded, sqlite": _embedded("sqlite")}
    taken["embedded, postgresql"] = _embedded("postgresql")
    for database in DATABASES:
        with _shop(database) as one:
            taken[f"worker, {database}"] = _with_worker(one)
    return {"latency": taken}


def _idles() -> dict[str, Any]:
    idle, waiting = dict[str, float](), dict[str, Any]()
    for database in DATABASES:
        with _shop(database) as one:
            idle[database], waiting[database] = _idle(one)
    return {"idle_percent": idle, "waiting": waiting}


def _show(found: dict[str, Any]) -> None:
    latencies = found["latency"].items()
    table(
        ("decision to tool", "p50 ms", "p99 ms"),
        [(name, one["p50_ms"], one["p99_ms"]) for name, one in latencies],
    )
    rates = found["resumes"].items()
    table(
        ("resumes a second", "bare LangGraph", "signoff", "ratio"),
        [(name, one["bare"], one["signoff"], one["ratio"]) for name, one in rates],
    )
    table(("workers", "resumes a second"), list(found["by_workers"].items()))
    table(("idle worker", "% of a core"), list(found["idle_percent"].items()))
    waiting = found["waiting"].items()
    table(
        (f"{WAITING:,} threads wait", "RSS before, MiB", "after", "connections", "%"),
        [
            (
                name,
                *(one[what] for what in ("before_mib", "after_mib", "connections")),
                one["idle_percent"],
            )
            for name, one in waiting
        ],
    )
    print(f"take-over of a killed worker's thread: {found['take_over']} s")
    missed = [name for name, met in found["met"].items() if not met]
    print("targets: " + ("all met" if missed == [] else f"MISSED {', '.join(missed)}"))


PARTS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "latency": _latency,
    "resumes": lambda: {"resumes": {one: _resumes(one) for one in DATABASES}},
    "by_workers": lambda: {"by_workers": {str(n): _shared(n) for n in WORKERS}},
    "idle": _idles,
    "take_over": lambda: {"take_over": _take_over()},
}


def _met(found: dict[str, Any]) -> dict[str, bool]:
    latency = found["latency"]
    crowded = [one["idle_percent"] for one in found["waiting"].values()]
    worst = max(*found["idle_percent"].values(), *crowded)
    spread = max(one["p99_ms"] / one["p50_ms"] for one in latency.values())
    near, far = latency["embedded, sqlite"], latency["worker, postgresql"]
    slowest = min(one["ratio"] for one in found["resumes"].values())
    return {
        "embedded_p50_ms": near["p50_ms"] <= TARGETS["embedded_p50_ms"],
        "worker_p50_ms": far["p50_ms"] <= TARGETS["worker_p50_ms"],
        "p99_to_p50": spread <= TARGETS["p99_to_p50"],
        "idle_percent": worst <= TARGETS["idle_percent"],
        "resumes_to_bare": slowest >= TARGETS["resumes_to_bare"],
        "take_over_s": max(found["take_over"]) <= TARGETS["take_over_s"],
    }


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(seconds, n=100, method="inclusive")
    return {
        "p50_ms": round(median(seconds) * 1e3, 1),
        "p99_ms": round(cuts[98] * 1e3, 1),
        "count": len(seconds),
    }


def _until(done: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError("it took too long")
        _PAUSE.wait(0.002)


def _approve(so: Signoff, thread: str) -> float:
    """Approve what a thread asks; when the decision was committed."""
    (asked,) = so.thread(thread)
    so.decide(asked.id, Approve(), by=MARIA, digest=asked.digest)
    return time.monotonic()


def _embedded(database: str) -> dict[str, float]:
    started = list[float]()

    @tool
    def pay(amount: int) -> str:
        """Pay an amount."""
        started.append(time.monotonic())
        return f"paid {amount}"

    with place(database) as here:
        so = Signoff(here.url(), policy=[review("*")])
        model = Scripted(turns=[turn(call("pay", "c1", amount=10))])
        graph = with_guard_tools(so, model, [pay], here.saver())
        runner, taken = Runner(so, graph, agent="payer"), list[float]()
        with runner.watch():
            for number in range(-5, LATENCIES):
                runner.start(shop.GO, thread_id=f"t{number}")
                done = len(started) + 1
                decided = _approve(so, f"t{number}")
                _until(lambda done=done: len(started) == done)  # type: ignore[misc]
                _until(lambda: len(so.wakeups()) == 0)
                if number >= 0:
                    taken.append(started[-1] - decided)
                _report(f"embedded, {database}", number, LATENCIES)
        so.close()
    return _spread(taken)


def _report(what: str, number: int, count: int) -> None:
    if number >= 0 and number % 100 == 0:
        progress(f"{what}: {number} of {count}")


@dataclass(kw_only=True)
class _Shop:
    """A store, checkpoints, and workers as processes of their own."""

    url: str
    threads: str
    folder: Path
    so: Signoff
    runner: Runner
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def effects(self) -> Path:
        return self.folder / "effects"

    def begun(self) -> list[dict[str, Any]]:
        """The payments that began, oldest first."""
        if not self.effects.exists():
            return []
        lines = map(json.loads, self.effects.read_text().splitlines())
        return [one for one in lines if one["did"] == "begun"]

    def worker(self, **more: str) -> subprocess.Popen[bytes]:
        """Start one, which is killed at the end."""
        env = {
            **os.environ,
            shop.STORE: self.url,
            shop.EFFECTS: str(self.effects),
            "PYTHONPATH": os.pathsep.join([*sys.path[1:], str(ROOT)]),
            **more,
        }
        command = [
            *(sys.executable, "-m", "signoff", "worker", "tests.durable.shop:graph"),
            *("--agent", "payer", "--store", self.url, "--checkpointer", self.threads),
            *("--heartbeat", f"{HEARTBEAT_S}s"),
        ]
        with (self.folder / "log").open("ab") as log:
            started = subprocess.Popen(command, env=env, cwd=ROOT, stderr=log)
        self.workers.append(started)
        return started

    def ready(self, count: int) -> None:
        """Wait until so many workers are there."""
        _until(lambda: len(self.so.workforce().workers) == count)
        _PAUSE.wait(1)


@contextmanager
def _shop(database: str) -> Iterator[_Shop]:
    with ExitStack() as stack:
        here: Place = stack.enter_context(place(database))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url, threads = here.url(), here.url()
        so = Signoff(url, policy=[review("*")])
        stack.callback(so.close)
        saver = stack.enter_context(open_saver(threads, None))
        graph = shop.make(so, str(folder / "effects"), None, saver)
        runner = Runner(so, graph, agent="payer")
        one = _Shop(url=url, threads=threads, folder=folder, so=so, runner=runner)
        try:
            yield one
        finally:
            for worker in one.workers:
                worker.kill()
                worker.wait()


def _with_worker(one: _Shop) -> dict[str, float]:
    one.worker()
    one.ready(1)
    taken = list[float]()
    for number in range(-5, LATENCIES):
        thread = f"t{number}"
        one.runner.start(shop.GO, thread_id=thread)
        decided = _approve(one.so, thread)
        _until(lambda: one.so.wakeups() == [])
        if number >= 0:
            taken.append(one.begun()[-1]["at"] - decided)
        _report("worker", number, LATENCIES)
    return _spread(taken)


def _resumes(database: str) -> dict[str, float]:
    """Alternately, one by one, in this process; only the resume is timed."""
    with (
        place(database) as here,
        closing(Signoff(here.url(), policy=[review("*")])) as so,
    ):
        bare, prepare = _bare(here)
        ours, ask, check = _ours(here, so)
        for number in range(RESUMES):
            prepare(number)
            ask(number)
        spent = {"bare": 0.0, "signoff": 0.0}
        for number in range(RESUMES):
            sides = [("bare", bare), ("signoff", ours)]
            gc.collect(0)
            for name, resume in sides if number % 2 else sides[::-1]:
                began = time.perf_counter()
                resume(number)
                spent[name] += time.perf_counter() - began
            _report(f"resumes, {database}", number, RESUMES)
        check()
    rate = {name: round(RESUMES / seconds, 1) for name, seconds in spent.items()}
    return {**rate, "ratio": round(spent["bare"] / spent["signoff"], 3)}


Numbered = Callable[[int], None]


def _bare(here: Place) -> tuple[Numbered, Numbered]:
    """The same graph, whose tool asks with LangGraph's own `interrupt()`."""

    @tool
    def pay(amount: int) -> str:
        """Pay an amount."""
        return f"paid {amount}" if interrupt({"pay": amount}) else "no"

    model = Scripted(turns=[turn(call("pay", "c1", amount=10))])

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def route(state: MessagesState) -> str:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else "__end__"

    builder = StateGraph(MessagesState)
    builder.add_node("model", think)
    builder.add_node("tools", ToolNode([pay]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route, ["tools", "__end__"])
    builder.add_edge("tools", "model")
    graph = builder.compile(checkpointer=here.saver())

    invoke: Any = graph.invoke

    def at(number: int) -> Any:  # noqa: ANN401 - a configuration
        return {"configurable": {"thread_id": f"t{number}"}}

    def prepare(number: int) -> None:
        invoke(shop.GO, at(number), durability="sync")

    def resume(number: int) -> None:
        (pause,) = graph.get_state(at(number)).interrupts
        command: Any = Command(resume={pause.id: True})
        done = invoke(command, at(number), durability="sync")
        _check(done["messages"])

    return resume, prepare


def _ours(here: Place, so: Signoff) -> tuple[Numbered, Numbered, Callable[[], None]]:
    @tool
    def pay(amount: int) -> str:
        """Pay an amount."""
        return f"paid {amount}"

    model = Scripted(turns=[turn(call("pay", "c1", amount=10))])
    graph = with_guard_tools(so, model, [pay], here.saver())
    runner = Runner(so, graph, agent="payer")

    def ask(number: int) -> None:
        runner.start(shop.GO, thread_id=f"t{number}")
        _approve(so, f"t{number}")

    def resume(number: int) -> None:
        if not runner.wake(f"t{number}"):
            raise AssertionError("the thread wasn't woken")

    def check() -> None:
        if so.wakeups() != [] or len(so.journal(limit=RESUMES)) != RESUMES:
            raise AssertionError("not every approved call was run")

    return resume, ask, check


def _check(messages: list[Any]) -> None:
    if messages[-1].content != "done":
        raise AssertionError(f"the thread didn't come to its end: {messages}")


def _shared(count: int) -> float:
    """Resumes a second by so many workers, which begin together."""
    with _shop("postgresql") as one:
        for number in range(SHARED):
            one.runner.start(shop.GO, thread_id=f"t{number}")
            _approve(one.so, f"t{number}")
            _report(f"{count} workers, preparing", number, SHARED)
        gate = one.folder / "gate"
        for _ in range(count):
            one.worker(**{shop.GATE: str(gate)})
        _PAUSE.wait(15)  # they import what they need meanwhile
        gate.touch()
        _until(lambda: one.so.wakeups() == [], 600)
        began = sorted(line["at"] for line in one.begun())
        if len(began) != SHARED:
            raise AssertionError(f"{len(began)} payments for {SHARED} approvals")
        # Without the first and last tenth, when not all of them work.
        tenth = SHARED // 10
        middle = began[tenth:-tenth]
        rate: float = (len(middle) - 1) / (middle[-1] - middle[0])
        return round(rate, 1)


def _cpu(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss(process: subprocess.Popen[bytes]) -> float:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _connections(one: _Shop) -> int:
    store = one.so.store
    if not isinstance(store, SqlStore) or store.engine.dialect.name == "sqlite":
        return len(list(Path(f"/proc/{one.workers[0].pid}/fd").iterdir()))
    with store.engine.connect() as connection:
        found = connection.execute(text("SELECT count(*) FROM pg_stat_activity"))
        return int(found.scalar_one())


def _idle(one: _Shop) -> tuple[float, dict[str, Any]]:
    """The CPU of a worker with nothing to do; what 100,000 waiting threads add."""
    worker = one.worker()
    one.ready(1)
    thread = "t0"  # it has run something, so that everything is loaded
    one.runner.start(shop.GO, thread_id=thread)
    _approve(one.so, thread)
    _until(lambda: one.so.wakeups() == [])
    idle = _idle_percent(worker)
    before, connected = _rss(worker), _connections(one)
    _let_wait(one.so)
    waiting = _idle_percent(worker)
    return idle, {
        "threads": WAITING,
        "before_mib": before,
        "after_mib": _rss(worker),
        "connections": f"{connected} -> {_connections(one)}",
        "idle_percent": waiting,
    }


def _idle_percent(worker: subprocess.Popen[bytes]) -> float:
    _PAUSE.wait(2)
    before, began = _cpu(worker), time.monotonic()
    _PAUSE.wait(IDLE_S)
    return round((_cpu(worker) - before) / (time.monotonic() - began) * 100, 2)


def _let_wait(so: Signoff) -> None:
    """So many requests, each of a thread of its own."""
    from signoff.storage import rows  # noqa: PLC0415 - only here
    from signoff.storage import tables as t  # noqa: PLC0415 - only here

    store, now = so.store, so.now()
    if not isinstance(store, SqlStore):
        raise TypeError("a store on SQL")
    for first in range(0, WAITING, 5000):
        made = [
            {**rows.request_row(a_request(number, now=now)), "thread": f"w{number}"}
            for number in range(first, min(first + 5000, WAITING))
        ]
        with store.engine.begin() as connection:
            connection.execute(t.requests.insert(), made)
        _report("waiting threads", first, WAITING)


def _take_over() -> list[float]:
    """Seconds from a worker's SIGKILL in an effect until another has its thread."""
    return [_taken_over() for _ in range(TAKE_OVERS)]


def _taken_over() -> float:
    with _shop("postgresql") as one:
        hold = one.folder / "hold"
        hold.touch()
        for _ in range(2):
            one.worker(**{shop.HOLD: str(hold)})
        one.ready(2)
        one.runner.start(shop.GO, thread_id="t1")
        _approve(one.so, "t1")
        _until(lambda: len(one.begun()) == 1)
        pid = one.begun()[0]["pid"]
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        _until(lambda: one.so.journal(state=EntryState.UNKNOWN) != [])
        _until(lambda: one.so.wakeups() == [])
        return round(time.monotonic() - killed, 1)
