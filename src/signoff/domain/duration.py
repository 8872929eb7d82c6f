"""Spans of time as people write them: `90s`, `10m`, `4h`, `2d`, `1w`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from signoff.domain.errors import PolicyError

MICROSECOND: Final = timedelta(microseconds=1)
LONGEST: Final = timedelta(days=36525)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_FORM: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhdw])")


def duration(value: str | timedelta, *, name: str = "duration") -> timedelta:
    """Read a span such as `"4h"`, or pass a timedelta on.

    Raises:
        PolicyError: If it isn't a span, is zero or less, or beyond a hundred years.
    """
    span = value if isinstance(value, timedelta) else _parse(value, name)
    if span <= timedelta(0):
        raise PolicyError(f"{name} must be longer than zero, not {value!r}.")
    if span > LONGEST:
        raise PolicyError(f"{name} must be at most a hundred years, not {value!r}.")
    return span


def microseconds(span: timedelta) -> int:
    """A span as whole microseconds."""
    return span // MICROSECOND


def exactly(span: timedelta | None) -> str | None:
    """A span that `duration` reads back unchanged, such as `604800s`; None for None."""
    if span is None:
        return None
    return f"{span.total_seconds():f}".rstrip("0").rstrip(".") + "s"


def in_words(span: timedelta) -> str:
    """A span as a person would say it: `4h`, `2d 3h`, `45s`."""
    left = max(0, int(span.total_seconds()))
    parts = []
    for unit, size in sorted(_UNITS.items(), key=lambda pair: -pair[1]):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def _parse(value: object, name: str) -> timedelta:
    found = _FORM.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise PolicyError(
            f"{name} must be a span such as '90s', '10m', '4h' or '2d', not {value!r}."
        )
    # Past the longest span, whatever the number; timedelta itself would overflow.
    seconds = min(float(found[1]) * _UNITS[found[2]], 2 * LONGEST.total_seconds())
    return timedelta(seconds=seconds)
