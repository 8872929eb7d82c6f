"""What holds for the use cases holds for the client: same answers, same errors."""

import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from signoff import (
    Approve,
    Edit,
    Filter,
    Policy,
    Principal,
    Reject,
    Request,
    Respond,
    Status,
    deny,
)
from signoff.client import Client
from signoff.client.transport import Transport
from signoff.domain.errors import (
    AlreadyDecided,
    AlreadyLifted,
    CannotRetry,
    CannotSettle,
    DecisionNotOffered,
    DelegationNotFound,
    DeliveryNotFound,
    DigestMismatch,
    EntryNotFound,
    InvalidEdit,
    InvalidSetting,
    NotAllowed,
    PauseNotFound,
    PolicyError,
    PolicyNotFound,
    RequestNotFound,
    SignoffError,
)
from signoff.domain.journal import EntryState
from signoff.domain.notices import DeliveryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Decision
from signoff.service import Approvals
from tests.client.desks import Desk, Office
from tests.notify.conftest import mail_to, outlets
from tests.notify.hosts import MailHost
from tests.server.house import ARGS, POLICY

HOSTILE = "a\u202eb \x1b[31m <script> '; DROP TABLE \U0001f600 é"


def test_looking(office: Office) -> None:
    desk, house = office.desk("bo"), office.house
    tool, first, second = house.learn_tool(), house.ask(), house.ask("pay_big")
    assert desk.whoami() == Principal(id="bo", channel="api")
    assert desk.get(first.id) == first
    assert desk.find(first.id[:12]) == first
    assert desk.find(first.id.removeprefix("req_")) == first
    assert list(desk.pending().requests) == list(house.so.pending().requests)
    assert list(desk.pending(Filter(order="risk")).requests) == [second, first]
    assert desk.count() == 2
    assert list(desk.thread("t1")) == list(house.so.thread("t1"))
    assert [event.fact.kind for event in desk.history(first.id)] == ["asked"]
    assert desk.history(first.id) == house.so.history(first.id)
    assert list(desk.tools()) == list(desk.tools("clerk")) == [tool]
    assert list(desk.tools("nobody")) == []
    assert desk.entry_of(first) is None
    assert list(desk.votes(first.id)) == []
    assert list(desk.journal()) == []
    assert abs(desk.now() - house.so.now()) < 60_000_000
    assert desk.changed() == house.so.changed() >= first.changed_at
    assert desk.audit() == house.so.audit()


def test_stages(office: Office) -> None:
    desk, so = office.desk("bo"), office.house.so
    so.declare_stages("t/9", ["research", HOSTILE, "publish"])
    so.keep("stg_1", thread="t/9", stage="research", value={"found": [1.0, HOSTILE]})
    assert list(desk.stages("t/9")) == list(so.stages("t/9"))
    assert [stage.state.value for stage in desk.stages("t/9")] == [
        "done",
        "ahead",
        "ahead",
    ]
    assert list(desk.stages("nowhere")) == []


@pytest.mark.row("B2")
def test_numbers_keep_their_type(office: Office) -> None:
    args = {"amount": 1.0, "count": 1, "to": "5", "urgent": True, "deep": [1e300, None]}
    request = office.house.ask(args=args)
    desk = office.desk("bo")
    assert repr(desk.get(request.id).args) == repr(args)
    edit = {"amount": 2.0, "count": 2, "to": "2", "urgent": False}
    edited = desk.decide(request.id, Edit(args=edit), digest=request.digest)
    assert repr(dict(edited.args)) == repr(edit)
    assert (edited.revision, edited.edited) == (2, True)


