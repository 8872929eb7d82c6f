"""Time that a test moves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from signoff.clock import Clock
from signoff.domain.duration import duration


@dataclass(slots=True)
class MovableClock(Clock):
    """The database's clock, ahead by what a test says: `Signoff(url, clock=...)`.

    Nothing waits: after `advance("2h")` every deadline within two hours has passed.
    """

    def advance(self, span: timedelta | str) -> None:
        """Move time forward, for every Signoff that has this clock.

        Raises:
            PolicyError: If it isn't a span such as `"2h"`, or isn't longer than zero.
        """
        self.offset += duration(span, name="span")
