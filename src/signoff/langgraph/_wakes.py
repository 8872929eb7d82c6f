"""Keeps what woke a thread from the questions that a tool or node asks by itself.

LangGraph hands the values of a node's resumes to its calls of `interrupt()` in their
order. A value that woke one of signoff's pauses says nothing; left where it is, it
would answer the next question that the approved tool asks.
"""

from __future__ import annotations

from typing import Any, Final

from langgraph.config import get_config
from langgraph.types import interrupt

WAKE: Final = "signoff"
"""What the Runner resumes with; it counts only in a node that asks more than gates."""

SCRATCHPAD: Final = "__pregel_scratchpad"


def pause(payload: dict[str, Any]) -> None:
    """Park this execution of a node; what woke it before is no answer to anything."""
    drop_wakes()
    interrupt(payload)


def drop_wakes() -> None:
    """Forget every value that this execution was resumed with."""
    pad = _scratchpad()
    if pad is not None:
        pad.resume.clear()
        pad.get_null_resume(True)  # noqa: FBT003 - LangGraph's own signature


def drop_own_wakes() -> None:
    """Forget the Runner's values; in a node, others may answer its own questions."""
    pad = _scratchpad()
    if pad is None:
        return
    pad.resume[:] = [value for value in pad.resume if value != WAKE]
    if pad.get_null_resume(False) == WAKE:  # noqa: FBT003 - LangGraph's own signature
        pad.get_null_resume(True)  # noqa: FBT003 - as above


def _scratchpad() -> Any:  # noqa: ANN401 - private to LangGraph
    return get_config().get("configurable", {}).get(SCRATCHPAD)
