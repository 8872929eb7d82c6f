"""Keeps the leases of running entries alive while this process is."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Final

from signoff.domain.errors import WorldError
from signoff.domain.journal import Entry

log: Final = logging.getLogger("signoff")


Beat = Callable[[Sequence[tuple[str, int]], int], None]


class Pulse:
    """Beats for every held attempt, three times a lease, from one daemon thread."""

    _held: set[tuple[str, int]]
    _thread: threading.Thread | None

    def __init__(self, beat: Beat, lease: int) -> None:
        self._beat, self._lease = beat, lease
        self._stopped = threading.Event()
        self._begin_anew()

    def hold(self, entry: Entry) -> None:
        """Beat for this attempt until it is released."""
        self.hold_attempt(entry.id, entry.attempt)

    def release(self, entry: Entry) -> None:
        """Stop beating for this attempt; a later one of the same entry goes on."""
        self.release_attempt(entry.id, entry.attempt)

    def hold_attempt(self, entry_id: str, attempt: int) -> None:
        """`hold`, for attempts that are counted otherwise."""
        if self._process != os.getpid():
            self._begin_anew()
        with self._lock:
            self._held.add((entry_id, attempt))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="signoff-pulse", daemon=True
                )
                self._thread.start()

    def release_attempt(self, entry_id: str, attempt: int) -> None:
        """`release`, likewise."""
        if self._process != os.getpid():
            self._begin_anew()
        with self._lock:
            self._held.discard((entry_id, attempt))

    def stop(self) -> None:
        """Stop beating at all."""
        self._stopped.set()

    def _begin_anew(self) -> None:
        # After a fork the parent beats on for what it holds; its lock may be held.
        self._process = os.getpid()
        self._held = set()
        self._lock = threading.Lock()
        self._thread = None

    def _run(self) -> None:
        third = self._lease / 3 / 1_000_000
        while not self._stopped.wait(third):
            with self._lock:
                held = sorted(self._held)
            try:
                if held:
                    self._beat(held, self._lease)
            except WorldError as error:
                log.warning("leases could not be renewed, trying again: %s", error)
