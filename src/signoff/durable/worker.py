"""A worker: its place in the list, its signals, its orderly end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Final

from signoff.domain.duration import in_words
from signoff.ports import Carrier, Resumer
from signoff.service import Approvals
from signoff.service.loop import CONCURRENCY, Loop
from signoff.service.turns import HEARTBEAT, Turns

DRAIN: Final = timedelta(seconds=30)
GAVE_UP: Final = 1
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a worker works.

    Attributes:
        concurrency: How many threads it runs at the same time.
        heartbeat: How often it says that it is alive.
        drain: How long it waits at its end for what runs.
    """

    concurrency: int = CONCURRENCY
    heartbeat: timedelta = HEARTBEAT
    drain: timedelta = DRAIN


def carrier_for(
    so: Approvals, resumers: Sequence[Resumer], address: str, settings: Settings
) -> Carrier:
    """Jobs on PostgreSQL, one loop on SQLite.

    Raises:
        StorageUnavailable: The jobs' tables can't be made.
    """
    if not address.startswith("postgres"):
        return Loop(so, resumers, concurrency=settings.concurrency)
    from signoff.durable import jobs  # noqa: PLC0415 - SQLite needs no procrastinate

    jobs.install_jobs(address)
    return jobs.JobCarrier(
        so,
        resumers,
        address=address,
        concurrency=settings.concurrency,
        heartbeat=settings.heartbeat,
    )


class Worker:
    """Runs a carrier until the process is told to end.

    Args:
        turns: The turns of this process, which its resumers use too.
        say: Where to say, in a line, what happens.
    """

    def __init__(
        self,
        carrier: Carrier,
        turns: Turns,
        settings: Settings,
        *,
        say: Callable[[str], None],
    ) -> None:
        self._carrier, self._turns = carrier, turns
        self._settings, self._say = settings, say
        self._stopping = threading.Event()

    def run(self, agents: Sequence[str]) -> None:
        """Work until SIGTERM or SIGINT, then end what runs, within `drain`."""
        self._turns.enlist(agents, self._settings.concurrency)
        with self._signals():
            self._say("Ready. Ctrl-C stops it in order; twice, at once.")
            self._carrier.run()
        self._turns.dismiss()
        self._say("Stopped; nothing was left running.")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._hear) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        # In a thread: the handler interrupts code that may hold any lock.
        first = not self._stopping.is_set()
        self._stopping.set()
        work = self._drain if first else self._give_up
        threading.Thread(target=work, name="signoff-drain", daemon=True).start()

    def _drain(self) -> None:
        drain = self._settings.drain
        running = len(self._turns.held)
        self._say(
            f"Stopping: no new thread; {running} running, {in_words(drain)} at most."
        )
        late = threading.Timer(drain.total_seconds(), self._give_up)
        late.daemon = True
        late.start()
        self._carrier.stop()

    def _give_up(self) -> None:
        """End at once; what runs has no known outcome, and others take over."""
        try:
            given_up = self._turns.abandon()
            self._turns.dismiss()
            self._say(f"Gave up {len(given_up)} running; other workers go on with it.")
        finally:
            os._exit(GAVE_UP)
