"""`Runner`: starts threads and wakes them once their requests are settled."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakValueDictionary

import anyio
from anyio import to_thread
from anyio.from_thread import BlockingPortal
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt, StateSnapshot

from signoff.domain.errors import NoCheckpointer, TurnLost, UnknownThread
from signoff.domain.text import storable
from signoff.langgraph._calls import AGENT, TEAM, USER
from signoff.langgraph._fenced import fenced
from signoff.langgraph._owners import know_tools_of
from signoff.langgraph._wakes import WAKE
from signoff.ports import Turn, Wakeup
from signoff.service import Approvals
from signoff.service.loop import CONCURRENCY, Loop
from signoff.service.turns import Turns

log: Final = logging.getLogger("signoff")

ROUNDS: Final = 5
POLL_S: Final = 0.01
BUSY_S: Final = 0.05
ERROR_LENGTH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Where a thread came to rest.

    Attributes:
        waiting: The values of the pauses it waits on; none when it is finished.
        values: The graph's state.
    """

    thread: str
    waiting: tuple[Mapping[str, Any], ...]
    values: Any

    @property
    def finished(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.waiting == ()


class _Queue:
    """The resumes of a thread in this process; forgotten when nobody is in it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class Runner:
    """Runs one graph in this process; one run of a thread at a time in all processes.

    Args:
        graph: A compiled graph with a checkpointer.
        agent: The name under which its actions are recorded; only wake-ups of this
            agent are taken.
        turns: The turns of this process, if it has several runners.
        portal: The event loop in which the graph has to run, if it is an async one.

    Raises:
        NoCheckpointer: The graph could never be resumed.
    """

    def __init__(
        self,
        so: Approvals,
        graph: Pregel[Any],
        *,
        agent: str,
        turns: Turns | None = None,
        portal: BlockingPortal | None = None,
    ) -> None:
        if not self._can_go_on(graph):
            raise NoCheckpointer("checkpointer")
        self.so, self.graph, self.agent = so, graph, agent
        self.turns = Turns(so.store) if turns is None else turns
        self._portal = portal
        know_tools_of(so, graph, agent=agent, portal=portal)
        self._queues: WeakValueDictionary[str, _Queue] = WeakValueDictionary()
        self._lock = threading.Lock()

    def start(
        self,
        input: Any,  # noqa: A002, ANN401 - LangGraph's own name and type
        *,
        thread_id: str,
        user: str | None = None,
        team: str | None = None,
    ) -> Outcome:
        """Give a thread an input and run it until it waits or is finished.

        It waits while another process runs the thread.

        Raises:
            TurnLost: This process was silent for too long; another goes on with it.
        """
        config = self._config(thread_id, user=user, team=team)
        with self._turn(thread_id) as graph:
            graph.invoke(input, config, durability="sync")
            return _outcome(thread_id, graph.get_state(config))

    def resume(self, thread_id: str) -> Outcome:
        """Let a thread go on with what was decided; harmless when nothing was.

        Raises:
            UnknownThread: It has no saved state; nothing is run.
            TurnLost: As for `start`.
        """
        if self._portal is not None:
            return self._portal.call(self.aresume, thread_id)
        with self._turn(thread_id) as graph:
            self._resume_in(graph, thread_id)
            return _outcome(thread_id, graph.get_state(self._config(thread_id)))

    async def astart(
        self,
        input: Any,  # noqa: A002, ANN401 - LangGraph's own name and type
        *,
        thread_id: str,
        user: str | None = None,
        team: str | None = None,
    ) -> Outcome:
        """`start`, from async code."""
        config = self._config(thread_id, user=user, team=team)
        async with self._aturn(thread_id) as graph:
            await graph.ainvoke(input, config, durability="sync")
            return _outcome(thread_id, await graph.aget_state(config))

    async def aresume(self, thread_id: str) -> Outcome:
        """`resume`, from async code."""
        async with self._aturn(thread_id) as graph:
            await self._aresume_in(graph, thread_id)
            state = await graph.aget_state(self._config(thread_id))
            return _outcome(thread_id, state)

    def wake(self, thread: str) -> bool:
        """Let a thread go on if it has a reason to and nobody runs it.

        A thread that fails keeps its wake-up and is tried again after a second, then
        two, four and so on, at most five minutes.

        Returns:
            Whether it was this process's turn.
        """
        queue = self._queue_of(thread)
        if not queue.lock.acquire(blocking=False):
            return False
        try:
            taken = self.turns.take_to_wake(thread, self.agent)
            if taken is None:
                return False
            try:
                self._wake_in(*taken)
            finally:
                self.turns.end(taken[0])
        finally:
            queue.lock.release()
        return True

    def run_due(self) -> int:
        """Do what is due and resume every thread that has a reason to, one by one.

        Returns:
            How many threads were tried.
        """
        while self.so.run_due():
            pass
        ready = self.so.wakeups(self.agent, ready=True)
        return sum(self.wake(wakeup.thread) for wakeup in ready)

    @contextmanager
    def watch(self, *, concurrency: int = CONCURRENCY) -> Iterator[Runner]:
        """Resume threads as they are decided, in threads of its own, until the end.

        Args:
            concurrency: How many of the agent's threads may run at the same time.
        """
        loop = Loop(self.so, [self], concurrency=concurrency)
        thread = threading.Thread(target=loop.run, name="signoff-runner", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            loop.stop()
            self.so.bell.ring()
            thread.join()

    def _can_go_on(self, graph: Pregel[Any]) -> bool:
        return isinstance(graph.checkpointer, BaseCheckpointSaver)

    def _within(self, turn: Turn) -> Pregel[Any]:
        """The graph as it may run while this turn lasts."""
        return fenced(self.graph, self.turns, turn)

    def _wake_in(self, turn: Turn, wakeup: Wakeup | None) -> None:
        graph = self._within(turn)
        for _ in range(ROUNDS):
            if wakeup is None or wakeup.agent != self.agent:
                return
            try:
                self._go_on(graph, wakeup.thread)
            except TurnLost as lost:
                log.warning("%s", lost)
                return
            except UnknownThread as error:
                self._put_off(wakeup, error, trace=False)
                return
            except Exception as error:  # noqa: BLE001 - a graph may raise anything
                self._put_off(wakeup, error, trace=True)
                return
            wakeup = self.turns.end_waking(turn, wakeup)

    def _go_on(self, graph: Pregel[Any], thread: str) -> None:
        if self._portal is None:
            self._resume_in(graph, thread)
        else:
            self._portal.call(self._aresume_in, graph, thread)

    def _put_off(self, wakeup: Wakeup, error: Exception, *, trace: bool) -> None:
        shown = storable(f"{type(error).__name__}: {error}")[:ERROR_LENGTH]
        delay = self.so.put_off(wakeup, shown)
        said = "thread %s failed when it was resumed, again in %d s: %s"
        log.error(said, wakeup.thread, delay, shown, exc_info=error if trace else None)

    def _resume_in(self, graph: Pregel[Any], thread: str) -> None:
        bare = self._config(thread)
        snapshot = _saved(thread, graph.get_state(bare))
        config = self._config(thread, **_context_of(snapshot))
        graph.invoke(next_input(snapshot), config, durability="sync")

    async def _aresume_in(self, graph: Pregel[Any], thread: str) -> None:
        bare = self._config(thread)
        snapshot = _saved(thread, await graph.aget_state(bare))
        config = self._config(thread, **_context_of(snapshot))
        await graph.ainvoke(next_input(snapshot), config, durability="sync")

    def _config(
        self, thread_id: str, *, user: str | None = None, team: str | None = None
    ) -> RunnableConfig:
        values = {"thread_id": thread_id, AGENT: self.agent, USER: user, TEAM: team}
        said = {key: value for key, value in values.items() if value is not None}
        return {"configurable": said}

    @contextmanager
    def _turn(self, thread_id: str) -> Iterator[Pregel[Any]]:
        with self._queue_of(thread_id).lock:
            heard = self.so.bell.rings
            while (turn := self.turns.take(thread_id, self.agent)) is None:
                heard = self.so.bell.wait(heard, BUSY_S)
            try:
                yield self._within(turn)
            finally:
                self.turns.end(turn)
        self.so.bell.ring()

    def _queue_of(self, thread_id: str) -> _Queue:
        with self._lock:
            return self._queues.setdefault(thread_id, _Queue())

    @asynccontextmanager
    async def _aturn(self, thread_id: str) -> AsyncIterator[Pregel[Any]]:
        queue = self._queue_of(thread_id)
        # Polled: a task cancelled while another thread acquires for it would keep it.
        while not queue.lock.acquire(blocking=False):  # noqa: ASYNC110 - as above
            await anyio.sleep(POLL_S)
        try:
            turn = await self._atake(thread_id)
            try:
                yield self._within(turn)
            finally:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(self.turns.end, turn)
        finally:
            queue.lock.release()
        self.so.bell.ring()

    async def _atake(self, thread_id: str) -> Turn:
        while True:
            # Shielded: a turn that is taken for a cancelled task would never be ended.
            with anyio.CancelScope(shield=True):
                turn = await to_thread.run_sync(self.turns.take, thread_id, self.agent)
            if turn is not None:
                return turn
            await anyio.sleep(BUSY_S)


def next_input(snapshot: StateSnapshot) -> Command[Any] | None:
    """How to go on safely: wake our pauses by their ids, else just go on.

    An empty `next` doesn't mean finished: a process that died between two writes
    leaves one with work undone. Going on with no input is right in every such case and
    does nothing on a finished thread. The value carries no decision; the store does.
    """
    ours = [pause.id for pause in open_pauses(snapshot) if is_ours(pause)]
    return Command(resume=dict.fromkeys(ours, WAKE)) if ours else None


def open_pauses(snapshot: StateSnapshot) -> Iterator[Interrupt]:
    """The pauses that still wait; LangGraph 1.2.12 shows answered ones too."""
    for task in snapshot.tasks:
        if task.result is None:
            yield from task.interrupts


def is_ours(pause: Interrupt) -> bool:
    """Whether a pause was made by signoff."""
    return isinstance(pause.value, Mapping) and "signoff" in pause.value


def _saved(thread_id: str, snapshot: StateSnapshot) -> StateSnapshot:
    if snapshot.created_at is None:
        raise UnknownThread(thread_id)
    return snapshot


def _outcome(thread_id: str, snapshot: StateSnapshot) -> Outcome:
    waiting = tuple(pause.value for pause in open_pauses(snapshot))
    return Outcome(thread=thread_id, waiting=waiting, values=snapshot.values)


def _context_of(snapshot: StateSnapshot) -> dict[str, Any]:
    """The user and team of the run that is resumed, kept with its checkpoint."""
    kept: Mapping[str, Any] = {**(snapshot.metadata or {})}
    return {"user": kept.get(USER), "team": kept.get(TEAM)}
