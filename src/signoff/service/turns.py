"""One worker runs a thread at a time; a silent one loses its turn to the others."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from signoff import clock
from signoff.domain.duration import microseconds
from signoff.domain.errors import TurnLost, WorldError
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Fact
from signoff.ports import Store, Turn, Wakeup, Worker, Writing

log: Final = logging.getLogger("signoff")

HEARTBEAT: Final = timedelta(seconds=5)
GRACE: Final = timedelta(seconds=3)
"""How much later than its heartbeat a worker may be before it counts as dead."""
AGAIN_S: Final = 0.5
TRUSTED: Final = timedelta(seconds=1)
"""How long a turn that the database confirmed needs no question; a lease is longer."""
LOST: Final = "its worker went silent and lost its turn on the thread"


class Turns:
    """The turns that this process has; one daemon thread keeps them.

    Args:
        heartbeat: How often it says that it is alive; three seconds more are its lease.
        trusted: How long a confirmed turn counts as held without asking again, on a
            clock that goes on while the process, or the machine, sleeps.

    Attributes:
        worker: This process among all that share the store.
    """

    worker: str
    _held: dict[Turn, float]
    _lock: threading.Lock
    _thread: threading.Thread | None

    def __init__(
        self,
        store: Store,
        *,
        heartbeat: timedelta = HEARTBEAT,
        trusted: timedelta = TRUSTED,
    ) -> None:
        self._store = store
        self._trusted = trusted.total_seconds()
        self._every = heartbeat.total_seconds()
        self.lease = microseconds(heartbeat + GRACE)
        self._begin_anew()

    def take(self, thread: str, agent: str) -> Turn | None:
        """Take a thread's turn; None while another worker has it.

        One that its worker has lost is ended first, and taken at once.
        """
        taken = self.take_to_wake(thread, agent)
        return None if taken is None else taken[0]

    def take_to_wake(
        self, thread: str, agent: str
    ) -> tuple[Turn, Wakeup | None] | None:
        """`take`, with the reason that the thread has to go on, if it has one."""
        self._check_process()
        asked = clock.boottime()
        taken = self._take(thread, agent)
        if taken is None and self._lapsed(thread):
            asked = clock.boottime()
            taken = self._take(thread, agent)
        if taken is not None:
            with self._lock:
                self._held[taken[0]] = asked
            self._beat()
        return taken

    def check(self, turn: Turn) -> None:
        """Whether a turn is still this worker's.

        Raises:
            TurnLost: It isn't; nothing of this run may be kept any more.
        """
        asked = clock.boottime()
        confirmed = self._held.get(turn)
        if confirmed is not None and asked - confirmed < self._trusted:
            return
        if not self._store.holds(turn):
            raise TurnLost(turn.thread, turn.worker)
        with self._lock:
            if turn in self._held:
                self._held[turn] = asked

    def end(self, turn: Turn) -> None:
        """Give a turn back. If the database is down, it lapses instead."""
        with self._lock:
            if self._held.pop(turn, None) is None:
                return
        try:
            self._store.end_turn(turn)
        except WorldError as error:
            log.warning("a turn could not be given back, it will lapse: %s", error)

    def end_waking(self, turn: Turn, done: Wakeup) -> Wakeup | None:
        """Note that a thread went on, and give the turn back.

        Returns:
            A new reason that came meanwhile; then the turn is kept.
        """
        newer = self._store.end_waking(turn, done)
        if newer is None:
            with self._lock:
                self._held.pop(turn, None)
        return newer

    @property
    def held(self) -> Sequence[Turn]:
        """The turns that it has now."""
        with self._lock:
            return list(self._held)

    def enlist(self, agents: Sequence[str], concurrency: int) -> None:
        """Enter this process among the workers, and stay there until `dismiss`."""
        self._check_process()
        host, pid, _ = self.worker.rsplit("/", 2)
        worker = Worker(
            id=self.worker,
            host=host,
            pid=int(pid),
            agents=tuple(agents),
            concurrency=concurrency,
        )
        self._store.enlist(worker, self.lease)
        self._enlisted = True
        self._beat()

    def dismiss(self) -> None:
        """Leave the list of workers, in order."""
        self._enlisted = False
        self._store.dismiss(self.worker)

    def abandon(self) -> Sequence[Turn]:
        """Give up every turn, in the middle of its run, for others to take over."""
        with self._lock:
            held, self._held = list(self._held), {}
        for turn in held:
            lose_turn(self._store, turn, lapsed=False)
        return held

    def _take(self, thread: str, agent: str) -> tuple[Turn, Wakeup | None] | None:
        return self._store.take_turn(
            thread, agent, worker=self.worker, lease=self.lease
        )

    def _lapsed(self, thread: str) -> bool:
        with self._store.reading() as reading:
            turn = reading.turn(thread)
            if turn is not None and turn.lease_until > reading.now():
                return False
        if turn is not None:
            lose_turn(self._store, turn)
        return True

    def _begin_anew(self) -> None:
        # After a fork the parent keeps its turns; a child is a worker of its own.
        self._process = os.getpid()
        place = f"{socket.gethostname()}/{self._process}"
        self.worker = f"{place}/{secrets.token_hex(4)}"
        self._held = {}
        self._enlisted = False
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._thread = None

    def _check_process(self) -> None:
        if self._process != os.getpid():
            self._begin_anew()

    def _beat(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="signoff-turns", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        pause = self._every
        while not self._idle.wait(pause):
            with self._lock:
                if self._store.closed or not (self._held or self._enlisted):
                    self._thread = None
                    return
            pause = self._every if self._kept() else min(AGAIN_S, self._every)

    def _kept(self) -> bool:
        try:
            self._store.keep_turns(self.worker, self.lease)
        except WorldError as error:
            log.warning("turns could not be kept, trying again: %s", error)
            return False
        return True


def lose_turns(store: Store, limit: int = 100) -> int:
    """End the turns of workers that went silent; their threads go on elsewhere."""
    with store.reading() as reading:
        lapsed = reading.lapsed_turns(limit)
    return sum(1 for turn in lapsed if lose_turn(store, turn))


def lose_turn(store: Store, turn: Turn, *, lapsed: bool = True) -> bool:
    """End a turn that its worker can't end; what it was running has no known outcome.

    The thread's wake-up stands in the same transaction, so that somebody takes over.
    """
    with store.writing(turn.thread) as tx:
        if not tx.end_turn(turn, lapsed=lapsed):
            return False
        for entry in tx.entries_of_thread(turn.thread):
            if _ran_in(entry, turn):
                _lose(tx, entry)
        body = {"fence": turn.fence, "agent": turn.agent}
        tx.record(
            Fact(kind="turn_lost", subject=turn.thread, actor=turn.worker, body=body)
        )
        tx.wake(turn.agent)
        return True


def _ran_in(entry: Entry, turn: Turn) -> bool:
    place = turn.worker.rpartition("/")[0]
    return (
        entry.state is EntryState.RUNNING
        and entry.worker == place
        and entry.started_at >= turn.taken_at
    )


def _lose(tx: Writing, entry: Entry) -> None:
    if tx.move_entry(entry, "lose", summary=LOST):
        body = {
            "action": entry.action_id,
            "request": entry.request_id,
            "attempt": entry.attempt,
            "worker": entry.worker,
            "summary": LOST,
        }
        tx.record(Fact(kind="lost", subject=entry.id, actor=entry.worker, body=body))
