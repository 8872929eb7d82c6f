"""What has to be done as time passes and decisions come in."""

from __future__ import annotations

from collections.abc import Sequence

from signoff.ports import Wakeup
from signoff.service import decide as deciding
from signoff.service import pauses
from signoff.service.core import Core


class Upkeep(Core):
    """The use cases of whoever keeps things going: a loop, a worker, a server."""

    def expire_due(self) -> int:
        """Settle the requests whose deadline has passed. Returns how many.

        Threads that a lifted pause let go, and that a crash left asleep, are woken too.
        """
        woken = pauses.wake_freed(self.store)
        expired = deciding.expire_due(self.store)
        if expired + woken > 0:
            self.bell.ring()
        return expired

    def wakeups(self, agent: str | None = None) -> Sequence[Wakeup]:
        """Threads that can go on, oldest first."""
        with self.store.reading() as reading:
            return reading.wakeups(agent)

    def done_waking(self, wakeup: Wakeup) -> None:
        """Forget a wake-up, unless a new reason has come since."""
        self.store.done_waking(wakeup)
