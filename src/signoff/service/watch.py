"""What this process knows of the pauses, so that an allowed call need not ask.

What is known is at most `FRESH_S` old, counted from when it began to be read. A daemon
thread reads it anew, from the first use on; a caller who finds it older reads it
itself, and nothing runs where that fails.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from typing import Final

from signoff import clock
from signoff.domain.errors import WorldError
from signoff.domain.pauses import Pause
from signoff.ports import Store

log: Final = logging.getLogger("signoff")

EVERY_S: Final = 0.3
FRESH_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    pauses: tuple[Pause, ...]
    at: float


class Watch:
    """A list of the pauses that hold, and one daemon thread that keeps it fresh."""

    _seen: _Seen | None
    _thread: threading.Thread | None

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopped = threading.Event()
        self._abandoned = False
        self._begin_anew()

    def known(self) -> tuple[Pause, ...] | None:
        """The pauses that hold, from memory; None: that could be too old."""
        seen = self._seen
        if seen is None or self._process != os.getpid():
            return None
        return seen.pauses if clock.monotonic() - seen.at <= FRESH_S else None

    def look(self) -> tuple[Pause, ...]:
        """Read the pauses that hold, and keep them fresh from now on.

        Raises:
            StorageUnavailable: Nobody knows; nothing may run.
        """
        if self._process != os.getpid():
            self._begin_anew()
        if self._thread is None or not self._thread.is_alive():
            self._start()
        return self._read()

    def forget(self) -> None:
        """They changed in this process: whoever asks next reads them."""
        with self._keeping:
            self._changes += 1
            self._seen = None

    def stop(self) -> None:
        """End the thread; it reads nothing any more when this returns."""
        self._stopped.set()
        if self._process == os.getpid():
            with self._reading:
                pass

    def let_go(self) -> None:
        """Nobody will ask any more: the thread ends and closes what it opened.

        Waits for nothing, because a garbage collector calls it.
        """
        self._abandoned = True
        self._stopped.set()

    def _begin_anew(self) -> None:
        # After a fork the parent's thread isn't here, and its locks may be held.
        self._process = os.getpid()
        self._seen = None
        self._changes = 0
        self._keeping = threading.Lock()
        self._starting = threading.Lock()
        self._reading = threading.Lock()
        self._thread = None

    def _start(self) -> None:
        with self._starting:
            alive = self._thread is not None and self._thread.is_alive()
            if not alive and not self._stopped.is_set():
                self._thread = threading.Thread(
                    target=self._run, name="signoff-pauses", daemon=True
                )
                self._thread.start()

    def _read(self) -> tuple[Pause, ...]:
        began, changes = clock.monotonic(), self._changes
        with self._store.reading() as reading:
            found = tuple(reading.pauses())
        with self._keeping:
            newer = self._seen is not None and self._seen.at > began
            if changes == self._changes and not newer:
                self._seen = _Seen(found, began)
        return found

    def _run(self) -> None:
        while not self._stopped.wait(EVERY_S):
            with self._reading:
                if not self._stopped.is_set():
                    self._refresh()
        if self._abandoned:
            self._store.close()

    def _refresh(self) -> None:
        try:
            self._read()
        except WorldError as error:
            log.warning("pauses can't be read, so nothing runs: %s", error)
