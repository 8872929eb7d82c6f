"""The processes of a round: one starts a thread, some decide, some work."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver

from signoff import Approve, Edit, Reject, Request, Respond, Signoff, allow, review
from signoff.clock import Clock
from signoff.domain.errors import LostRace
from signoff.domain.requests import Decision
from signoff.langgraph import Runner
from signoff.langgraph._savers import open_saver
from tests.conformance.harness import GO, Place, Tally, asking_at_once, tools
from tests.conformance.ours import Ours
from tests.crash.steps import Fate, Point, doom
from tests.langgraph.agents import MARIA

AGENT: Final = "crash"
RULES: Final = (allow("look"), review("*"))
AGAIN: Final = {"messages": [("user", "and?")]}
HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """What one process does in a round.

    Attributes:
        ahead: How far time has gone on for it, so that leases have lapsed.
        skewed: Whether its own clock is an hour off; the database's isn't.
        again: Whether it says something else in a thread that is finished.
    """

    place: Place
    thread: str
    amounts: tuple[int, ...]
    point: Point | None = None
    ahead: timedelta = timedelta()
    skewed: bool = False
    again: bool = False


def start(part: Part) -> None:
    """Give the thread its input, as the application does."""
    with desk(part) as (_, runner):
        runner.start(AGAIN if part.again else GO, thread_id=part.thread)


def work(part: Part) -> None:
    """Wake whatever can go on, until nothing can."""
    with desk(part) as (_, runner):
        while runner.run_due() > 0:
            pass


def watch(part: Part) -> None:
    """Wake threads as they are decided, until this process is ended."""
    with desk(part) as (_, runner), runner.watch():
        threading.Event().wait()


def decide(part: Part, kind: str) -> None:
    """Decide on all that waits in the thread; note what was taken."""
    with desk(part) as (so, _):
        said = Tally(part.place.folder / "said")
        for request in so.thread(part.thread):
            if request.status.value == "pending":
                _say(so, request, kind, said)


def _say(so: Signoff, request: Request, kind: str, said: Tally) -> None:
    try:
        so.decide(request.id, decision(kind, request), by=MARIA, digest=request.digest)
    except LostRace:
        return
    said.add(f"{request.id} {kind}")


def decision(kind: str, request: Request) -> Decision:
    """A decision of that kind; an edit pays one more, so that it shows."""
    if kind == "edit":
        return Edit(args={"amount": request.args["amount"] + 1})
    if kind == "respond":
        return Respond(message="pay it yourself")
    return Approve() if kind == "approve" else Reject(reason="no")


@contextmanager
def desk(part: Part) -> Iterator[tuple[Signoff, Runner]]:
    if part.skewed:
        _skew()
    clock = Clock(offset=part.ahead)
    so = Signoff(part.place.url, policy=list(RULES), clock=clock, lease="5s")
    fate = Fate(part.point)
    with _saver(part.place) as saver:
        own = tools(part.place.tally)
        pay = own[0]
        object.__setattr__(pay, "func", fate.around("effect", pay.func))  # type: ignore[attr-defined]  # a StructuredTool
        graph = agent_of(so, own, saver, part.amounts)
        runner = Runner(so, graph, agent=AGENT)
        doom(fate, so, saver, runner)
        yield so, runner
    so.close()


def agent_of(
    so: Signoff,
    own: Sequence[BaseTool],
    saver: BaseCheckpointSaver[Any],
    amounts: Sequence[int],
) -> Any:  # noqa: ANN401 - a compiled graph
    """The agent of a round: one turn, a harmless call and its payments."""
    system = Ours.__new__(Ours)
    system.so = so
    return system.agent(asking_at_once(*amounts, look=True), own, saver)


@contextmanager
def _saver(place: Place) -> Iterator[BaseCheckpointSaver[Any]]:
    """On PostgreSQL as `signoff worker` opens it."""
    if place.url.startswith("sqlite"):
        with place.saver() as one:
            yield one
        return
    with open_saver(place.url, None) as two:
        yield two


def _skew() -> None:
    """This process's own clock goes an hour fast; nothing may depend on it."""
    true_ns, true_s = time.time_ns, time.time  # noqa: TID251 - it is put off
    time.time_ns = lambda: true_ns() + HOUR_US * 1000
    time.time = lambda: true_s() + HOUR_US / 1_000_000  # noqa: TID251 - as above
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()
