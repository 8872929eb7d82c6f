"""Checkpoints stay in order although the clocks of processes differ.

LangGraph takes the checkpoint with the greatest id for a thread's latest, and makes ids
from the clock of the process that writes. After one whose clock is fast, every other
process would write checkpoints that nobody reads, and the thread would stand still.
"""

from __future__ import annotations

from typing import Final

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.base import id as ids

_LAST: Final = "_last_v6_timestamp"


def keep_order(found: CheckpointTuple | None) -> CheckpointTuple | None:
    """Let what this process writes from now on come after what it just read."""
    if found is None or not hasattr(ids, _LAST):
        return found
    made = _time_of(str(found.checkpoint["id"]))
    last: int | None = getattr(ids, _LAST)
    if made is not None and (last is None or last < made):
        setattr(ids, _LAST, made)
    return found


def _time_of(checkpoint_id: str) -> int | None:
    """When an id was made, in its own units; None if it isn't LangGraph's."""
    try:
        read = ids.UUID(checkpoint_id)
    except ValueError:
        return None
    return read.time if read.version == 6 else None  # noqa: PLR2004 - LangGraph's ids
