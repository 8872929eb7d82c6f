"""What every screen says of a request that nobody answers."""

from dataclasses import replace

from signoff import review
from signoff.domain.outlook import next_escalation, next_step, silence_means
from signoff.domain.policy import Policy
from signoff.domain.requests import Request
from signoff.domain.rules import Rule
from signoff.service.propose import Asked, make_request
from tests.service.making import call

MINUTE = 60_000_000
STEPS = review(
    "pay",
    expires_in="4h",
    remind_after="1h",
    reviewers=["finance"],
    escalate_to=["cfo"],
    escalate_after="2h",
)


def made(rule: Rule) -> Request:
    ruling = Policy([rule]).decide(call())
    return make_request(call(), ruling, Asked(), now=0, ask=1)


def test_the_next_steps_and_the_end() -> None:
    request = made(STEPS)
    assert silence_means(request, 0) == "rejected in 4h if nobody answers"
    assert next_step(request, 15 * MINUTE) == "reminder in 45m"
    assert next_escalation(request, 0) == "escalated to cfo in 2h"
    later = replace(request, level=1)
    assert next_step(later, 60 * MINUTE) == "escalated to cfo in 1h"
    assert next_step(later, 180 * MINUTE) == "escalated to cfo now"
    assert next_escalation(later, 0) is None
    assert next_step(replace(request, level=2), 0) is None


def test_silence_approves_in_words_only_while_it_would() -> None:
    request = made(review("pay", risk="low", on_expiry="approve", expires_in="1h"))
    assert silence_means(request, 0) == "approved in 1h if nobody answers"
    riskier = replace(request, risk="high")
    assert silence_means(riskier, 0) == "rejected in 1h if nobody answers"
    over = 65 * MINUTE
    assert silence_means(request, over) == "approved: nobody answered by 5m ago"
