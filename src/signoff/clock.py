"""Time. Deadlines and windows are read from the database's clock, never from here.

Only this module reads the wall clock of the process, and only to show times to people.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from signoff.domain.duration import in_words, microseconds


@dataclass(slots=True)
class Clock:
    """What is added to the database's clock. Zero, but for tests that move time."""

    offset: timedelta = timedelta(0)

    @property
    def offset_us(self) -> int:
        """The offset in microseconds."""
        return microseconds(self.offset)


def wall_us() -> int:
    """Microseconds since 1970 UTC on this machine, for display only."""
    return time.time_ns() // 1000


def monotonic() -> float:
    """Seconds on a clock that never goes back, for waiting."""
    return time.monotonic()


def boottime() -> float:
    """Seconds on a clock that never goes back and goes on while the machine sleeps."""
    return time.clock_gettime(_BOOTTIME)


_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def as_datetime(at: int) -> datetime:
    """A database time as an aware datetime in UTC."""
    return datetime.fromtimestamp(at / 1_000_000, tz=UTC)


def ago(at: int, now: int | None = None) -> str:
    """`5m ago`, `in 2h`: a database time as a person says it."""
    delta = timedelta(microseconds=(wall_us() if now is None else now) - at)
    if delta < timedelta(0):
        return f"in {in_words(-delta)}"
    return f"{in_words(delta)} ago"
