"""A paused thread is looked at and then run, and both from one read."""

from __future__ import annotations

from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.types import INTERRUPT

_NOT_THE_LATEST: Final = ("checkpoint_id", "checkpoint_ns")


class FirstLook:
    """Keeps what the first read of a thread's latest checkpoint found, for the second.

    While a turn lasts nobody else writes, so that the second would find the same. It is
    kept only where nothing but pauses was written beside the checkpoint: other writes
    LangGraph's look applies to the very values that it was given.
    """

    def __init__(self) -> None:
        self._kept: CheckpointTuple | None = None
        self._open = True

    def take(self, config: RunnableConfig) -> CheckpointTuple | None:
        """What was kept, once."""
        if self._kept is None or not _is_latest(config):
            return None
        kept = self._kept
        self.end()
        return kept

    def keep(self, config: RunnableConfig, found: CheckpointTuple | None) -> None:
        """Keep a copy of what the first read found, if the second may have it."""
        if not self._open or not _is_latest(config):
            return
        self._open = False
        if found is not None and _only_paused(found):
            self._kept = _copy(found)

    def end(self) -> None:
        """Something is written, so that every further read asks the database."""
        self._kept, self._open = None, False


def _is_latest(config: RunnableConfig) -> bool:
    asked = config.get("configurable", {})
    return not any(asked.get(name) for name in _NOT_THE_LATEST)


def _only_paused(found: CheckpointTuple) -> bool:
    writes = found.pending_writes or ()
    return bool(writes) and all(channel == INTERRUPT for _, channel, _ in writes)


def _copy(found: CheckpointTuple) -> CheckpointTuple:
    """A copy of what a look changes; the values of channels it only reads."""
    checkpoint: Any = {
        **found.checkpoint,
        "channel_values": {**found.checkpoint["channel_values"]},
        "channel_versions": {**found.checkpoint["channel_versions"]},
        "versions_seen": {
            node: {**seen} for node, seen in found.checkpoint["versions_seen"].items()
        },
    }
    writes = list(found.pending_writes or ())
    metadata: Any = {**found.metadata}
    return found._replace(
        checkpoint=checkpoint, metadata=metadata, pending_writes=writes
    )
