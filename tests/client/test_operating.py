"""Pauses, tokens, messages and policies: the same from both."""

from dataclasses import replace
from datetime import timedelta

import pytest

from signoff import (
    Policy,
    deny,
)
from signoff.client import Client
from signoff.domain.errors import (
    AlreadyLifted,
    CannotRetry,
    DeliveryNotFound,
    InvalidSetting,
    NotAllowed,
    PauseNotFound,
    PolicyError,
    PolicyNotFound,
)
from signoff.domain.notices import DeliveryState
from signoff.domain.principals import PrincipalKind
from tests.client.desks import HOSTILE, Office
from tests.notify.conftest import mail_to, outlets
from tests.notify.hosts import MailHost
from tests.server.house import ARGS, POLICY


def test_pauses(office: Office) -> None:
    desk, so = office.desk("bo"), office.house.so
    request = office.house.ask()
    before = desk.changed()
    made = desk.pause(agent=request.agent, tool="p?y*", reason=HOSTILE)
    assert desk.changed() > before
    assert list(desk.pauses()) == list(so.pauses()) == [made]
    assert (made.paused_by, made.reason, made.active) == ("bo", HOSTILE, True)
    assert desk.get(request.id).frozen_at == made.paused_at
    assert desk.stalled() == 0
    before = desk.changed()
    lifted = desk.lift(made.id)
    assert desk.changed() > before
    assert (lifted.lifted_by, lifted.active) == ("bo", False)
    assert list(desk.pauses()) == []
    assert list(desk.pauses(active=False)) == [lifted]
    with pytest.raises(AlreadyLifted) as late:
        desk.lift(made.id)
    assert (late.value.by, late.value.at) == ("bo", lifted.lifted_at)
    for unknown in ("pau_x", "", ".."):
        with pytest.raises(PauseNotFound):
            desk.lift(unknown)
    with pytest.raises(InvalidSetting, match="is empty"):
        desk.pause(thread="")


def test_tokens(office: Office) -> None:
    office.house.secret("root", "admin")
    desk = office.desk("root")
    token, secret = desk.create_token(
        "cy", groups=["finance"], expires_in=timedelta(hours=1)
    )
    assert (token.principal, token.groups, token.kind) == ("cy", ("finance",), "person")
    assert token.expires_at == token.created_at + 3_600_000_000
    cy = office.house.so.authenticate(secret, channel="api")
    assert (cy.id, cy.groups) == ("cy", frozenset({"finance"}))
    assert token in desk.tokens()
    desk.revoke_token(token.id)
    (revoked,) = [one for one in desk.tokens() if one.id == token.id]
    assert revoked.revoked_at is not None
    agent, _ = desk.create_token("bot", kind=PrincipalKind.AGENT)
    assert (agent.kind, agent.expires_at) == (PrincipalKind.AGENT, None)


def test_deliveries(office: Office) -> None:
    office.house.secret("root", "admin")
    desk, so = office.desk("root"), office.house.so
    request = office.house.ask("pay_big")
    assert list(desk.deliveries()) == []
    so.deliver_due(outlets(mail_to(MailHost())))  # nobody of finance has an address
    (dead,) = desk.deliveries(state=DeliveryState.DEAD)
    assert (dead.request_id, dead.recipient) == (request.id, "finance")
    assert list(desk.deliveries(state=DeliveryState.SENT)) == []
    queued = desk.retry_delivery(dead.id)
    assert (queued.state, queued.attempts) == (DeliveryState.QUEUED, 0)
    assert list(desk.deliveries()) == list(so.deliveries()) == [queued]
    with pytest.raises(CannotRetry, match="is queued"):
        desk.retry_delivery(dead.id)
    for unknown in ("dlv_none", "a/b", ".."):
        with pytest.raises(DeliveryNotFound):
            desk.retry_delivery(unknown)


def test_policies_over_time_and_on_trial(office: Office) -> None:
    desk, house = office.desk("bo"), office.house
    house.ask(args={**ARGS, "to": HOSTILE})
    house.ask("ask_only")
    assert list(desk.policy_log()) == list(house.so.policy_log())
    (published,) = desk.policy_log(limit=5)
    recorded = desk.policy_version(published.version[:6])
    assert recorded == house.so.policy_version(published.version)
    assert (recorded.version, len(recorded.rules)) == (POLICY.version, 3)
    for unknown in ("ffff", "", "%", "../me", "\u202e"):
        with pytest.raises(PolicyNotFound):
            desk.policy_version(unknown)
    for policy in (Policy([deny("pay")]), Policy([])):
        tried = desk.simulate(policy, since=timedelta(days=1), examples=1)
        mine = house.so.simulate(policy, since=timedelta(days=1), examples=1)
        assert replace(tried, since=0, until=0) == replace(mine, since=0, until=0)
        assert (tried.calls, tried.version) == (2, policy.version)
    with pytest.raises(InvalidSetting):
        desk.simulate(Policy([]), since=timedelta(days=1), examples=99)


def test_advice(office: Office) -> None:
    desk, house = office.desk("bo"), office.house
    for _ in range(3):
        house.ask("no_rule")
    span = timedelta(days=1)
    mine, theirs = house.so.advise(since=span), desk.advise(since=span)
    assert replace(theirs, since=0, until=0) == replace(mine, since=0, until=0)
    assert desk.advise(since=span, agent=HOSTILE, least=5).tools == 0
    with pytest.raises(InvalidSetting):
        desk.advise(since=span, at_most=2.0)


def test_an_agent_tries_no_policies(office: Office) -> None:
    office.house.secret("bot", kind=PrincipalKind.AGENT)
    desk, span = office.desk("bot"), timedelta(days=1)
    if not isinstance(desk, Client):
        return  # whoever has the database can read it
    with pytest.raises(NotAllowed):
        desk.advise(since=span)
    with pytest.raises(NotAllowed):
        desk.simulate(Policy([]), since=span)


def test_a_policy_that_no_server_knows_is_refused(office: Office) -> None:
    desk = office.desk("bo")
    if not isinstance(desk, Client):
        return
    odd: list[dict[str, object]] = [
        {},
        {"verdict": "allow"},
        {**deny("x").describe(), "odd": 1},
    ]
    for rules in ([one] for one in odd):
        with pytest.raises(PolicyError, match="rule 1 isn't described"):
            desk._post("/policies/simulate", {"rules": rules, "since_s": 60})  # noqa: SLF001 - what no method sends
