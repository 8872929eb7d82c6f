"""`RemoteRunner`: wakes threads that run on a LangGraph Server, over its own API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar, cast

import anyio.to_thread
import httpx
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt, PregelTask, StateSnapshot
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.schema import Run, ThreadState

from signoff.domain.errors import (
    GraphServerFailed,
    InvalidSetting,
    ThreadBusy,
)
from signoff.langgraph._runner import Runner, next_input
from signoff.ports import Turn
from signoff.service import Approvals

T = TypeVar("T")

TRIES: Final = 5
_CONFLICT: Final = 409
_NOT_WAITING: Final = 400
_UNKNOWN: Final = frozenset({404, 422})
_ACTIVE: Final = ("running", "pending")
_FAILED: Final = frozenset({"error", "timeout"})


class RemoteRunner(Runner):
    """Starts and wakes the threads of a graph that a LangGraph Server runs.

    The middleware, tools node or gates run inside of the server, unchanged, on the same
    store. What a Runner does, this does: `start`, `resume`, `run_due`, `watch`.

    Args:
        so: The store that the deployed graph uses.
        server: The server's address, or a client of langgraph-sdk (with a key, headers
            or timeouts of your own).
        graph: The name of the graph, or the id of an assistant.
        agent: The name under which its actions are recorded; only wake-ups of this
            agent are taken.
    """

    def __init__(
        self,
        so: Approvals,
        server: str | SyncLangGraphClient,
        graph: str,
        *,
        agent: str,
    ) -> None:
        client = get_sync_client(url=server) if isinstance(server, str) else server
        self._own = client if isinstance(server, str) else None
        deployed = _Deployed(client, graph)
        super().__init__(so, cast("Pregel[Any]", deployed), agent=agent)

    def _can_go_on(self, graph: Pregel[Any]) -> bool:  # noqa: ARG002 - Runner's own
        return True

    def _within(self, turn: Turn) -> Pregel[Any]:  # noqa: ARG002 - Runner's own
        # The server writes the checkpoints, and runs one run of a thread at a time.
        return self.graph

    def close(self) -> None:
        """Close the connections to the server; a client that was given stays open."""
        if self._own is not None:
            self._own.close()


class _Deployed:
    """What Runner needs of a graph, for one on a server."""

    def __init__(self, client: SyncLangGraphClient, graph: str) -> None:
        self._client, self._graph = client, graph

    def invoke(
        self,
        input: Any,  # noqa: A002, ANN401 - LangGraph's own name and type
        config: RunnableConfig,
        *,
        durability: Any,  # noqa: ANN401 - LangGraph's own type
    ) -> None:
        """One run, to its end. A thread that is busy is awaited, then looked at again.

        Raises:
            ThreadBusy: It was never idle, or it was to get an input.
            GraphServerFailed: The server can't be reached, or the run failed there.
        """
        thread = _thread(config)
        with _answering(thread):
            if input is not None and not isinstance(input, Command):
                self._client.threads.create(thread_id=thread, if_exists="do_nothing")
                self._end(thread, self._begin(input, config, durability))
                return
            self._go_on(input, config, durability)

    def get_state(self, config: RunnableConfig) -> StateSnapshot:
        """Where a thread stands; one that the server doesn't know was never saved."""
        thread = _thread(config)
        with _answering(thread):
            try:
                return _snapshot(self._client.threads.get_state(thread))
            except httpx.HTTPStatusError as error:
                if error.response.status_code in _UNKNOWN:
                    return _NOWHERE
                raise

    async def ainvoke(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - those of `invoke`
        """`invoke`, in a thread of its own."""
        await _in_thread(self.invoke, *args, **kwargs)

    async def aget_state(self, config: RunnableConfig) -> StateSnapshot:
        """`get_state`, in a thread of its own."""
        return await _in_thread(self.get_state, config)

    def _go_on(
        self,
        given: Command[Any] | None,
        config: RunnableConfig,
        durability: Any,  # noqa: ANN401 - LangGraph's own type
    ) -> None:
        thread, latest = _thread(config), given
        for _ in range(TRIES):
            try:
                run = self._begin(latest, config, durability)
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                if status not in {_CONFLICT, _NOT_WAITING}:
                    raise
                self._await_others(thread)
                snapshot = self.get_state(config)
                latest = next_input(snapshot)
                if status == _NOT_WAITING and latest is None:
                    return  # such as Aegra's answer on a thread that waits for nothing
            else:
                self._end(thread, run)
                return
        raise ThreadBusy(thread)

    def _begin(
        self,
        given: Any,  # noqa: ANN401 - LangGraph's own type
        config: RunnableConfig,
        durability: Any,  # noqa: ANN401 - LangGraph's own type
    ) -> Run:
        values = {**config.get("configurable", {})}
        thread = str(values.pop("thread_id"))
        resumes = isinstance(given, Command)
        return self._client.runs.create(
            thread,
            self._graph,
            input=None if resumes else given,
            command={"resume": given.resume} if resumes else None,
            config={"configurable": values},
            multitask_strategy="reject",
            durability=durability,
        )

    def _end(self, thread: str, run: Run) -> None:
        said: Mapping[str, Any] = self._client.runs.join(thread, run["run_id"]) or {}
        ended = self._client.runs.get(thread, run["run_id"])["status"]
        if ended in _FAILED:
            reason = said.get("__error__") or f"it ended with {ended!r}"
            raise GraphServerFailed(thread, f"run {run['run_id']} failed: {reason}")

    def _await_others(self, thread: str) -> None:
        for status in _ACTIVE:
            for run in self._client.runs.list(thread, status=status):
                self._client.runs.join(thread, run["run_id"])


_NOWHERE: Final = StateSnapshot(
    values={},
    next=(),
    config={},
    metadata=None,
    created_at=None,
    parent_config=None,
    tasks=(),
    interrupts=(),
)


def _snapshot(state: ThreadState) -> StateSnapshot:
    tasks = tuple(
        PregelTask(
            id=task["id"],
            name=task["name"],
            path=(),
            interrupts=tuple(
                Interrupt(value=pause["value"], id=pause["id"])
                for pause in task.get("interrupts") or ()
            ),
            result=task.get("result"),
        )
        for task in state["tasks"]
    )
    return _NOWHERE._replace(
        values=state["values"],
        next=tuple(state["next"] or ()),
        metadata=cast("Any", state["metadata"]),
        created_at=state["created_at"],
        tasks=tasks,
        interrupts=tuple(pause for task in tasks for pause in task.interrupts),
    )


@contextmanager
def _answering(thread: str) -> Iterator[None]:
    """What the server says against it, as signoff's own errors."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status == _CONFLICT:
            raise ThreadBusy(thread) from error
        if status in _UNKNOWN:
            raise InvalidSetting("thread_id or graph", _one_line(error)) from error
        raise GraphServerFailed(thread, str(error)) from error
    except httpx.HTTPError as error:
        reason = f"it can't be reached ({type(error).__name__}: {error})"
        raise GraphServerFailed(thread, reason) from error


async def _in_thread(work: Callable[..., T], *args: object, **kwargs: object) -> T:
    return await anyio.to_thread.run_sync(partial(work, *args, **kwargs))


def _thread(config: RunnableConfig) -> str:
    return str(config.get("configurable", {})["thread_id"])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") + "."
