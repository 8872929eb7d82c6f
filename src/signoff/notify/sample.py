"""A message about nothing, to try a channel with."""

from __future__ import annotations

from signoff.domain.actions import Action, Context
from signoff.domain.notices import Message, Notice
from signoff.domain.policy import Policy
from signoff.service.deliver import link_to
from signoff.service.propose import Asked, make_request


def sample(recipient: str, base_url: str, *, at: int) -> Message:
    """A test message to somebody; its request exists nowhere."""
    action = Action(
        context=Context(thread="test", agent="signoff"),
        message_id="test",
        call_id=str(at),
        tool="test_message",
        args={"text": "If you can read this, the channel works."},
    )
    request = make_request(action, Policy([]).decide(action), Asked(), now=at, ask=1)
    return Message(
        id=f"dlv_test{at}",
        recipient=recipient,
        notice=Notice(kind="test", request_id=request.id, revision=1),
        at=at,
        request=request,
        redacted=(),
        link=link_to(base_url, request.id),
    )
