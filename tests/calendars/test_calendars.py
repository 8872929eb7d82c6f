"""Working hours: across nights, weekends, holidays and the two days of summer time."""

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff import Policy, Signoff, calendar, review
from signoff.calendars import WorkingHours
from signoff.domain.errors import PolicyError
from tests.service.making import ask
from tests.support import ROOT

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
BERLIN = ZoneInfo("Europe/Berlin")
OFFICE: Mapping[str, Any] = {"timezone": "Europe/Berlin"}
EVERY_DAY = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ALWAYS = {**OFFICE, "days": EVERY_DAY, "open": "00:00", "close": "24:00"}


def end(start: str, span: timedelta, **table: Any) -> str:  # noqa: ANN401 - a calendar
    """When a span of these hours is over, on Berlin's wall clock."""
    hours = WorkingHours({"c": calendar(**(table or OFFICE))})
    began = datetime.fromisoformat(start).replace(tzinfo=BERLIN)
    at = hours.after("c", (began - EPOCH) // MICROSECOND, span // MICROSECOND)
    return str((EPOCH + at * MICROSECOND).astimezone(BERLIN))


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


SATURDAY = {**OFFICE, "hours": {"sat": "09:00-13:00"}}
GERMANY = {**OFFICE, "holidays": "DE"}
BAVARIA = {**OFFICE, "holidays": "DE-BY"}
CLOSED = {**OFFICE, "closed": ["2026-06-02"]}
NO_SUNDAY = {**ALWAYS, "closed": ["2026-03-29", "2026-10-25"]}
SUNDAYS = {**OFFICE, "days": ("sun",), "open": "01:00", "close": "04:00"}
GAP = {**OFFICE, "days": EVERY_DAY, "open": "02:30", "close": "04:00"}
CASES: dict[str, tuple[str, float, Mapping[str, Any], str]] = {
    # 2026-06-01 is a Monday.
    "within a day": ("2026-06-01 10:00", 2, OFFICE, "2026-06-01 12:00:00+02:00"),
    "to the minute": ("2026-06-01 10:07", 0.05, OFFICE, "2026-06-01 10:10:00+02:00"),
    "before it opens": ("2026-06-01 03:00", 1, OFFICE, "2026-06-01 10:00:00+02:00"),
    "till it closes": ("2026-06-01 09:00", 8, OFFICE, "2026-06-01 17:00:00+02:00"),
    "over night": ("2026-06-01 16:00", 2, OFFICE, "2026-06-02 10:00:00+02:00"),
    "over a weekend": ("2026-06-05 16:30", 1, OFFICE, "2026-06-08 09:30:00+02:00"),
    "from a weekend": ("2026-06-06 12:00", 1, OFFICE, "2026-06-08 10:00:00+02:00"),
    "Saturday": ("2026-06-05 16:00", 4, SATURDAY, "2026-06-06 12:00:00+02:00"),
    "after Saturday": ("2026-06-06 12:00", 2, SATURDAY, "2026-06-08 10:00:00+02:00"),
    "Christmas": ("2026-12-24 16:00", 2, GERMANY, "2026-12-28 10:00:00+01:00"),
    "not in Berlin": ("2026-01-05 16:00", 2, GERMANY, "2026-01-06 10:00:00+01:00"),
    "Epiphany": ("2026-01-05 16:00", 2, BAVARIA, "2026-01-07 10:00:00+01:00"),
    "closed": ("2026-06-01 16:00", 2, CLOSED, "2026-06-03 10:00:00+02:00"),
    "next year": ("2026-12-31 16:00", 2, GERMANY, "2027-01-04 10:00:00+01:00"),
    # Summer time begins on 2026-03-29 at 02:00 and ends on 2026-10-25 at 03:00.
    "spring": ("2026-03-28 12:00", 24, ALWAYS, "2026-03-29 13:00:00+02:00"),
    "autumn": ("2026-10-24 12:00", 24, ALWAYS, "2026-10-25 11:00:00+01:00"),
    "a day off of 23": ("2026-03-28 23:00", 2, NO_SUNDAY, "2026-03-30 01:00:00+02:00"),
    "a day off of 25": ("2026-10-24 23:00", 2, NO_SUNDAY, "2026-10-26 01:00:00+01:00"),
    "a short shift": ("2026-03-29 00:00", 2.5, SUNDAYS, "2026-04-05 01:30:00+02:00"),
    "a long shift": ("2026-10-25 00:00", 3.5, SUNDAYS, "2026-10-25 03:30:00+01:00"),
    "no such opening": ("2026-03-29 00:00", 0.25, GAP, "2026-03-29 03:45:00+02:00"),
}


@pytest.mark.row("C14")
@pytest.mark.parametrize("case", CASES)
def test_a_span_in_working_hours(case: str) -> None:
    start, span, table, expected = CASES[case]
    assert end(start, hours(span), **table) == expected


@pytest.mark.row("C14")
@given(
    start=st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)),  # noqa: DTZ001 - wall clock
    one=st.integers(1, 200 * 60),
    other=st.integers(1, 200 * 60),
)
def test_spans_add_up(start: datetime, one: int, other: int) -> None:
    """Two spans one after the other end where their sum ends, and never earlier."""
    kept = WorkingHours({"c": calendar(**SATURDAY), "always": calendar(**ALWAYS)})
    began = (start.replace(tzinfo=BERLIN) - EPOCH) // MICROSECOND
    a, b = one * 60_000_000, other * 60_000_000
    middle = kept.after("c", began, a)
    assert began + a <= middle < kept.after("c", began, a + 1)
    assert kept.after("c", middle, b) == kept.after("c", began, a + b)
    assert kept.after("always", began, a) == began + a


