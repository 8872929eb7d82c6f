"""Working hours: which hours of which days count."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from signoff.domain.errors import PolicyError
from signoff.domain.rules import Rule

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEKDAYS: Final = DAYS[:5]
MIDNIGHT: Final = 24 * 60
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_SPAN: Final = re.compile(r"(\d\d:\d\d)\s*-\s*(\d\d:\d\d)")

Hours = tuple[int, int]
"""From when to when, in minutes since midnight on the wall clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The hours in which a rule's spans are counted.

    Attributes:
        timezone: An IANA name, such as `Europe/Berlin`.
        week: The hours of each day from Monday on; None is a day off.
        holidays: A country, or a country and its part (`DE`, `DE-BE`), or None.
        closed: Further days off.
    """

    timezone: str
    week: tuple[Hours | None, ...]
    holidays: str | None = None
    closed: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        _check_timezone(self.timezone)
        if all(hours is None for hours in self.week):
            raise PolicyError("days is empty, so no hour would ever count; name some.")


def calendar(  # noqa: PLR0913 - each keyword is one line of a calendar
    timezone: str,
    *,
    days: Sequence[str] = WEEKDAYS,
    open: str = "09:00",  # noqa: A002 - as in the file
    close: str = "17:00",
    hours: Mapping[str, str] | None = None,
    holidays: str | None = None,
    closed: Iterable[str | date] = (),
) -> Calendar:
    """Working hours, such as `calendar("Europe/Berlin", holidays="DE-BE")`.

    Args:
        timezone: An IANA name; its summer time is followed.
        days: `mon` to `sun`.
        open: When these days begin, such as `09:00`.
        close: When they end; `24:00` is midnight.
        hours: Days with hours of their own: `{"sat": "09:00-13:00"}`.
        holidays: The country whose public holidays are off, or `DE-BE` for a part.
        closed: Further days off, such as `2026-12-24`.

    Raises:
        PolicyError: Something of it is no day, time, date or zone.
    """
    usual = _hours("open", open, close)
    week = {_day("days", day): usual for day in days}
    for day, text in ({} if hours is None else hours).items():
        found = _SPAN.fullmatch(text)
        if found is None:
            raise PolicyError(f"hours: {day} is '09:00-13:00' or so, not {text!r}.")
        week[_day("hours", day)] = _hours("hours", found[1], found[2])
    return Calendar(
        timezone=timezone,
        week=tuple(week.get(number) for number in range(len(DAYS))),
        holidays=holidays,
        closed=frozenset(map(_date, closed)),
    )


_KEYS: Final[Mapping[str, tuple[type, str]]] = {
    "timezone": (str, "a name such as 'Europe/Berlin'"),
    "days": (list, "a list of days, such as ['mon', 'tue']"),
    "open": (str, "a time such as '09:00'"),
    "close": (str, "a time such as '17:00'"),
    "hours": (dict, "a table such as {sat = '09:00-13:00'}"),
    "holidays": (str, "a country such as 'DE', or its part: 'DE-BE'"),
    "closed": (list, "a list of dates, such as ['2026-12-24']"),
}
KEYS: Final = tuple(_KEYS)
"""What the table of a calendar may say."""


def read_calendar(table: Mapping[str, Any]) -> Calendar:
    """The calendar of a table in a policy file; its keys were checked before.

    Raises:
        PolicyError: A value is of another type, or makes no sense.
    """
    if "timezone" not in table:
        raise PolicyError("timezone is missing; name one, such as 'Europe/Berlin'.")
    for key, value in table.items():
        kind, form = _KEYS[key]
        if not isinstance(value, kind) or not _holds(key, value):
            raise PolicyError(f"{key} takes {form}, not {value!r}.")
    return calendar(**table)


def _holds(key: str, value: Any) -> bool:  # noqa: ANN401 - from a file
    """Whether what is inside a list or a table is what this key takes."""
    items = (str, date) if key == "closed" else str
    if isinstance(value, dict):
        return all(isinstance(item, items) for item in value.values())
    return isinstance(value, str) or all(isinstance(v, items) for v in value)


def _hours(name: str, opens: str, closes: str) -> Hours:
    found = _minutes(name, opens), _minutes(name, closes)
    if found[0] >= found[1]:
        raise PolicyError(f"{name}: a day must close after it opens ({opens}).")
    return found


def _minutes(name: str, text: object) -> int:
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise PolicyError(f"{name}: {text!r} is no time such as '09:00'.")
    return MIDNIGHT if found[1] is None else int(found[1]) * 60 + int(found[2])


def _day(name: str, day: str) -> int:
    if day not in DAYS:
        raise PolicyError(f"{name}: {day!r} is no day; there are: {', '.join(DAYS)}.")
    return DAYS.index(day)


def _date(value: str | date) -> date:
    try:
        # A datetime is a date as well, but never the day that was meant.
        return date.fromisoformat(str(value))
    except ValueError:
        raise PolicyError(f"closed: {value!r} is no date such as 2026-12-24.") from None


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        close = difflib.get_close_matches(name, _zones(), n=1)
        raise PolicyError(
            f"timezone: {name!r} is no zone such as 'Europe/Berlin'.",
            suggestion=close[0] if close else None,
        ) from None


@cache
def _zones() -> tuple[str, ...]:
    return tuple(available_timezones())


def check_hours(rule: Rule, names: Iterable[str]) -> None:
    """Whether a rule's calendar is there.

    Raises:
        PolicyError: It isn't.
    """
    known = sorted(names)
    if rule.hours is None or rule.hours in known:
        return
    close = difflib.get_close_matches(rule.hours, known, n=1)
    there = f"there are: {', '.join(known)}" if known else "there is none"
    raise PolicyError(
        f"hours names the calendar {rule.hours!r}, but {there}.",
        suggestion=close[0] if close else None,
    )
