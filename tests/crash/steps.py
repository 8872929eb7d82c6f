"""The numbered steps at which a process dies, and the process that dies there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from threading import Lock
from typing import Any, Final

from langgraph.checkpoint.base import BaseCheckpointSaver

from signoff import Signoff
from signoff.langgraph import Runner
from signoff.storage.store import SqlStore
from signoff.storage.writing import SqlWriting

STEPS: Final[dict[int, str]] = {
    1: "propose",
    2: "commit",
    3: "checkpoint",
    4: "writes",
    5: "decide",
    6: "wake",
    7: "claim",
    8: "effect",
    9: "result",
    10: "woken",
}
"""What a process does between a question and its effect, in about this order.

`commit` is the end of any transaction of the store; `checkpoint` and `writes` are the
checkpointer's own; `wake` is a thread's turn that is taken to go on, `woken` its
end, with the wake-up forgotten.
"""

SIGNALS: Final = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}


@dataclass(frozen=True, slots=True)
class Point:
    """Where a process ends or freezes: before or after the nth time of a step."""

    step: str
    nth: int
    after: bool
    how: str

    def __str__(self) -> str:
        side = "after" if self.after else "before"
        return f"{self.how} {side} {self.step} {self.nth}"


class Fate:
    """Counts the steps of this process, and strikes at its point."""

    def __init__(self, point: Point | None) -> None:
        self._point = point
        self._seen = 0
        self._lock = Lock()

    def around(self, step: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, unless the process doesn't outlive it."""

        @wraps(work)
        def done(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any method
            self._strike(step, after=False)
            result = work(*args, **kwargs)
            self._strike(step, after=True)
            return result

        return done

    def _strike(self, step: str, *, after: bool) -> None:
        point = self._point
        if point is None or point.step != step:
            return
        with self._lock:  # threads write side by side, and it freezes only once
            self._seen += 0 if after else 1
            if (self._seen, after) != (point.nth, point.after):
                return
            self._point = None
        os.kill(os.getpid(), SIGNALS[point.how])


def doom(
    fate: Fate, so: Signoff, saver: BaseCheckpointSaver[Any], runner: Runner
) -> None:
    """Put this process's objects into the hands of fate; its classes too, it forks."""
    _around(fate, so, propose="propose", decide="decide", begin="claim")
    _around(fate, so, finish="result")
    _around(fate, saver, put="checkpoint", put_writes="writes")
    _around(fate, runner.turns, take_to_wake="wake", end_waking="woken")
    SqlWriting.seal = fate.around("commit", SqlWriting.seal)  # type: ignore[method-assign]
    if not isinstance(so.store, SqlStore):
        raise TypeError("the steps of another store aren't known")


def _around(fate: Fate, whose: object, **steps: str) -> None:
    for name, step in steps.items():
        setattr(whose, name, fate.around(step, getattr(whose, name)))
