"""A checkpointer that keeps nothing from a run that lost its thread's turn."""

from __future__ import annotations

import copy
from collections.abc import (
    AsyncIterator,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any

from anyio import to_thread
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.pregel import Pregel

from signoff.langgraph._look import FirstLook
from signoff.langgraph._order import keep_order
from signoff.ports import Turn
from signoff.service.turns import Turns


def fenced(graph: Pregel[Any], turns: Turns, turn: Turn) -> Pregel[Any]:
    """The same graph, writing only while its worker has the turn.

    Subgraphs are lent the checkpointer of the graph that they run in, so this holds
    for them too.
    """
    saver = graph.checkpointer
    if not isinstance(saver, BaseCheckpointSaver):
        raise TypeError("a Runner's graph has a checkpointer")
    copied = copy.copy(graph)
    copied.checkpointer = FencedSaver(saver, turns, turn)
    return copied


class FencedSaver(BaseCheckpointSaver[Any]):
    """Asks before every write whether the turn still stands; reads go through.

    What it writes comes after what it read, whatever this process's clock says.

    Between the question and the write a process may still be frozen for longer than
    its lease: that write is not held back. Effects are fenced on their own, by the
    claim and the attempt's number of their journal entry.
    """

    def __init__(
        self, saver: BaseCheckpointSaver[Any], turns: Turns, turn: Turn
    ) -> None:
        super().__init__(serde=saver.serde)
        self._saver, self._turns, self._turn = saver, turns, turn
        self._first = FirstLook()

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        self._first.end()
        self._turns.check(self._turn)
        return self._saver.put(config, checkpoint, metadata, new_versions)

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        self._first.end()
        self._turns.check(self._turn)
        self._saver.put_writes(config, writes, task_id, task_path)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        self._first.end()
        await to_thread.run_sync(self._turns.check, self._turn)
        return await self._saver.aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        self._first.end()
        await to_thread.run_sync(self._turns.check, self._turn)
        await self._saver.aput_writes(config, writes, task_id, task_path)

    def delete_thread(self, thread_id: str) -> None:
        self._first.end()
        self._turns.check(self._turn)
        self._saver.delete_thread(thread_id)

    async def adelete_thread(self, thread_id: str) -> None:
        self._first.end()
        await to_thread.run_sync(self._turns.check, self._turn)
        await self._saver.adelete_thread(thread_id)

    @property
    def config_specs(self) -> list[Any]:
        return self._saver.config_specs

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        known = self._first.take(config)
        if known is not None:
            return known
        found = keep_order(self._saver.get_tuple(config))
        self._first.keep(config, found)
        return found

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        known = self._first.take(config)
        if known is not None:
            return known
        found = keep_order(await self._saver.aget_tuple(config))
        self._first.keep(config, found)
        return found

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's own name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        return self._saver.list(config, filter=filter, before=before, limit=limit)

    def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's own name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        return self._saver.alist(config, filter=filter, before=before, limit=limit)

    def get_next_version(self, current: Any, channel: None) -> Any:  # noqa: ANN401 - the saver's own type
        return self._saver.get_next_version(current, channel)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, Any]:
        return self._saver.get_delta_channel_history(config=config, channels=channels)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self._saver.aget_delta_channel_history(
            config=config, channels=channels
        )
        return found

    def with_allowlist(
        self, extra_allowlist: Collection[tuple[str, ...]]
    ) -> FencedSaver:
        inner = self._saver.with_allowlist(extra_allowlist)
        return FencedSaver(inner, self._turns, self._turn)
