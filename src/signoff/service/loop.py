"""Wakes threads and does what is due inside of one process; no queue, no broker.

It sleeps until something rings in this process, another process changes the database,
or the next deadline comes, and never longer than `LONGEST_S`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

from signoff import clock
from signoff.domain.errors import WorldError
from signoff.ports import Resumer, Wakeup, Watch
from signoff.service.approvals import Approvals

log: Final = logging.getLogger("signoff")

LONGEST_S: Final = 1.0
"""How late a deadline is seen at most while a process runs."""
CONCURRENCY: Final = 4


class Loop:
    """One loop for the threads of this process's agents; a `Carrier`.

    Args:
        concurrency: How many threads may run at the same time.
    """

    def __init__(
        self,
        so: Approvals,
        resumers: Sequence[Resumer],
        *,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._so, self._resumers = so, resumers
        self._slots = threading.Semaphore(concurrency)
        self._concurrency = concurrency
        self._stopped = threading.Event()
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Work until `stop`, and end what runs then."""
        look_for_orphans(self._so, [one.agent for one in self._resumers])
        watch = self._so.store.watch()
        with (
            closing(watch),
            ThreadPoolExecutor(self._concurrency, "signoff-run") as pool,
        ):
            while not self._stopped.is_set():
                heard = self._so.bell.rings
                if not self._look(pool.submit):
                    self._sleep(heard, watch)

    def stop(self) -> None:
        """Take no new thread; from any thread of the process, or a signal handler."""
        self._stopped.set()

    def _look(self, submit: Callable[..., object]) -> bool:
        """Do what is due and start what can go on; whether to look again at once."""
        try:
            done = self._so.run_due()
            for resumer in self._resumers:
                for wakeup in self._so.wakeups(resumer.agent, ready=True):
                    self._start(submit, resumer, wakeup)
        except WorldError as error:
            log.warning("threads could not be woken, trying again: %s", error)
            self._stopped.wait(LONGEST_S)
            return False
        return done > 0

    def _start(
        self, submit: Callable[..., object], resumer: Resumer, wakeup: Wakeup
    ) -> None:
        with self._lock:
            if wakeup.thread in self._running:
                return
            if not self._slots.acquire(blocking=False):
                return
            self._running.add(wakeup.thread)
        submit(self._wake, resumer, wakeup.thread)

    def _wake(self, resumer: Resumer, thread: str) -> None:
        try:
            wake(resumer, thread)
        finally:
            with self._lock:
                self._running.discard(thread)
            self._slots.release()
            self._so.bell.ring()

    def _sleep(self, heard: int, watch: Watch) -> None:
        until = clock.monotonic() + self._nap()
        while not self._stopped.is_set():
            left = until - clock.monotonic()
            if left <= 0 or self._so.bell.wait(heard, min(left, watch.every)) != heard:
                return
            if self._changed(watch):
                return

    def _nap(self) -> float:
        try:
            due = self._so.next_due()
        except WorldError:
            return LONGEST_S
        return LONGEST_S if due is None else min(due / 1_000_000, LONGEST_S)

    def _changed(self, watch: Watch) -> bool:
        try:
            return watch.changed()
        except WorldError:
            return False  # the next look says so


def look_for_orphans(so: Approvals, agents: Sequence[str]) -> None:
    """Of a deploy that has lost an undo people hear, and no window closes on it."""
    try:
        so.hold_orphans(agents)
    except WorldError as error:
        log.warning("open windows could not be looked through: %s", error)


def wake(resumer: Resumer, thread: str) -> None:
    """Wake one thread; whatever goes wrong is logged, and its wake-up stays."""
    try:
        resumer.wake(thread)
    except WorldError as error:
        log.warning("thread %s could not be woken, trying again: %s", thread, error)
    except Exception:
        log.exception("thread %s could not be woken", thread)
