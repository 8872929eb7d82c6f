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
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt, StateSnapshot

from signoff import clock
from signoff.domain.errors import NoCheckpointer, SignoffError, UnknownThread
from signoff.domain.requests import Status
from signoff.langgraph._calls import AGENT, TEAM, USER
from signoff.langgraph._wakes import WAKE
from signoff.ports import Wakeup
from signoff.service import Approvals

log: Final = logging.getLogger("signoff")

LISTEN_S: Final = 0.25
ROUNDS: Final = 5
LONGEST_DELAY_S: Final = 300.0
TURN_S: Final = 0.01


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


class _Turn:
    """One resume of a thread at a time; forgotten when nobody holds or awaits it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Later:
    at: float
    delay: float


class Runner:
    """Runs one graph in this process; one resume of a thread at a time.

    Args:
        graph: A compiled graph with a checkpointer.
        agent: The name under which its actions are recorded; only wake-ups of this
            agent are taken.

    Raises:
        NoCheckpointer: The graph could never be resumed.
    """

    def __init__(self, so: Approvals, graph: Pregel[Any], *, agent: str) -> None:
        if not graph.checkpointer:
            raise NoCheckpointer("checkpointer")
        self.so, self.graph, self.agent = so, graph, agent
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()
        self._later: dict[str, _Later] = {}
        self._lock = threading.Lock()

    def start(
        self,
        input: Any,  # noqa: A002, ANN401 - LangGraph's own name and type
        *,
        thread_id: str,
        user: str | None = None,
        team: str | None = None,
    ) -> Outcome:
        """Give a thread an input and run it until it waits or is finished."""
        config = self._config(thread_id, user=user, team=team)
        with self._turn(thread_id):
            self.graph.invoke(input, config, durability="sync")
            return self._outcome(thread_id)

    def resume(self, thread_id: str) -> Outcome:
        """Let a thread go on with what was decided; harmless when nothing was.

        Raises:
            UnknownThread: It has no saved state; nothing is run.
        """
        with self._turn(thread_id):
            snapshot = self._snapshot(thread_id)
            config = self._config(thread_id, **_context_of(snapshot))
            self.graph.invoke(next_input(snapshot), config, durability="sync")
            return self._outcome(thread_id)

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
        async with self._aturn(thread_id):
            await self.graph.ainvoke(input, config, durability="sync")
            return _outcome(thread_id, await self.graph.aget_state(config))

    async def aresume(self, thread_id: str) -> Outcome:
        """`resume`, from async code."""
        bare = self._config(thread_id)
        async with self._aturn(thread_id):
            snapshot = _saved(thread_id, await self.graph.aget_state(bare))
            config = self._config(thread_id, **_context_of(snapshot))
            await self.graph.ainvoke(next_input(snapshot), config, durability="sync")
            return _outcome(thread_id, await self.graph.aget_state(config))

    def run_due(self) -> int:
        """Expire what is overdue and resume every thread that has a reason to.

        A thread that fails keeps its wake-up and is tried again after a second, then
        two, four and so on, at most five minutes; another process may try it earlier.

        Returns:
            How many threads were tried.
        """
        self.so.run_due()
        due = [one for one in self.so.wakeups(self.agent) if self._is_due(one)]
        for wakeup in due:
            self._wake(wakeup)
        return len(due)

    @contextmanager
    def watch(self) -> Iterator[Runner]:
        """Resume threads as they are decided, in a thread of its own, until the end."""
        stopped = threading.Event()
        thread = threading.Thread(
            target=self._listen, args=(stopped,), name="signoff-runner", daemon=True
        )
        thread.start()
        try:
            yield self
        finally:
            stopped.set()
            self.so.bell.ring()
            thread.join()

    def _listen(self, stopped: threading.Event) -> None:
        heard = self.so.bell.rings
        while not stopped.is_set():
            try:
                self.run_due()
            except SignoffError as error:
                log.warning("threads could not be woken, trying again: %s", error)
            heard = self.so.bell.wait(heard, LISTEN_S)

    def _is_due(self, wakeup: Wakeup) -> bool:
        later = self._later.get(wakeup.thread)
        return later is None or later.at <= clock.monotonic()

    def _wake(self, wakeup: Wakeup) -> None:
        try:
            for _ in range(ROUNDS):
                if not self._settled_in(self.resume(wakeup.thread)):
                    break
        except UnknownThread:
            log.warning(
                "thread %s has no saved state; its wake-up is dropped", wakeup.thread
            )
        except Exception as error:  # noqa: BLE001 - a graph may raise anything
            self._try_later(wakeup.thread, error)
            return
        self._later.pop(wakeup.thread, None)
        self.so.done_waking(wakeup)

    def _try_later(self, thread: str, error: Exception) -> None:
        before = self._later.get(thread)
        delay = 1.0 if before is None else min(before.delay * 2, LONGEST_DELAY_S)
        self._later[thread] = _Later(clock.monotonic() + delay, delay)
        said = "thread %s failed when it was resumed; again in %d s"
        log.error(said, thread, delay, exc_info=error)

    def _settled_in(self, outcome: Outcome) -> bool:
        """Whether it waits on a request that was settled while it came to rest."""
        asked = (ask for value in outcome.waiting for ask in requests_of(value))
        return any(self.so.get(ask).status is not Status.PENDING for ask in asked)

    def _outcome(self, thread_id: str) -> Outcome:
        return _outcome(thread_id, self.graph.get_state(self._config(thread_id)))

    def _snapshot(self, thread_id: str) -> StateSnapshot:
        return _saved(thread_id, self.graph.get_state(self._config(thread_id)))

    def _config(
        self, thread_id: str, *, user: str | None = None, team: str | None = None
    ) -> RunnableConfig:
        values = {"thread_id": thread_id, AGENT: self.agent, USER: user, TEAM: team}
        said = {key: value for key, value in values.items() if value is not None}
        return {"configurable": said}

    @contextmanager
    def _turn(self, thread_id: str) -> Iterator[None]:
        turn = self._turn_of(thread_id)
        with turn.lock:
            yield

    def _turn_of(self, thread_id: str) -> _Turn:
        with self._lock:
            return self._turns.setdefault(thread_id, _Turn())

    @asynccontextmanager
    async def _aturn(self, thread_id: str) -> AsyncIterator[None]:
        turn = self._turn_of(thread_id)
        # Polled: a task cancelled while another thread acquires for it would keep it.
        while not turn.lock.acquire(blocking=False):  # noqa: ASYNC110 - as above
            await anyio.sleep(TURN_S)
        try:
            yield
        finally:
            turn.lock.release()


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


def requests_of(value: Mapping[str, Any]) -> Iterator[str]:
    """The ids of the requests that a pause of signoff waits for."""
    ours = value.get("signoff") or {}
    for one in ours.get("calls", [ours]):
        if one.get("request_id") and not one.get("entry_id"):
            yield one["request_id"]


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
