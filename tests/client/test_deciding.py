"""Decisions: the same from the use cases and from the client."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest

from signoff import (
    Approve,
    Edit,
    Filter,
    Reject,
    Request,
    Respond,
    Status,
)
from signoff.domain.errors import (
    AlreadyDecided,
    DecisionNotOffered,
    DelegationNotFound,
    DigestMismatch,
    InvalidEdit,
    InvalidSetting,
    NotAllowed,
    RequestNotFound,
)
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Decision
from tests.client.desks import HOSTILE, Office


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
        office.desk("bo").cancel_request(request.id, reason="late")


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
    cancelled = office.desk("bo").cancel_request(request.id, reason="not needed")
    assert (cancelled.status, cancelled.settled_by) == (Status.CANCELLED, "bo")
    assert cancelled.outcome is not None
    assert cancelled.outcome["reason"] == "not needed"


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
