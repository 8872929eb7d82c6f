"""Rows for tests of the store."""

from dataclasses import replace
from typing import Any

from signoff import Action, Context, Policy, review
from signoff.domain.requests import Request
from signoff.domain.rules import Risk
from signoff.service.propose import Asked, make_request

POLICY = Policy([review("*")])


def request(number: int = 1, *, now: int = 1_000_000, **changes: Any) -> Request:  # noqa: ANN401 - fields
    """A pending request of its own action; 1000 in a thread, 4 tools, 3 agents."""
    action = Action(
        context=Context(
            thread=f"thread-{number // 1000}",
            agent=f"agent-{number % 3}",
            user="uma",
            team=f"team-{number % 5}",
        ),
        message_id="m",
        call_id=str(number),
        tool=f"tool-{number % 4}",
        args={"n": number},
    )
    made = make_request(action, POLICY.decide(action), Asked(), now=now, ask=1)
    return replace(made, risk=list(Risk)[number % 4].value, **changes)
