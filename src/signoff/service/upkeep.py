"""What has to be done as time passes and decisions come in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from signoff.clock import monotonic
from signoff.ports import Wakeup, Workforce
from signoff.service import deliver, overdue, pauses, purging, turns
from signoff.service.holding import Holding
from signoff.service.overdue import Swept

LONGEST_DELAY_S = 300
TIDY_EVERY_S = 3600


class Upkeep(Holding):
    """The use cases of whoever keeps things going: a loop, a worker, a server."""

    _tidy_from = 0.0
    _beside: Sequence[Upkeep] = ()

    def run_due(self) -> int:
        """Do everything whose time has come, in any process. Returns how much.

        Each piece does a bounded part; a caller that gets a number calls again.
        """
        return sum(work() for work in self._due_work())

    def next_due(self) -> int | None:
        """Microseconds until something has to be done; None while nothing waits."""
        tools = {tool for one in self._all for tool in one.undos.tools}
        ways = {way for one in self._all for way in one.holds.ways}
        with self.store.reading() as reading:
            return reading.next_due(tuple(tools), tuple(ways))

    def join(self, other: Upkeep) -> None:
        """Do what is due with the undos and tools of another one here, too.

        For a process, such as a worker, that keeps things going for graphs whose own
        `Signoff` has the policy, the undos and the tools.
        """
        if other is not self and other not in self._beside:
            self._beside = (*self._beside, other)

    def sweep(self) -> Swept:
        """Remind, escalate and settle what is due; after a stop, catch up."""
        done = overdue.sweep(self.store)
        if done:
            self.bell.ring()
        return done

    def expire_due(self) -> int:
        """`sweep`; how many requests it settled."""
        return self.sweep().settled

    def wake_freed(self) -> int:
        """Wake threads that a lifted pause let go, and that a crash left asleep."""
        woken = pauses.wake_freed(self.store)
        if woken:
            self.bell.ring()
        return woken

    def lose_turns(self) -> int:
        """End the turns of workers that went silent. Returns how many.

        What they were running has no known outcome any more, and their threads are
        woken, so that another worker goes on.
        """
        lost = turns.lose_turns(self.store)
        if lost:
            self.bell.ring()
        return lost

    def wakeups(
        self, agent: str | None = None, *, ready: bool = False
    ) -> Sequence[Wakeup]:
        """Threads that can go on, oldest first; with `ready` those that nobody runs."""
        with self.store.reading() as reading:
            return reading.wakeups(agent, ready=ready)

    def wakeup(self, thread: str) -> Wakeup | None:
        """The reason that a thread has to go on, if it has one."""
        with self.store.reading() as reading:
            return reading.wakeup(thread)

    def done_waking(self, wakeup: Wakeup) -> None:
        """Forget a wake-up, unless a new reason has come since."""
        self.store.done_waking(wakeup)

    def put_off(self, wakeup: Wakeup, error: str) -> float:
        """Note that a thread failed when it was woken, and try it again later.

        Returns:
            Seconds until then: one at first, then twice as many each time, at most 300.
        """
        delay = min(2 ** min(wakeup.attempts, 9), LONGEST_DELAY_S)
        self.store.put_off(wakeup, delay=delay * 1_000_000, error=error)
        return float(delay)

    def workforce(self) -> Workforce:
        """The workers, the threads that each runs, and what waits for them."""
        with self.store.reading() as reading:
            return reading.workforce()

    def _due_work(self) -> Sequence[Callable[[], int]]:
        """What `run_due` does, in order; each says how much there was."""
        own = self.wake_freed, self._swept, self.lose_turns, self._tidied
        return (*own, self._effects_due, self._purged)

    def _effects_due(self) -> int:
        # The others first: they have the tool of what this one could only ask about.
        return sum(one._own_effects_due() for one in reversed(self._all))  # noqa: SLF001 - of the same class

    def _own_effects_due(self) -> int:
        with self.store.reading() as reading:
            if not reading.any_effects():
                return 0
        return sum(work() for work in (*self._undo_work(), *self._held_work()))

    @property
    def _all(self) -> Sequence[Upkeep]:
        return (self, *(one for one in self._beside if not one.store.closed))

    def _swept(self) -> int:
        return self.sweep().total

    def _purged(self) -> int:
        return purging.purge(self.store, self.undos.keeping)

    def _tidied(self) -> int:
        """Remove notices that nobody took in time: a store may have no channels."""
        if monotonic() >= self._tidy_from:
            deliver.spread_new(self.store, ())
            self._tidy_from = monotonic() + TIDY_EVERY_S
        return 0
