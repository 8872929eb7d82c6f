"""Rings when something changed in this process, so that nobody has to poll often."""

from __future__ import annotations

from threading import Lock


class Bell:
    """Waits and wakes. A ring between two waits is not lost.

    Not a `threading.Condition`: that is written in Python, and a Ctrl-C on the way into
    it or out of it keeps its lock for good. A plain lock in a `with` can't be kept so.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._rings = 0
        self._waiting: list[Lock] = []

    def ring(self) -> None:
        """Wake everybody who waits."""
        with self._lock:
            self._rings += 1
            woken, self._waiting = self._waiting, []
        for one in woken:
            one.release()

    @property
    def rings(self) -> int:
        """How often it rang; pass it to `wait` to hear every ring since."""
        return self._rings

    def wait(self, heard: int, timeout: float) -> int:
        """Wait until it rang since `heard`, at most `timeout` seconds."""
        mine = Lock()
        mine.acquire()
        with self._lock:
            if self._rings != heard:
                return self._rings
            self._waiting.append(mine)
        try:
            mine.acquire(timeout=timeout)
        finally:
            with self._lock:
                if mine in self._waiting:
                    self._waiting.remove(mine)
        return self._rings
