"""Counts spans in working hours: `holidays` knows the days, `zoneinfo` the hours."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Container, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from signoff.domain.calendars import Calendar
from signoff.domain.duration import MICROSECOND
from signoff.domain.errors import InvalidSetting, PolicyError

__all__ = ["WorkingHours"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_FURTHEST: Final = 20 * 366
"""Days that are looked at: holidays further away aren't known to anybody."""


class WorkingHours:
    """The calendars of a policy, by their names.

    Raises:
        PolicyError: A calendar names holidays that the library doesn't know.
        InvalidSetting: A calendar names holidays, and the library isn't installed.
    """

    def __init__(self, calendars: Mapping[str, Calendar]) -> None:
        self._hours = {name: _Hours(name, one) for name, one in calendars.items()}

    @property
    def names(self) -> frozenset[str]:
        """Which calendars there are."""
        return frozenset(self._hours)

    def after(self, name: str, start: int, span: int) -> int:
        """When so many microseconds of a calendar's hours have passed since `start`.

        Raises:
            PolicyError: That is beyond twenty years.
        """
        return self._hours[name].after(start, span)


class _Hours:
    def __init__(self, name: str, calendar: Calendar) -> None:
        self.name = name
        self.calendar = calendar
        self.zone = ZoneInfo(calendar.timezone)
        self.holidays = _holidays(name, calendar.holidays)
        self.looking = threading.Lock()

    def after(self, start: int, span: int) -> int:
        left = span
        for opens, closes in self._open(start):
            worked = closes - max(opens, start)
            if worked >= left:
                return max(opens, start) + left
            left -= max(0, worked)
        raise PolicyError(f"calendar {self.name}: a span in its hours has no end.")

    def _open(self, start: int) -> Iterator[tuple[int, int]]:
        """The working hours of each day on the time line, from `start`'s day on."""
        first = (_EPOCH + start * MICROSECOND).astimezone(self.zone).date()
        for number in range(_FURTHEST):
            day = first + number * _DAY
            hours = self.calendar.week[day.weekday()]
            if hours is not None and not self._off(day):
                yield self._instant(day, hours[0]), self._instant(day, hours[1])

    def _instant(self, day: date, minutes: int) -> int:
        # The wall clock first, its zone after: so an hour that summer time takes or
        # gives is part of the day, or isn't.
        days, minutes = divmod(minutes, 24 * 60)
        midnight = datetime.combine(day + days * _DAY, datetime.min.time())
        wall = midnight + timedelta(minutes=minutes)
        return (wall.replace(tzinfo=self.zone) - _EPOCH) // MICROSECOND

    def _off(self, day: date) -> bool:
        if day in self.calendar.closed:
            return True
        # The library fills in a year when it is first asked about, without a lock.
        with self.looking:
            return day in self.holidays


def _holidays(name: str, place: str | None) -> Container[date]:
    if place is None:
        return ()
    try:
        import holidays  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise InvalidSetting(
            "calendars",
            "public holidays need an extra: pip install 'signoff[calendars]'.",
        ) from error
    country, _, part = place.partition("-")
    known = holidays.list_supported_countries()
    if country not in known:
        raise _unknown(name, country, list(known))
    if part != "" and part not in known[country]:
        raise _unknown(name, part, known[country])
    return holidays.country_holidays(country, subdiv=part or None)


def _unknown(name: str, place: str, known: list[str]) -> PolicyError:
    close = difflib.get_close_matches(place, known, n=1)
    return PolicyError(
        f"calendar {name}: no holidays are known of {place!r}; "
        f"there are: {', '.join(known)}.",
        suggestion=close[0] if close else None,
    )
