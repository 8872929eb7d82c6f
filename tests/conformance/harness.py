"""What the failure rows share: a place, tools that leave traces, systems, cells.

A row's story is written once and told to every system: signoff, LangChain's middleware
in both of its modes, and a tools node whose calls ask with LangGraph's `interrupt()`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from tests.forked import processes
from tests.langgraph.agents import Scripted, call, turn

Decision = Literal["approve", "reject"] | Mapping[str, Any]
"""`approve`, `reject`, or the arguments of an edit."""

GO: Final = {"messages": [HumanMessage("go")]}
ROUNDS: Final = max(20, int(os.environ.get("SIGNOFF_TEST_ROUNDS", "20")))
TRIALS: Final = max(200, int(os.environ.get("SIGNOFF_TEST_TRIALS", "200")))


def at(thread: str) -> RunnableConfig:
    """The configuration of a thread."""
    return {"configurable": {"thread_id": thread}}


def asking(*amounts: int) -> Scripted:
    """A model that asks for these payments, one a turn."""
    turns = [turn(call("pay", f"c{amount}", amount=amount)) for amount in amounts]
    return Scripted(turns=turns)


def asking_at_once(*amounts: int, look: bool = False) -> Scripted:
    """A model that asks for these payments in one turn, with a harmless call first."""
    calls = [call("pay", f"c{amount}", amount=amount) for amount in amounts]
    if look:
        calls.insert(0, call("look", "c0", what="rates"))
    return Scripted(turns=[turn(*calls)])


@dataclass(frozen=True, slots=True)
class Tally:
    """What the tools did, a line each, in a file that outlives any process."""

    file: Path

    def add(self, line: str) -> None:
        """Note an effect, in one write."""
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)

    @property
    def lines(self) -> list[str]:
        """Every effect so far."""
        return self.file.read_text().splitlines() if self.file.exists() else []

    def of(self, line: str) -> int:
        """How often this one happened."""
        return self.lines.count(line)


@dataclass(frozen=True, slots=True)
class Place:
    """One test's databases and files."""

    url: str
    folder: Path

    @property
    def tally(self) -> Tally:
        """What the tools did here."""
        return Tally(self.folder / "effects")

    @contextmanager
    def saver(self) -> Iterator[BaseCheckpointSaver[Any]]:
        """A real checkpointer on the same kind of database as the store."""
        if self.url.startswith("sqlite"):
            with SqliteSaver.from_conn_string(str(self.folder / "threads.db")) as one:
                one.setup()
                yield one
        else:
            with PostgresSaver.from_conn_string(self.url) as two:
                two.setup()
                yield two


def _nothing() -> None:
    """Happens around a payment by default."""


def tools(
    tally: Tally,
    *,
    first: Callable[[], object] | None = None,
    then: Callable[[], object] | None = None,
) -> list[BaseTool]:
    """`pay`, with what comes before and after its effect, and the harmless `look`."""
    before, after = first or _nothing, then or _nothing

    @tool
    def pay(amount: int) -> str:
        """Pay an amount."""
        before()
        tally.add(f"pay {amount}")
        after()
        return f"paid {amount}"

    @tool
    def look(what: str) -> str:
        """Look something up."""
        tally.add(f"look {what}")
        return f"found {what}"

    return [pay, look]


class System(Protocol):
    """A way to have people asked, behind one surface; its class opens it at a place.

    `ahead` is how far time has gone on there, where it counts for something.

    Attributes:
        name: How the table calls it.
        column: The table's column that it belongs to.
        hand_built: Whether its agent is a graph built by hand around a tools node.
    """

    name: str
    column: str
    hand_built: bool

    def __init__(self, place: Place, *, ahead: timedelta = timedelta()) -> None: ...

    def agent(
        self,
        model: Scripted,
        tools: Sequence[BaseTool],
        saver: BaseCheckpointSaver[Any] | None,
        *,
        outside: Sequence[Any] = (),
        inside: Sequence[Any] = (),
    ) -> Any:  # noqa: ANN401 - a compiled graph
        """An agent whose payments wait; other middleware outside and inside of it."""

    def answer(
        self,
        graph: Any,  # noqa: ANN401 - a compiled graph
        config: RunnableConfig,
        said: Mapping[int, Decision],
    ) -> Command[Any]:
        """Decide on the payments of these amounts; what then resumes the thread."""

    def bare_answer(self, decision: Decision) -> Command[Any]:
        """The same answer for whatever waits, as a click without an id sends it."""

    def close(self) -> None:
        """Let go of what it holds."""


Open = type[System]


def waiting(graph: Any, config: RunnableConfig) -> int:  # noqa: ANN401 - a compiled graph
    """How many pauses a thread shows."""
    return len(graph.get_state(config).interrupts)


def attempt(work: Callable[[], object]) -> Exception | None:
    """Do it and say what it raised."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - each system has its own
        return error
    return None


def together(*jobs: Callable[[], object]) -> list[Exception | None]:
    """Do all at once, each in a thread of its own, and say what each raised."""
    start = threading.Barrier(len(jobs))
    ends: list[Exception | None] = [None] * len(jobs)

    def run(index: int, job: Callable[[], object]) -> None:
        start.wait(30)
        ends[index] = attempt(job)

    threads = [threading.Thread(target=run, args=one) for one in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return ends


def in_process(work: Callable[..., None], *args: object) -> int | None:
    """Run it in a process of its own; how that process ended."""
    process = processes().Process(target=work, args=args)
    process.start()
    process.join(60)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


@dataclass(frozen=True, slots=True)
class Story:
    """One row of the failure list, told to any system.

    Attributes:
        must: What signoff's cell has to say.
        tell: Plays it and returns the cell.
    """

    row: str
    failure: str
    must: str
    tell: Callable[[Open, Place], str]


STORIES: Final[dict[str, Story]] = {}

NOT_APPLICABLE: Final = "not applicable"


def story(
    row: str, failure: str, must: str
) -> Callable[[Callable[[Open, Place], str]], Callable[[Open, Place], str]]:
    """Enter a row."""

    def enter(tell: Callable[[Open, Place], str]) -> Callable[[Open, Place], str]:
        assert row not in STORIES
        STORIES[row] = Story(row, failure, must, tell)
        return tell

    return enter


@contextmanager
def opened(
    system: Open, place: Place, ahead: timedelta = timedelta()
) -> Iterator[System]:
    """A system that is closed at the end."""
    one = system(place, ahead=ahead)
    try:
        yield one
    finally:
        one.close()


@contextmanager
def stage(
    system: Open, place: Place, ahead: timedelta = timedelta()
) -> Iterator[tuple[System, BaseCheckpointSaver[Any], Tally]]:
    """What most stories need: the system, a checkpointer, an empty tally."""
    saver: AbstractContextManager[BaseCheckpointSaver[Any]] = place.saver()
    with opened(system, place, ahead) as one, saver as kept:
        yield one, kept, place.tally
