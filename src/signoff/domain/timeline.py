"""When what is due: computed once, when it is asked, in the database's time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from signoff.domain.deadlines import Silence
from signoff.domain.duration import microseconds

if TYPE_CHECKING:
    from signoff.domain.rules import Rule  # at run time it costs CEL's import

After = Callable[[int, int], int]
"""`after(start, span)`: when a span is over that begins at `start`, in microseconds."""


class Due(StrEnum):
    """What happens at a step."""

    REMIND = "remind"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that is done about a request while nobody answers.

    Attributes:
        at: Microseconds since 1970 UTC on the database clock.
        to: Who may decide as well from then on.
    """

    at: int
    due: Due
    to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The steps in order, and when silence is taken for an answer."""

    steps: tuple[Step, ...]
    expires_at: int


def plain_hours(start: int, span: int) -> int:
    """Every hour counts."""
    return start + span


def timeline(rule: Rule, *, start: int, after: After = plain_hours) -> Timeline:
    """What a rule has planned for a request that is made at `start`."""
    deadline = after(start, microseconds(rule.expires_in))
    steps = [
        Step(at=after(start, microseconds(span)), due=Due.REMIND)
        for span in rule.remind_after
    ]
    steps += [
        Step(at=after(start, microseconds(one.after)), due=Due.ESCALATE, to=one.to)
        for one in rule.ladder
    ]
    if rule.escalate_to is not None and rule.escalate_after is not None:
        at = after(start, microseconds(rule.escalate_after))
        steps.append(Step(at=at, due=Due.ESCALATE, to=rule.escalate_to))
    if rule.on_expiry is Silence.ESCALATE and rule.escalate_to is not None:
        steps.append(Step(at=deadline, due=Due.ESCALATE, to=rule.escalate_to))
        deadline = after(deadline, microseconds(rule.expires_in))
    # A reminder at the moment of an escalation comes first: then it is left out.
    steps.sort(key=lambda step: (step.at, step.due is Due.ESCALATE))
    return Timeline(steps=tuple(steps), expires_at=deadline)


def now_due(steps: Sequence[Step], level: int, *, now: int, ends: int) -> int | None:
    """Which step is done next, of those that are due; None if none is.

    Steps that several missed sweeps left behind are caught up in order: every
    escalation is made; of the reminders only one is sent, and only where nothing that
    came after it is due as well.

    Args:
        steps: All steps, in order.
        level: How many were done, or left out.
        now: The time, on the clock of the steps.
        ends: The deadline, on the same clock.
    """
    due = [n for n in range(level, len(steps)) if steps[n].at <= now]
    for number in due:
        if steps[number].due is Due.ESCALATE:
            return number
    return due[-1] if due != [] and ends > now else None


def narrowed(steps: Iterable[Step], names: Iterable[str]) -> tuple[Step, ...]:
    """The steps, escalating to no others than these names."""
    kept = frozenset(names)
    return tuple(_narrower(step, kept) for step in steps)


def read_steps(described: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps of their description in a row or a document."""
    return tuple(
        Step(at=one["at"], due=Due(one["due"]), to=tuple(one["to"]))
        for one in described
    )


def escalated_by(rule: Rule) -> frozenset[str]:
    """Everybody to whom a rule escalates at some time."""
    ladder = (name for step in rule.ladder for name in step.to)
    return frozenset((*ladder, *(rule.escalate_to or ())))


def _narrower(step: Step, names: frozenset[str]) -> Step:
    to = tuple(name for name in step.to if name in names)
    # With nobody left to escalate to, those who may decide are reminded.
    return replace(step, to=to, due=step.due if to else Due.REMIND)
