"""What runs in processes of its own: agents that are killed, and agents that race."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Barrier
from typing import Any, Literal

from langgraph.types import Command

from tests.conformance.harness import Place, asking, at, attempt, opened, tools
from tests.conformance.ours import Ours
from tests.conformance.systems import SYSTEMS


def die() -> None:
    """End as with SIGKILL: no clean-up, no flush, no exception."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Resume:
    """How a thread is resumed, and at which point its process is killed."""

    thread: str
    command: Command[Any]
    durability: Literal["sync", "async", "exit"]
    point: str


def resume_and_die(name: str, place: Place, how: Resume) -> None:
    """Resume an answered thread and be killed."""
    with opened(SYSTEMS[name], place) as system, place.saver() as saver:
        if isinstance(system, Ours):
            _dying(system, how.point)
        own = tools(
            place.tally,
            first=die if how.point == "before effect" else None,
            then=die if how.point == "after effect" else None,
        )
        graph = system.agent(asking(10), own, saver)
        graph.invoke(how.command, at(how.thread), durability=how.durability)


def _dying(system: Ours, point: str) -> None:
    so = system.so
    if point == "before record":
        so.begin = _then_die(None)  # type: ignore[method-assign]
    elif point == "after record":
        so.begin = _then_die(so.begin)  # type: ignore[method-assign]
    elif point == "after result":
        so.finish = _then_die(so.finish)  # type: ignore[method-assign]


def _then_die(work: Callable[..., Any] | None) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - any use case
        if work is not None:
            work(*args, **kwargs)
        die()

    return called


def race(name: str, place: Place, rounds: list[Any], start: Barrier) -> None:
    """Resume each of these threads at the same moment as another process does."""
    with opened(SYSTEMS[name], place) as system, place.saver() as saver:
        for thread, amount, command in rounds:
            graph = system.agent(asking(amount), tools(place.tally), saver)
            start.wait(60)
            attempt(partial(graph.invoke, command, at(thread)))
