"""The plan of a request: in order, whatever the rule says and whenever it is swept."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff import Rule, escalation, review
from signoff.domain.timeline import Due, Timeline, now_due, timeline

MINUTE = 60_000_000
MINUTES = st.integers(1, 59).map(lambda minutes: timedelta(minutes=minutes))


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """A rule that expires in an hour, with any steps before."""
    to = draw(st.sampled_from([None, ["cfo"]]))
    at_the_end = to is not None and draw(st.booleans())
    after = None if to is None else draw(MINUTES)
    return review(
        "pay",
        expires_in="1h",
        remind_after=draw(st.lists(MINUTES, max_size=4)),
        ladder=[escalation(span, "board") for span in draw(st.lists(MINUTES))],
        escalate_to=to,
        escalate_after=after,
        on_expiry="escalate" if at_the_end else "reject",
    )


def swept(planned: Timeline, times: Sequence[int]) -> list[tuple[int, int]]:
    """Which steps sweeps at these times do: when, and which."""
    done, level = list[tuple[int, int]](), 0
    for now in times:
        while True:
            number = now_due(planned.steps, level, now=now, ends=planned.expires_at)
            if number is None:
                break
            done.append((now, number))
            level = number + 1
    return done


@pytest.mark.row("I11")
@given(rule=rules(), start=st.integers(0, 10**15))
def test_steps_are_in_order_and_before_the_deadline(rule: Rule, start: int) -> None:
    planned = timeline(rule, start=start)
    at = [step.at for step in planned.steps]
    assert at == sorted(at)
    assert all(start < time < planned.expires_at for time in at)
    spans = 2 if rule.on_expiry == "escalate" else 1
    assert planned.expires_at == start + spans * 60 * MINUTE


@pytest.mark.row("I11", "C21")
@given(rule=rules(), gaps=st.lists(st.integers(1, 90), min_size=1, max_size=8))
def test_any_sweeps_make_every_escalation_once(rule: Rule, gaps: list[int]) -> None:
    planned = timeline(rule, start=0)
    times = [sum(gaps[: n + 1]) * MINUTE for n in range(len(gaps))]
    times.append(max(times[-1], planned.expires_at) + MINUTE)
    done = swept(planned, times)
    numbers = [number for _, number in done]
    assert numbers == sorted(set(numbers))
    for number, step in enumerate(planned.steps):
        if step.due is Due.ESCALATE:
            assert number in numbers
    for now, number in done:
        assert planned.steps[number].at <= now
        if planned.steps[number].due is Due.REMIND:
            assert now < planned.expires_at
    reminded = [at for at, n in done if planned.steps[n].due is Due.REMIND]
    assert len(reminded) == len(set(reminded))  # never two at once