def test_many_threads_see_the_same_holidays() -> None:
    kept = WorkingHours({"c": calendar(**GERMANY)})
    began = (datetime(2026, 12, 24, 16, tzinfo=BERLIN) - EPOCH) // MICROSECOND
    span = hours(2) // MICROSECOND
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: kept.after("c", began, span), range(64)))
    assert len(found) == 1


WRONG: dict[str, tuple[Mapping[str, Any], str]] = {
    "zone": ({"timezone": "Europe/Berlim"}, "Did you mean 'Europe/Berlin'"),
    "day": ({**OFFICE, "days": ["monday"]}, "there are: mon, tue"),
    "no day": ({**OFFICE, "days": []}, "no hour would ever count"),
    "time": ({**OFFICE, "open": "9"}, "no time such as '09:00'"),
    "order": ({**OFFICE, "open": "18:00"}, "must close after it opens"),
    "hours": ({**OFFICE, "hours": {"sat": "morning"}}, "sat is '09:00-13:00' or so"),
    "date": ({**OFFICE, "closed": ["Christmas"]}, "no date such as 2026-12-24"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_calendar_that_makes_no_sense_is_refused(case: str) -> None:
    table, problem = WRONG[case]
    with pytest.raises(PolicyError, match=problem):
        calendar(**table)


@pytest.mark.parametrize(
    ("place", "problem"),
    [("XX", "no holidays are known of 'XX'"), ("DE-BX", "no holidays.*'BX'.*BE")],
)
def test_unknown_holidays_are_refused(place: str, problem: str) -> None:
    with pytest.raises(PolicyError, match=problem):
        WorkingHours({"c": calendar("Europe/Berlin", holidays=place)})


def test_a_calendar_without_an_end_is_refused() -> None:
    kept = WorkingHours({"c": calendar("Europe/Berlin")})
    with pytest.raises(PolicyError, match="has no end"):
        kept.after("c", 0, hours(365 * 24 * 20) // MICROSECOND)


def test_a_missing_extra_is_one_clear_error() -> None:
    program = """
import sys
sys.modules["holidays"] = None
from signoff import calendar
from signoff.calendars import WorkingHours
WorkingHours({"plain": calendar("Europe/Berlin")})
WorkingHours({"c": calendar("Europe/Berlin", holidays="DE")})
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "pip install 'signoff[calendars]'" in ended.stderr.splitlines()[-1]


FILE = """
[calendars.berlin]
timezone = "Europe/Berlin"
holidays = "DE-BE"
closed = [2026-12-24]

[[rule]]
verdict = "review"
tools = ["pay"]
hours = "berlin"
expires_in = "4h"
remind_after = ["1h"]
"""


def test_a_rule_counts_in_the_hours_of_its_calendar(
    database_url: str,
    tmp_path: Any,  # noqa: ANN401 - pytest's
) -> None:
    file = tmp_path / "signoff.toml"
    file.write_text(FILE)
    policy = Policy.load(file)
    so = Signoff(database_url, policy=policy)
    request = ask(so)
    kept = WorkingHours(policy.calendars)
    hour = hours(1) // MICROSECOND
    assert request.expires_at == kept.after("berlin", request.asked_at, 4 * hour)
    (reminder,) = request.timeline
    assert reminder.at == kept.after("berlin", request.asked_at, hour)
    so.close()


def test_the_same_in_python(database_url: str) -> None:
    rules = [review("pay", hours="berlin", expires_in="4h")]
    so = Signoff(database_url, policy=rules, calendars={"berlin": calendar(**OFFICE)})
    assert ask(so).expires_at >= so.now()
    so.close()
    with pytest.raises(PolicyError, match=r"'berlin', but there are: berlim\."):
        Signoff(database_url, policy=rules, calendars={"berlim": calendar(**OFFICE)})
    with pytest.raises(PolicyError, match="but there is none"):
        Signoff(database_url, policy=rules)