@pytest.mark.parametrize(
    ("decision", "status", "outcome"),
    [
        (Approve(), Status.APPROVED, {"decision": "approve"}),
        (
            Approve(reason="ok"),
            Status.APPROVED,
            {"decision": "approve", "reason": "ok"},
        ),
        (
            Reject(reason=HOSTILE),
            Status.REJECTED,
            {"decision": "reject", "reason": HOSTILE},
        ),
        (
            Respond(message="use the other account"),
            Status.RESPONDED,
            {"decision": "respond", "message": "use the other account"},
        ),
        (
            Edit(args={"amount": 5, "to": "x"}, tool="pay", reason="less"),
            Status.APPROVED,
            {"decision": "edit", "reason": "less"},
        ),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_every_decision(
    office: Office, decision: Decision, status: Status, outcome: dict[str, str]
) -> None:
    request = office.house.ask()
    settled = office.desk("bo").decide(request.id, decision, digest=request.digest)
    assert (settled.status, settled.settled_by) == (status, "bo")
    assert settled.outcome == outcome
    assert settled == office.house.so.get(request.id)
    (vote,) = office.desk("bo").votes(request.id)
    assert (vote.principal, vote.kind, vote.channel) == ("bo", decision.kind, "api")


def test_the_same_decision_twice_is_one_decision(office: Office) -> None:
    request, desk = office.house.ask(), office.desk("bo")
    first = desk.decide(request.id, Approve(), digest=request.digest)
    assert desk.decide(request.id, Approve(), digest=request.digest) == first
    assert len(desk.votes(request.id)) == 1


def test_quorum_gathers(office: Office) -> None:
    request = office.house.ask("pay_big")
    for name in ("bo", "cy"):
        office.house.secret(name, "finance")
    bo, cy = office.desk("bo"), office.desk("cy")
    assert bo.decide(request.id, Approve(), digest=request.digest).status == "pending"
    assert cy.decide(request.id, Approve(), digest=request.digest).status == "approved"
    assert [vote.principal for vote in cy.votes(request.id)] == ["bo", "cy"]


def refusals() -> Iterator[tuple[str, Callable[[Desk], object], SignoffError]]:
    """What is refused, and with which error, its fields included."""
    yield "unknown", lambda d: d.get("req_none"), RequestNotFound("req_none")
    yield (
        "unknown decision",
        lambda d: d.decide("req_none", Approve(), digest="0"),
        RequestNotFound("req_none"),
    )
    yield "unknown cancel", lambda d: d.cancel("x", reason=""), RequestNotFound("x")
    yield "dots", lambda d: d.get(".."), RequestNotFound("..")
    yield "slash", lambda d: d.get("../me"), RequestNotFound("../me")
    yield "no name", lambda d: d.get(""), RequestNotFound("")
    yield "question", lambda d: d.get("a?b#c%2f"), RequestNotFound("a?b#c%2f")
    yield (
        "unknown entry",
        lambda d: d.settle("ent_none", happened=True),
        EntryNotFound("ent_none"),
    )
    yield "entry dots", lambda d: d.settle("..", happened=True), EntryNotFound("..")
    yield (
        "history",
        lambda d: d.history("req_none"),
        RequestNotFound("req_none"),
    )
    yield (
        "token",
        lambda d: d.revoke_token("00000000"),
        InvalidSetting("token", "'00000000' is unknown or revoked already."),
    )
    yield (
        "order",
        lambda d: d.pending(Filter(order="size")),
        InvalidSetting("order", "must be one of deadline, risk, newest, not 'size'."),
    )
    yield (
        "limit",
        lambda d: d.pending(Filter(limit=201)),
        InvalidSetting("limit", "must be 1 to 200, not 201."),
    )
    yield (
        "cursor",
        lambda d: d.pending(Filter(cursor="???")),
        InvalidSetting("cursor", "isn't one of this list; start without one."),
    )


@pytest.mark.row("B10")
def test_refusals(office: Office) -> None:
    office.house.secret("bo", "admin")
    desk, before = office.desk("bo"), office.house.events()
    for name, act, expected in refusals():
        with pytest.raises(type(expected)) as caught:
            act(desk)
        assert (name, str(caught.value)) == (name, str(expected))
        assert vars(caught.value) == vars(expected)
    assert office.house.events() == before


def test_a_stale_digest_is_refused(office: Office) -> None:
    request, desk = office.house.ask(), office.desk("bo")
    for given in ("0" * 64, "", None, request.digest[:12]):
        with pytest.raises(DigestMismatch) as caught:
            desk.decide(request.id, Approve(), digest=given)
        assert vars(caught.value) == {"request_id": request.id, "given": given}
    assert office.house.so.get(request.id) == request


def test_too_late_says_who_was_faster(office: Office) -> None:
    request = office.house.ask()
    settled = office.desk("cy").decide(request.id, Reject(), digest=request.digest)
    with pytest.raises(AlreadyDecided) as caught:
        office.desk("bo").decide(request.id, Approve(), digest=request.digest)
    told = {"request_id": request.id, "outcome": "rejected", "by": "cy"}
    assert vars(caught.value) == {**told, "at": settled.settled_at}
    with pytest.raises(AlreadyDecided, match="already rejected by cy"):
        office.desk("bo").cancel(request.id, reason="late")


@pytest.mark.row("B4")
def test_many_at_once_have_one_winner(office: Office) -> None:
    request = office.house.ask()
    decisions = {f"p{n}": (Reject() if n % 2 else Approve()) for n in range(6)}
    desks = {name: office.desk(name) for name in decisions}
    start = Barrier(len(desks))

    def decide(name: str) -> Request | AlreadyDecided:
        start.wait(timeout=30)
        try:
            return desks[name].decide(
                request.id, decisions[name], digest=request.digest
            )
        except AlreadyDecided as error:
            return error

    with ThreadPoolExecutor(len(desks)) as threads:
        told = dict(zip(desks, threads.map(decide, desks), strict=True))
    (winner,) = [who for who, said in told.items() if isinstance(said, Request)]
    settled = office.house.so.get(request.id)
    assert (told[winner], settled.settled_by) == (settled, winner)
    for said in told.values():
        if isinstance(said, AlreadyDecided):
            assert (said.by, said.outcome) == (winner, settled.status)


def test_a_decision_that_is_not_offered(office: Office) -> None:
    request = office.house.ask("ask_only")
    with pytest.raises(DecisionNotOffered) as caught:
        office.desk("bo").decide(
            request.id, Respond(message="no"), digest=request.digest
        )
    assert caught.value.offered == ("approve", "reject")


MISFITS: list[tuple[dict[Any, Any], str]] = [
    ({"amount": "5", "to": "x"}, "amount"),
    ({"amount": 5}, "to"),
    ({"amount": 5, "to": "x", "count": 1.5}, "count"),
    ({"amount": 5, "to": None}, "to"),
    ({"amount": float("nan"), "to": "x"}, "args.amount"),
    ({"amount": 2**53, "to": "x"}, "2^53"),
    ({"amount": 5, "to": "\ud800"}, "surrogate"),
    ({"amount": 5, "to": "x", "more": {1: 2}}, "keys must be strings"),
]


@pytest.mark.row("B2")
def test_an_edit_that_does_not_fit(office: Office) -> None:
    request, desk = office.house.ask(), office.desk("bo")
    for args, problem in MISFITS:
        with pytest.raises(InvalidEdit) as caught:
            desk.decide(request.id, Edit(args=args), digest=request.digest)
        assert problem in " ".join(caught.value.problems)
    assert office.house.so.get(request.id) == request


@pytest.mark.row("B6")
def test_nobody_approves_what_runs_for_them(office: Office) -> None:
    request = office.house.ask(user="ana")
    with pytest.raises(NotAllowed, match="on your behalf") as caught:
        office.desk("ana").decide(request.id, Approve(), digest=request.digest)
    assert caught.value.principal == "ana"
    assert office.house.so.get(request.id) == request


@pytest.mark.row("B6")
@pytest.mark.parametrize("kind", [PrincipalKind.AGENT, PrincipalKind.SERVICE])
def test_only_people_decide(office: Office, kind: PrincipalKind) -> None:
    request, entry = office.house.ask(), office.house.lost()
    office.house.secret("robot", "finance", "admin", kind=kind)
    desk = office.desk("robot")
    for decision in (Approve(), Reject(), Respond(message="x"), Edit(args={})):
        with pytest.raises(NotAllowed, match="by people"):
            desk.decide(request.id, decision, digest=request.digest)
    with pytest.raises(NotAllowed, match="settled by people"):
        desk.settle(entry.id, happened=True)
    assert office.house.so.get(request.id) == request


@pytest.mark.row("B5")
def test_only_the_named_reviewers_decide(office: Office) -> None:
    request = office.house.ask("pay_big")
    with pytest.raises(NotAllowed, match="is decided by: finance"):
        office.desk("bo").decide(request.id, Approve(), digest=request.digest)


def test_cancel(office: Office) -> None:
    request = office.house.ask()
    cancelled = office.desk("bo").cancel(request.id, reason="not needed")
    assert (cancelled.status, cancelled.settled_by) == (Status.CANCELLED, "bo")
    assert cancelled.outcome is not None
    assert cancelled.outcome["reason"] == "not needed"


def test_the_journal_and_unknown_outcomes(office: Office) -> None:
    entry, desk = office.house.lost(), office.desk("bo")
    assert entry.state is EntryState.UNKNOWN
    assert list(desk.journal(state=EntryState.UNKNOWN)) == [entry]
    assert list(desk.journal(thread="t1", limit=1)) == [entry]
    assert list(desk.journal(thread="elsewhere")) == []
    assert list(desk.journal(state=EntryState.DONE)) == []
    settled = desk.settle(entry.id, happened=True, note="the bank says so")
    assert (settled.state, settled.summary) == (EntryState.DONE, "the bank says so")
    with pytest.raises(CannotSettle) as caught:
        desk.settle(entry.id, happened=False)
    assert vars(caught.value) == {"entry_id": entry.id, "state": "done"}


def test_results_are_bytes(office: Office) -> None:
    request, so = office.house.ask(), office.house.so
    desk = office.desk("bo")
    approved = desk.decide(request.id, Approve(), digest=request.digest)
    entry = so.begin(approved)
    assert entry is not None
    so.finish(entry, "finish", result=bytes(range(256)), summary="paid")
    found = desk.entry_of(request)
    assert found is not None
    assert (found.result, found.summary) == (bytes(range(256)), "paid")
    assert found == so.entry_of(request)


def test_pages_follow_each_other(office: Office) -> None:
    asked = {office.house.ask(args={"amount": n, "to": "x"}).id for n in range(7)}
    desk = office.desk("bo")
    for order in ("deadline", "newest", "risk"):
        found, cursor = [], None
        while True:
            page = desk.pending(Filter(order=order, limit=3, cursor=cursor))
            found += [request.id for request in page.requests]
            if (cursor := page.next) is None:
                break
        assert (len(found), set(found)) == (7, asked)


def test_filters(office: Office) -> None:
    one = office.house.ask("pay", thread="a")
    two = office.house.ask("pay_big", thread="b & c")
    desk = office.desk("bo")
    desk.cancel(one.id, reason="")
    for wanted, found in [
        (Filter(), [two]),
        (
            Filter(status=Status.CANCELLED, order="newest"),
            [office.house.so.get(one.id)],
        ),
        (Filter(thread="b & c"), [two]),
        (Filter(agent="clerk", tool="pay_big", team="books", risk="critical"), [two]),
        (Filter(agent="other"), []),
        (Filter(tool="pay"), []),
        (Filter(team="other"), []),
        (Filter(risk="low"), []),
    ]:
        assert list(desk.pending(wanted).requests) == found
        assert desk.count(wanted) == len(found)
    everything = Filter(status=None, order="newest")
    assert {request.id for request in desk.pending(everything).requests} == {
        one.id,
        two.id,
    }
    assert desk.count(Filter(status=None)) == 2


def test_threads_have_any_name(office: Office) -> None:
    desk = office.desk("bo")
    for name in ("a/b", "..", ".", "a?b=c#d", "é %2F", "x" * 400):
        request = office.house.ask(thread=name)
        assert list(desk.thread(name)) == [request]
        assert list(desk.pending(Filter(thread=name)).requests) == [request]
    assert list(desk.thread("")) == []


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


def test_delegations(office: Office) -> None:
    house, ends = office.house, datetime(2100, 1, 1, 12, 30, 0, 5, tzinfo=UTC)
    house.secret("sam", "finance")
    sam, bo = office.desk("sam"), office.desk("bo")
    request = house.ask("pay_big")
    digest = request.digest
    with pytest.raises(NotAllowed, match="decided by: finance"):
        bo.decide(request.id, Approve(), digest=digest)
    with pytest.raises(NotAllowed, match="by sam, or by the group 'admin'"):
        bo.delegate("bo", delegator="sam", ends=ends)
    with pytest.raises(InvalidSetting, match="no time zone"):
        sam.delegate("bo", ends=ends.replace(tzinfo=None))
    made = sam.delegate("bo", ends=ends, reason="holiday")
    assert made.ends_at == 4_102_489_800_000_005
    assert list(sam.delegations()) == [made] == list(house.so.delegations())
    after = bo.decide(request.id, Approve(), digest=digest, behalf="sam")
    assert after.status is Status.PENDING
    found = bo.agreement(request.id)
    assert found == house.so.agreement(request.id)
    assert (found.have, found.missing) == (1, "one more of finance")
    (vote,) = bo.votes(request.id)
    assert (vote.behalf, vote.groups) == ("sam", ("finance",))
    assert list(bo.votes(request.id)) == list(house.so.votes(request.id))
    sam.revoke_delegation(made.id)
    for gone in (made.id, "dlg_none", "a/b"):
        with pytest.raises(DelegationNotFound):
            sam.revoke_delegation(gone)


def test_handing_over(office: Office) -> None:
    house = office.house
    house.secret("sam", "finance")
    house.secret("kim", "finance")
    sam, bo = office.desk("sam"), office.desk("bo")
    request = house.ask("pay_big")
    assert sam.assign(request.id, to="kim").assignee == "kim"
    assert sam.pending(Filter(assignee="kim")).requests == (sam.get(request.id),)
    assert sam.count(Filter(assignee="sam")) == 0
    with pytest.raises(NotAllowed, match="can be assigned to: finance"):
        sam.assign(request.id, to="bo")
    with pytest.raises(NotAllowed, match="decided by: finance"):
        bo.assign(request.id, to="sam")
    with pytest.raises(RequestNotFound):
        sam.assign("req_none", to="kim")
    assert sam.assign(request.id, to=None).assignee is None


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


def test_the_client_has_the_signatures_of_the_use_cases() -> None:
    own = set(dir(Client)) - set(dir(Transport))
    mine = {name for name in own if name[0] != "_"}
    assert mine - set(dir(Approvals)) == {"whoami", "lent"}
    for name in mine - {"whoami", "lent"}:
        theirs = inspect.signature(getattr(Approvals, name))
        without_by = [p for p in theirs.parameters.values() if p.name != "by"]
        expected = theirs.replace(parameters=without_by)
        assert inspect.signature(getattr(Client, name)) == expected, name


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
