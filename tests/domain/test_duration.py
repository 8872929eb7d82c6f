"""Spans of time as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.domain.duration import duration, exactly, in_words
from signoff.domain.errors import PolicyError


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("1.5h", timedelta(minutes=90)),
        (" 2 d ", timedelta(days=2)),
        ("1w", timedelta(days=7)),
        (timedelta(minutes=3), timedelta(minutes=3)),
    ],
)
def test_spans_are_read(text: str | timedelta, span: timedelta) -> None:
    assert duration(text) == span


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("4", "must be a span such as"),
        ("", "must be a span such as"),
        ("4 hours", "must be a span such as"),
        ("-4h", "must be a span such as"),
        ("٤h1", "must be a span such as"),
        (3, "must be a span such as"),
        (None, "must be a span such as"),
        ("0s", "longer than zero"),
        (timedelta(seconds=-1), "longer than zero"),
        ("5218w", "at most a hundred years"),
        ("9" * 400 + "w", "at most a hundred years"),
    ],
)
def test_everything_else_is_refused(value: object, problem: str) -> None:
    with pytest.raises(PolicyError, match=problem) as refused:
        duration(value, name="expires_in")  # type: ignore[arg-type]
    assert "expires_in" in str(refused.value)


@given(st.timedeltas(timedelta(microseconds=1), timedelta(days=36000)))
def test_what_is_written_is_read_back(span: timedelta) -> None:
    written = exactly(span)
    assert written is not None
    assert duration(written) == span


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=45), "45s"),
        (timedelta(hours=4), "4h"),
        (timedelta(days=2, hours=3, seconds=5), "2d 3h"),
        (timedelta(days=-1), "0s"),
    ],
)
def test_spans_are_said(span: timedelta, words: str) -> None:
    assert in_words(span) == words
