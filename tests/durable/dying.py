"""A process that is killed at a numbered step of a resume: a write, or the effect.

The steps are counted: before and after each write to the checkpointer, before and after
the effect. Step 0 kills nothing and reports how many there are.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from signoff import Signoff, review
from signoff.langgraph import Runner
from tests.conformance.harness import GO, Place, asking, tools
from tests.langgraph.agents import MARIA, with_create_agent


class Steps:
    """Counts, and ends the process at the step that was asked for."""

    def __init__(self, last: int) -> None:
        self.last, self.done = last, 0

    def step(self) -> None:
        """One more."""
        self.done += 1
        if self.done == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def watched(saver: BaseCheckpointSaver[Any], steps: Steps) -> None:
    """Make every write of a checkpointer two steps."""
    for name in ("put", "put_writes"):
        setattr(saver, name, _twice(getattr(saver, name), steps))


def _twice(write: Any, steps: Steps) -> Any:  # noqa: ANN401 - a method
    def written(
        config: Any,  # noqa: ANN401 - LangGraph's
        values: Any,  # noqa: ANN401 - LangGraph's
        third: Any,  # noqa: ANN401 - LangGraph's
        task_path: Any = "",  # noqa: ANN401 - LangGraph's
    ) -> Any:  # noqa: ANN401 - LangGraph's
        steps.step()
        result = write(config, values, third, task_path)
        steps.step()
        return result

    return written


def asked(place: Place) -> None:
    """A thread that waits for its payment of 10, approved."""
    from signoff import Approve

    so = Signoff(place.url, policy=[review("*")])
    with place.saver() as saver:
        graph = with_create_agent(so, asking(10), tools(place.tally), saver)
        Runner(so, graph, agent="payer").start(GO, thread_id="t1")
        (request,) = so.pending().requests
        so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
    so.close()


def resume(place: Place, last: int, report: Path | None = None) -> None:
    """Resume the thread, and be killed at a step."""
    steps = Steps(last)
    so = Signoff(place.url, policy=[review("*")])
    with place.saver() as saver:
        watched(saver, steps)
        own = tools(place.tally, first=steps.step, then=steps.step)
        graph = with_create_agent(so, asking(10), own, saver)
        Runner(so, graph, agent="payer").wake("t1")
    if report is not None:
        report.write_text(str(steps.done))
    so.close()
