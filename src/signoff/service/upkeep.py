"""What has to be done as time passes and decisions come in."""

from __future__ import annotations

from collections.abc import Sequence

from signoff.ports import Wakeup
from signoff.service import overdue
from signoff.service.core import Core
from signoff.service.overdue import Swept


class Upkeep(Core):
    """The use cases of whoever keeps things going: a loop, a worker, a server."""

    def run_due(self) -> Swept:
        """Remind, escalate and settle what is due; after a stop, catch up."""
        done = overdue.run_due(self.store)
        if done:
            self.bell.ring()
        return done

    def next_due(self) -> int | None:
        """When the next of them is due, on the database's clock; None if none is."""
        return overdue.next_due(self.store)

    def expire_due(self) -> int:
        """`run_due`; how many requests its deadlines settled."""
        return self.run_due().settled

    def wakeups(self, agent: str | None = None) -> Sequence[Wakeup]:
        """Threads that can go on, oldest first."""
        with self.store.reading() as reading:
            return reading.wakeups(agent)

    def done_waking(self, wakeup: Wakeup) -> None:
        """Forget a wake-up, unless a new reason has come since."""
        self.store.done_waking(wakeup)
