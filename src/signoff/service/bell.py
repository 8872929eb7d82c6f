"""Rings when something changed in this process, so that nobody has to poll often."""

from __future__ import annotations

import threading


class Bell:
    """Waits and wakes. A ring between two waits is not lost."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings = 0

    def ring(self) -> None:
        """Wake everybody who waits."""
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    @property
    def rings(self) -> int:
        """How often it rang; pass it to `wait` to hear every ring since."""
        return self._rings

    def wait(self, heard: int, timeout: float) -> int:
        """Wait until it rang since `heard`, at most `timeout` seconds."""
        with self._condition:
            self._condition.wait_for(lambda: self._rings != heard, timeout)
            return self._rings
