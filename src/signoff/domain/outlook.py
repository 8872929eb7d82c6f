"""What happens to a request if nobody answers, in words for every screen."""

from __future__ import annotations

from datetime import timedelta

from signoff.domain.duration import in_words
from signoff.domain.requests import Request, approves_by_silence
from signoff.domain.timeline import Due, Step


def silence_means(request: Request, now: int) -> str:
    """The deadline, and what silence means: `rejected in 2h if nobody answers`."""
    if request.frozen_at is not None:
        kept = _words(request.expires_at - request.frozen_at)
        return f"paused: {kept} are left once it goes on"
    end = "approved" if approves_by_silence(request) else "rejected"
    left = request.expires_at - now
    if left <= 0:
        return f"{end}: nobody answered by {_words(-left)} ago"
    return f"{end} in {_words(left)} if nobody answers"


def next_step(request: Request, now: int) -> str | None:
    """The next reminder or escalation, such as `escalated to cfo in 40m`, or None."""
    ahead = () if request.frozen_at is not None else request.ahead
    return f"{_named(ahead[0])} {_when(ahead[0].at - now)}" if ahead else None


def next_escalation(request: Request, now: int) -> str | None:
    """The next escalation, if another step comes before it."""
    if request.frozen_at is not None:
        return None
    later = (step for step in request.ahead[1:] if step.due is Due.ESCALATE)
    found = next(later, None)
    return None if found is None else f"{_named(found)} {_when(found.at - now)}"


def _named(step: Step) -> str:
    if step.due is Due.REMIND:
        return "reminder"
    return f"escalated to {', '.join(step.to)}"


def _when(left: int) -> str:
    return f"in {_words(left)}" if left > 0 else "now"


def _words(left: int) -> str:
    return in_words(timedelta(microseconds=left))
