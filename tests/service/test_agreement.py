"""Alternatives, denials, delegations with dates and hand-over, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from signoff import (
    Approve,
    Edit,
    Filter,
    Principal,
    Reject,
    Request,
    Respond,
    Signoff,
    Status,
    quorum,
    review,
)
from signoff.domain.delegations import Delegation
from signoff.domain.errors import (
    AlreadyDecided,
    DelegationNotFound,
    DigestMismatch,
    InvalidEdit,
    InvalidSetting,
    NobodyCanApprove,
    NotAllowed,
)
from signoff.domain.principals import ADMINS, PrincipalKind
from signoff.testing import MovableClock
from tests.service.conftest import Opener
from tests.service.making import ANN, BOB, CAT, ask, call, kinds, say, tool

CFO = Principal(id="max", groups=frozenset({"cfo"}))
ROOT = Principal(id="root", groups=frozenset({ADMINS}))
EITHER = review(
    "pay", any_of=[quorum("cfo"), quorum("finance", approvals=2)], denials=2
)
FINANCE = review("pay", reviewers=["finance"])


def lend(
    so: Signoff,
    holder: Principal = ANN,
    to: Principal = CAT,
    *,
    days: int = 1,
    starts: int | None = None,
) -> Delegation:
    """A right that is lent from now, or from a day on, for some days."""
    now = datetime.fromtimestamp(so.now() / 1_000_000, UTC)
    return so.delegate(
        to.id,
        starts=None if starts is None else now + timedelta(days=starts),
        ends=now + timedelta(days=days),
        by=holder,
    )


@pytest.mark.row("B7")
def test_one_cfo_is_enough(open_signoff: Opener) -> None:
    so = open_signoff(EITHER)
    request = ask(so)
    assert (request.terms.approvals, request.terms.reviewers) == (1, ("cfo", "finance"))
    assert say(so, request, Approve(), CFO).status is Status.APPROVED
    assert so.begin(so.get(request.id)) is not None
    assert so.audit().holds


@pytest.mark.row("B7")
def test_two_of_finance_are_enough_and_one_is_not(open_signoff: Opener) -> None:
    so = open_signoff(EITHER)
    request = say(so, ask(so), Approve(), ANN)
    assert request.status is Status.PENDING
    found = so.agreement(request.id)
    assert (found.have, found.needed) == (1, 2)
    assert found.missing == "one more of finance, or one of cfo"
    with pytest.raises(NotAllowed, match="decided by: cfo, finance"):
        say(so, request, Approve(), CAT)
    assert say(so, request, Approve(), BOB).status is Status.APPROVED
    assert so.begin(so.get(request.id)) is not None


@pytest.mark.row("B7")
def test_so_many_must_reject_and_who_did_does_not_approve(open_signoff: Opener) -> None:
    so = open_signoff(EITHER)
    request = say(so, ask(so), Reject(reason="too much"), ANN)
    assert request.status is Status.PENDING
    assert say(so, request, Reject(reason="too much"), ANN) == request
    with pytest.raises(NotAllowed, match="rejected it as it stands"):
        say(so, request, Approve(), ANN)
    assert so.agreement(request.id).rejected == 1
    assert say(so, request, Approve(), BOB).status is Status.PENDING
    assert say(so, request, Reject(), CFO).status is Status.REJECTED
    assert so.audit().holds


@pytest.mark.row("B7")
def test_an_answer_ends_it_however_many_denials_it_takes(open_signoff: Opener) -> None:
    so = open_signoff(EITHER)
    after = say(so, ask(so), Respond(message="later"), ANN)
    assert after.status is Status.RESPONDED


@pytest.mark.row("B1", "B7")
def test_an_edit_under_a_second_rule_needs_both(open_signoff: Opener) -> None:
    wire = review("wire", reviewers=["legal"], denials=3)
    so = open_signoff(review("pay", reviewers=["finance"], approvals=2), wire)
    so.know_tools([tool("wire", amount="number")])
    edit = Edit(args={"amount": 1}, tool="wire")
    request = say(so, ask(so), edit, ANN)
    assert so.agreement(request.id).words == "two of finance; and one of legal"
    assert request.terms.denials == 1
    assert say(so, request, Approve(), BOB).status is Status.PENDING
    law = Principal(id="lea", groups=frozenset({"legal"}))
    assert so.agreement(request.id).missing == "one of legal"
    assert say(so, request, Approve(), law).status is Status.APPROVED
    assert so.begin(so.get(request.id)) is not None
    assert so.audit().holds


@pytest.mark.row("B8")
def test_an_edit_that_nobody_could_approve_is_not_taken(open_signoff: Opener) -> None:
    so = open_signoff(review("pay"), review("wire", reviewers=["legal"]))
    so.know_tools([tool("wire", amount="number")])
    so.create_token("ann")
    request = ask(so)
    edit = Edit(args={"amount": 1}, tool="wire")
    with pytest.raises(InvalidEdit, match="token create NAME --group legal"):
        say(so, request, edit, ANN)
    assert so.get(request.id) == request
    so.create_token("lea", groups=["legal"])
    assert say(so, request, edit, ANN).tool == "wire"


@pytest.mark.row("B8")
def test_a_refusal_is_recorded_once_and_the_cure_is_all_it_needs(
    open_signoff: Opener,
) -> None:
    so = open_signoff(EITHER)
    so.create_token("ann", groups=["finance"])
    with pytest.raises(NobodyCanApprove):
        ask(so)
    with pytest.raises(NobodyCanApprove) as refused:
        ask(so)
    error = refused.value
    assert (error.needed, error.able, error.reviewers) == (1, 0, ("cfo",))
    assert error.wanted == "one of cfo, or two of finance"
    with so.store.reading() as reading:
        events = reading.events("thread-1")
    assert [event.fact.kind for event in events] == ["refused"]
    assert so.standing(call().id) is None
    assert so.audit().holds
    so.create_token("bob", groups=["finance"])
    assert ask(so).note is None


@pytest.mark.row("B8")
def test_who_could_later_and_silence_that_approves_count(open_signoff: Opener) -> None:
    so = open_signoff(
        review("pay", reviewers=["gone"], escalate_to=["boss"], escalate_after="1h"),
        review(
            "send",
            reviewers=["gone"],
            ladder=[{"after": "1h", "to": ["boss"]}],
        ),
        review("note", reviewers=["gone"], risk="low", on_expiry="approve"),
        review("wire", reviewers=["gone"]),
    )
    so.create_token("boss")
    for name in ("pay", "send", "note"):
        assert ask(so, call(name, call_id=name)).note is None
    with pytest.raises(NobodyCanApprove):
        ask(so, call("wire"))


@pytest.mark.row("B8")
def test_an_open_directory_only_says_so(open_signoff: Opener) -> None:
    so = open_signoff(FINANCE, directory="open")
    so.create_token("cat")
    note = ask(so).note
    assert note is not None
    assert "only 0 of the people with a token" in note
    with pytest.raises(InvalidSetting, match="one of tokens, open"):
        open_signoff(directory="opne")


@pytest.mark.row("B6")
def test_a_delegate_decides_by_the_holders_right(open_signoff: Opener) -> None:
    so = open_signoff(FINANCE)
    request = ask(so)
    with pytest.raises(NotAllowed, match="decided by: finance"):
        say(so, request, Approve(), CAT)
    lent = lend(so)
    assert [one.holder for one in so.lent_to("cat")] == [ANN]
    after = say(so, request, Approve(), CAT)
    assert (after.status, after.settled_by) == (Status.APPROVED, "cat")
    (vote,) = so.votes(request.id)
    assert (vote.principal, vote.behalf, vote.groups) == ("cat", "ann", ("finance",))
    voted = so.history(request.id)[1].fact
    assert (voted.actor, voted.body["behalf"]) == ("cat", "ann")
    assert voted.body["delegation"] == lent.id
    assert so.begin(after) is not None
    assert so.audit().holds


@pytest.mark.row("B7")
def test_holder_and_delegate_are_one_seat_and_one_delegate_one_person(
    open_signoff: Opener,
) -> None:
    so = open_signoff(review("pay", reviewers=["finance"], approvals=2))
    lend(so, ANN, CAT)
    request = say(so, ask(so), Approve(), CAT)
    assert say(so, request, Approve(), ANN).status is Status.PENDING  # the same seat
    assert say(so, request, Approve(), BOB).status is Status.APPROVED
    lend(so, BOB, CAT)
    other = say(so, ask(so, call(call_id="2")), Approve(), CAT)
    assert say(so, other, Approve(), CAT).status is Status.PENDING  # the same person
    digest = other.digest
    again = so.decide(other.id, Approve(), by=CAT, digest=digest, behalf="bob")
    assert again.status is Status.PENDING
    assert so.audit().holds


@pytest.mark.row("B7")
def test_a_delegate_takes_the_seat_that_is_free(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", reviewers=["finance"], approvals=2))
    lend(so, ANN, CAT)
    lend(so, BOB, CAT)
    request = say(so, ask(so), Approve(), ANN)
    assert say(so, request, Approve(), CAT).status is Status.APPROVED
    assert {vote.behalf for vote in so.votes(request.id)} == {None, "bob"}


@pytest.mark.row("B6")
def test_a_right_may_be_named_and_must_be_lent(open_signoff: Opener) -> None:
    so = open_signoff(FINANCE)
    lend(so, BOB, ANN)
    request = ask(so)
    with pytest.raises(NotAllowed, match="cat lends you no right"):
        so.decide(request.id, Approve(), by=ANN, digest=request.digest, behalf="cat")
    so.decide(request.id, Approve(), by=ANN, digest=request.digest, behalf="bob")
    assert so.votes(request.id)[0].behalf == "bob"


@pytest.mark.row("B6")
def test_no_self_approval_through_delegates(open_signoff: Opener) -> None:
    """Neither by the requester's right, nor by the requester, nor the agent's."""
    so = open_signoff(FINANCE)
    uma = Principal(id="uma", groups=frozenset({"finance"}))  # for whom it runs
    clerk = Principal(id="clerk", groups=frozenset({"finance"}))  # the agent's name
    for holder in (uma, clerk):
        lend(so, holder, CAT)
    lend(so, ANN, uma)
    request = ask(so)
    for by, behalf in ((CAT, None), (CAT, "uma"), (CAT, "clerk"), (uma, "ann")):
        for decision in (Approve(), Edit(args={"amount": 1})):
            with pytest.raises(NotAllowed):
                so.decide(
                    request.id, decision, by=by, digest=request.digest, behalf=behalf
                )
    with pytest.raises(NotAllowed, match="on your behalf"):
        say(so, request, Approve(), clerk)
    assert so.votes(request.id) == []
    assert say(so, request, Reject(), CAT).status is Status.REJECTED


@pytest.mark.row("B6")
def test_a_right_is_not_passed_on(open_signoff: Opener) -> None:
    so = open_signoff(FINANCE)
    eve = Principal(id="eve")
    lend(so, ANN, CAT)
    lend(so, CAT, eve)
    request = ask(so)
    with pytest.raises(NotAllowed, match="decided by: finance"):
        say(so, request, Approve(), eve)
    assert say(so, request, Approve(), CAT).status is Status.APPROVED


def test_a_delegation_works_from_its_start_to_its_end(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(review("pay", reviewers=["finance"], expires_in="30d"))
    request = ask(so)
    lend(so, starts=1, days=2)
    for moved, works in (("1h", False), ("24h", True), ("24h", False)):
        clock.advance(moved)
        assert (so.lent_to("cat") != []) is works
    with pytest.raises(NotAllowed):
        say(so, request, Approve(), CAT)


def test_a_revoked_delegation_is_over_at_once(open_signoff: Opener) -> None:
    so = open_signoff(FINANCE)
    lent = lend(so)
    so.revoke_delegation(lent.id, by=ANN)
    with pytest.raises(NotAllowed):
        say(so, ask(so), Approve(), CAT)
    with pytest.raises(DelegationNotFound, match="delegate list"):
        so.revoke_delegation(lent.id, by=ANN)
    (kept,) = so.delegations()
    assert (kept.revoked_by, kept.is_active(so.now())) == ("ann", False)
    assert so.audit().holds


def test_what_a_delegate_said_stays_said(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", reviewers=["finance"], approvals=2))
    lent = lend(so)
    request = say(so, ask(so), Approve(), CAT)
    so.revoke_delegation(lent.id, by=ANN)
    assert say(so, request, Approve(), CAT) == request  # sent again: one decision
    assert say(so, request, Approve(), BOB).status is Status.APPROVED
    assert so.begin(so.get(request.id)) is not None


def test_a_holder_whose_token_ended_lends_nothing(open_signoff: Opener) -> None:
    so = open_signoff(FINANCE)
    token, _ = so.create_token("ann", groups=["finance"])
    so.create_token("cat")
    so.create_token("bob", groups=["finance"])
    lend(so)
    request = ask(so)
    so.revoke_token(token.id)
    assert so.lent_to("cat") == []
    with pytest.raises(NotAllowed):
        say(so, request, Approve(), CAT)
    so.create_token("ann", groups=["sales"])  # she moved on, and so did her right
    assert [one.holder.groups for one in so.lent_to("cat")] == [frozenset({"sales"})]
    with pytest.raises(NotAllowed):
        say(so, request, Approve(), CAT)


@pytest.mark.row("B5")
def test_people_lend_their_own_right_and_admins_others(so: Signoff) -> None:
    ends = datetime(2100, 1, 1, tzinfo=UTC)
    with pytest.raises(NotAllowed, match="by ann, or by the group 'admin'"):
        so.delegate("cat", delegator="ann", ends=ends, by=BOB)
    made = so.delegate("cat", delegator="ann", ends=ends, by=ROOT, reason="ill")
    assert (made.delegator, made.made_by, made.reason) == ("ann", "root", "ill")
    with pytest.raises(NotAllowed):
        so.revoke_delegation(made.id, by=BOB)
    so.revoke_delegation(made.id, by=CAT)  # who got it may give it back
    for kind in (PrincipalKind.AGENT, PrincipalKind.SERVICE):
        for groups in (frozenset[str](), frozenset({ADMINS})):
            machine = Principal(id="bot", kind=kind, groups=groups)
            with pytest.raises(NotAllowed):
                so.delegate("cat", ends=ends, by=machine)


@pytest.mark.row("C14")
def test_times_and_names_that_make_no_sense(so: Signoff) -> None:
    so.create_token("ann")
    so.create_token("cat")
    future, past = datetime(2100, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)
    for to, ends, starts, problem in (
        ("cat", future.replace(tzinfo=None), None, "no time zone"),
        ("cat", past, None, "later than it starts"),
        ("cat", past + timedelta(days=1), past, "later than now"),
        ("cat", future, future, "later than it starts"),
        ("ann", future, None, "has that right already"),
        ("cta", future, None, "nobody with a token"),
        ("cat\u200b", future, None, "characters that don't show"),
        ("", future, None, "needs a name"),
    ):
        with pytest.raises(InvalidSetting, match=problem):
            so.delegate(to, ends=ends, starts=starts, by=ANN)
    assert so.delegations() == []


def assigned(so: Signoff, request: Request, to: str | None, by: Principal) -> Request:
    return so.assign(request.id, to=to, by=by)


def test_a_request_is_handed_over(open_signoff: Opener) -> None:
    so = open_signoff(FINANCE)
    request = ask(so)
    after = assigned(so, request, "bob", ANN)
    assert (after.assignee, after.digest) == ("bob", request.digest)
    assert after.changed_at > request.changed_at
    assert assigned(so, request, "bob", ANN) == after
    mine = so.pending(Filter(assignee="bob")).requests
    assert mine == (after,)
    assert so.count(Filter(assignee="ann")) == 0
    assert assigned(so, request, None, BOB).assignee is None
    assert assigned(so, request, "ann", ROOT).assignee == "ann"
    assert kinds(so, request) == ["asked", *["assigned"] * 3]
    # Others who may decide still may.
    assert say(so, request, Approve(), BOB).status is Status.APPROVED
    with pytest.raises(AlreadyDecided):
        assigned(so, request, "bob", ANN)
    assert so.get(request.id).assignee == "ann"
    assert so.audit().holds


@pytest.mark.row("A4")
def test_a_request_whose_time_is_over_is_not_handed_over(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(FINANCE)
    request = ask(so)
    clock.advance("30d")
    with pytest.raises(AlreadyDecided, match="expired") as refused:
        assigned(so, request, "bob", ANN)
    after = so.get(request.id)
    assert (after.status, after.assignee) == (Status.EXPIRED, None)
    assert refused.value.at == after.settled_at
    assert so.audit().holds


@pytest.mark.row("B5")
def test_only_who_could_approve_is_asked(open_signoff: Opener) -> None:
    so = open_signoff(FINANCE)
    for name in ("ann", "bob", "uma"):
        so.create_token(name, groups=["finance"])
    so.create_token("cat")
    request = ask(so)
    for to, problem in (
        ("cat", "decided by: finance. It can be assigned to: finance"),
        ("uma", "on your behalf"),
        ("nob", "nobody with a token is called that. It can be assigned to: finance"),
    ):
        with pytest.raises(NotAllowed, match=problem):
            assigned(so, request, to, ANN)
    with pytest.raises(NotAllowed, match="decided by: finance"):
        assigned(so, request, "bob", CAT)
    agent = Principal(id="clerk", kind=PrincipalKind.AGENT)
    with pytest.raises(NotAllowed, match="by people"):
        assigned(so, request, "bob", agent)
    lend(so)
    assert assigned(so, request, "cat", CAT).assignee == "cat"  # as Ann's delegate


def test_an_edit_keeps_who_was_asked(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", approvals=2))
    request = assigned(so, ask(so), "bob", ANN)
    after = say(so, request, Edit(args={"amount": 5}), ANN)
    assert (after.assignee, after.revision) == ("bob", 2)
    assert so.audit().holds


@pytest.mark.row("B3")
def test_forged_approvals_of_the_wrong_people_do_not_run(open_signoff: Opener) -> None:
    """The row says approved and enough people voted, but not those of the rule."""
    so = open_signoff(EITHER)
    request = say(so, ask(so), Approve(), ANN)
    with so.store.writing(request.thread) as tx:
        tx.settle_request(request, Status.APPROVED, by="ann", outcome={})
    forged = so.get(request.id)
    assert forged.status is Status.APPROVED
    assert so.begin(forged) is None
    assert not so.audit().holds


def test_a_late_digest_is_told_before_a_delegation_is_looked_for(
    open_signoff: Opener,
) -> None:
    so = open_signoff(FINANCE)
    lend(so)
    request = ask(so)
    with pytest.raises(DigestMismatch):
        so.decide(request.id, Approve(), by=CAT, digest="0" * 64)
