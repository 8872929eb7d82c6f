"""Delivers while a process runs: at once, and whenever something is due."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Final, Self

from signoff.domain.errors import WorldError
from signoff.domain.notices import SECOND
from signoff.ports import Outlets
from signoff.service import Approvals

log: Final = logging.getLogger("signoff")

LOOK_S: Final = 2.0
"""How often it looks for what other processes wrote."""
_JOIN_S: Final = 5.0


class Deliverer:
    """Sends what is due over some channels, as often as it is asked to.

    A loop of one's own calls `run_due` and waits until `next_due`; `start` does that in
    a daemon thread. Any number of deliverers may share a store.
    """

    def __init__(self, so: Approvals, outlets: Outlets) -> None:
        self._so, self._outlets = so, outlets
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="signoff-deliverer", daemon=True
        )

    def run_due(self) -> int:
        """Send what is due, a batch at most. Returns how many were sent."""
        return self._so.deliver_due(self._outlets)

    def next_due(self) -> int | None:
        """When to run again, on the database's clock; None: nothing waits."""
        return self._so.next_delivery(self._outlets)

    def start(self) -> None:
        """Deliver in a thread until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End it; what is on its way is finished, if that takes no longer than 5 s."""
        self._ended.set()
        self._so.bell.ring()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._ended.is_set():
            heard = self._so.bell.rings
            wait = LOOK_S
            try:
                self.run_due()
                wait = self._wait()
            except WorldError as error:
                log.warning("nobody can be told now, trying again: %s", error)
            except Exception:  # a row that can't be read must not end it for good
                log.exception("nobody can be told; trying on")
            self._so.bell.wait(heard, wait)

    def _wait(self) -> float:
        due = self.next_due()
        if due is None:
            return LOOK_S
        left = (due - self._so.now()) / SECOND
        return min(max(left, 0.05), LOOK_S)
