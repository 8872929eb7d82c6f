"""People decide: who may, on what, by when, and who was faster."""

from datetime import timedelta

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
    review,
)
from signoff.domain.errors import (
    AlreadyDecided,
    DecisionNotOffered,
    DigestMismatch,
    InvalidSetting,
    NobodyCanApprove,
    NotAllowed,
    NotAuthenticated,
    PayloadRefused,
    RequestNotFound,
)
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import TRANSITIONS, Decision
from signoff.ports import Store
from signoff.service import decide
from signoff.testing import MovableClock
from tests.service.conftest import Opener
from tests.service.making import ANN, BOB, CAT, ask, call, kinds, say

ARROWS: dict[str, tuple[Decision, Status]] = {
    "vote": (Approve(), Status.PENDING),
    "repropose": (Edit(args={"amount": 5}), Status.PENDING),
    "approve": (Approve(), Status.APPROVED),
    "reject": (Reject(reason="no"), Status.REJECTED),
    "respond": (Respond(message="ask again tomorrow"), Status.RESPONDED),
}


def test_every_arrow_of_a_request_is_tested() -> None:
    tested = {*ARROWS, "expire", "cancel"}
    assert set(TRANSITIONS[Status.PENDING]) == tested
    assert all(
        not moves for status, moves in TRANSITIONS.items() if status != "pending"
    )


@pytest.mark.parametrize("move", ARROWS)
def test_a_decision_moves_a_request(open_signoff: Opener, move: str) -> None:
    decision, to = ARROWS[move]
    approvals = 2 if to is Status.PENDING else 1
    so = open_signoff(review("pay", approvals=approvals))
    after = say(so, ask(so), decision, ANN)
    assert after.status is to is TRANSITIONS[Status.PENDING][move]
    assert so.get(after.id) == after
    assert so.audit().holds
    woken = [wakeup.thread for wakeup in so.wakeups("clerk")]
    assert woken == ([] if to is Status.PENDING else ["thread-1"])


@pytest.mark.row("A4", "I4")
def test_who_lost_to_their_own_no_is_told_that_it_is_decided(
    so: Signoff, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other decision comes after the look at the request, before that at votes."""
    request = ask(so)
    find = decide.find

    def find_then_reject(store: Store, request_id: str) -> Request:
        monkeypatch.setattr(decide, "find", find)
        found = find(store, request_id)
        say(so, request, Reject(reason="no"), ANN)
        return found

    monkeypatch.setattr(decide, "find", find_then_reject)
    with pytest.raises(AlreadyDecided, match="already rejected by ann"):
        say(so, request, Approve(), ANN)


@pytest.mark.row("A4")
def test_whose_own_no_settled_it_is_told_that_it_is_decided(so: Signoff) -> None:
    request = ask(so)
    say(so, request, Reject(reason="no"), ANN)
    with pytest.raises(AlreadyDecided, match="already rejected by ann"):
        say(so, request, Approve(), ANN)


def test_cancelling_settles_and_says_by_whom(so: Signoff) -> None:
    request = ask(so)
    cancelled = so.cancel_request(request.id, by=ANN, reason="the user moved on")
    assert (cancelled.status, cancelled.settled_by) == (Status.CANCELLED, "ann")
    with pytest.raises(AlreadyDecided, match="already cancelled by ann"):
        so.cancel(request.id, by=BOB, reason="again")
    assert kinds(so, request) == ["asked", "cancelled"]


@pytest.mark.row("B5")
def test_who_may_cancel(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", reviewers=["finance"]))
    strangers = [CAT, Principal(id="bot", kind=PrincipalKind.AGENT)]
    for by in strangers:
        with pytest.raises(NotAllowed, match="its agent, its user or its reviewers"):
            so.cancel(ask(so).id, by=by, reason="")
    those = [
        ANN,
        Principal(id="uma"),
        Principal(id="clerk", kind=PrincipalKind.AGENT),
        Principal(id="runner", kind=PrincipalKind.SERVICE),
    ]
    for number, by in enumerate(those):
        request = ask(so, call(call_id=str(number)))
        assert so.cancel_request(request.id, by=by, reason="").settled_by == by.id


def test_cancelling_after_an_edit_cancels(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", approvals=2))
    request = say(so, ask(so), Edit(args={"amount": 5}), ANN)
    assert so.cancel_request(request.id, by=ANN, reason="").status is Status.CANCELLED


@pytest.mark.row("B13", "I11")
def test_silence_is_no(open_signoff: Opener, clock: MovableClock) -> None:
    so = open_signoff(review("pay", expires_in="4h"))
    request = ask(so)
    clock.advance(timedelta(hours=3, minutes=59))
    assert so.expire_due() == 0
    clock.advance("2m")
    assert so.expire_due() == 1
    expired = so.get(request.id)
    assert (expired.status, expired.settled_by) == (Status.EXPIRED, None)
    assert so.begin(expired) is None
    assert [w.thread for w in so.wakeups()] == ["thread-1"]
    assert so.expire_due() == 0


@pytest.mark.row("B13")
def test_the_deadline_counts_from_the_ask_on_the_database_clock(
    open_signoff: Opener,
) -> None:
    so = open_signoff(review("pay", expires_in="4h"))
    before = so.now()
    request = ask(so)
    assert before <= request.asked_at <= so.now()
    assert request.expires_at - request.asked_at == 4 * 3600 * 1_000_000
    assert ask(so) == request  # asked again by a re-execution: the same deadline


@pytest.mark.row("B13")
def test_a_large_payload_can_be_approved(so: Signoff) -> None:
    request = ask(so, call(amount=1, to="x" * 3_000_000))
    assert say(so, request, Approve(), ANN).status is Status.APPROVED


@pytest.mark.row("I11")
@pytest.mark.parametrize("decision", [d for d, _ in ARROWS.values()])
def test_a_late_decision_settles_the_request_as_expired(
    open_signoff: Opener, clock: MovableClock, decision: Decision
) -> None:
    so = open_signoff(review("pay", expires_in="1h"))
    request = ask(so)
    clock.advance("61m")
    with pytest.raises(AlreadyDecided, match="already expired by its deadline") as late:
        say(so, request, decision, ANN)
    assert late.value.by is None
    assert so.get(request.id).status is Status.EXPIRED
    assert so.votes(request.id) == []
    assert kinds(so, request) == ["asked", "expired"]
    assert so.audit().holds


@pytest.mark.row("B7")
def test_one_person_counts_once(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", approvals=2))
    request = ask(so)
    for _ in range(3):
        assert say(so, request, Approve(), ANN).status is Status.PENDING
    assert kinds(so, request) == ["asked", "voted"]
    settled = say(so, request, Approve(), BOB)
    assert (settled.status, settled.settled_by) == (Status.APPROVED, "bob")


@pytest.mark.row("B7", "I10")
@pytest.mark.parametrize("denier", [ANN, BOB])
def test_a_deny_ends_it_while_approvals_gather(
    open_signoff: Opener, denier: Principal
) -> None:
    so = open_signoff(review("pay", approvals=2))
    request = ask(so)
    say(so, request, Approve(), ANN)
    rejected = say(so, request, Reject(reason="on second thought"), denier)
    assert (rejected.status, rejected.settled_by) == (Status.REJECTED, denier.id)
    assert so.begin(rejected) is None
    with pytest.raises(AlreadyDecided, match=f"already rejected by {denier.id}"):
        say(so, request, Approve(), CAT)


@pytest.mark.row("B4")
def test_nothing_but_an_approval_starts_a_call(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(review("pay", expires_in="1h"))
    requests = [ask(so, call(call_id=str(n))) for n in range(5)]
    say(so, requests[0], Reject(), ANN)
    say(so, requests[1], Respond(message="no need"), ANN)
    so.cancel(requests[2].id, by=ANN, reason="")
    assert [so.begin(so.get(r.id)) for r in requests] == [None] * 5
    clock.advance("2h")
    so.expire_due()
    assert [so.begin(so.get(r.id)) for r in requests] == [None] * 5
    assert so.journal() == []


@pytest.mark.row("B3", "I2")
@pytest.mark.parametrize("digest", [None, "", "0" * 64])
@pytest.mark.parametrize(
    "decision", [Approve(), Reject(), Edit(args={"amount": 1}), Respond(message="m")]
)
def test_a_decision_on_something_else_is_refused(
    so: Signoff, decision: Decision, digest: str | None
) -> None:
    request = ask(so)
    with pytest.raises(DigestMismatch, match="Open the request again"):
        so.decide(request.id, decision, by=ANN, digest=digest)
    assert so.get(request.id) == request


@pytest.mark.row("B3")
def test_an_approval_that_only_a_row_claims_starts_nothing(
    open_signoff: Opener,
) -> None:
    so = open_signoff(review("pay", approvals=2))
    request = ask(so)
    say(so, request, Approve(), ANN)
    with so.store.writing(request.thread) as tx:  # as a forger with the store would
        assert tx.settle_request(request, Status.APPROVED, by="eve", outcome={})
    assert so.begin(so.get(request.id)) is None
    assert not so.audit().holds


@pytest.mark.row("B9")
def test_an_approval_covers_its_own_action_only(so: Signoff) -> None:
    request = say(so, ask(so), Approve(), ANN)
    for other in (
        call(call_id="call-2"),
        call(thread="thread-2"),
        call(amount=11),
        call(tool="wire"),
    ):
        again = ask(so, other)
        assert (again.id, again.status) != (request.id, Status.APPROVED)
        assert again.digest != request.digest


@pytest.mark.row("B5")
def test_only_the_rules_reviewers_decide(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", reviewers=["finance", "dora"]))
    for decision in (Approve(), Reject(), Respond(message="m"), Edit(args={})):
        with pytest.raises(NotAllowed, match="decided by: finance, dora"):
            say(so, ask(so), decision, CAT)
    assert say(so, ask(so), Approve(), Principal(id="dora")).settled_by == "dora"


@pytest.mark.row("B6", "I10")
def test_the_requester_does_not_approve(open_signoff: Opener) -> None:
    so = open_signoff()
    uma = Principal(id="uma", groups=frozenset({"finance"}))
    for decision in (Approve(), Edit(args={"amount": 1})):
        with pytest.raises(NotAllowed, match="somebody else approves"):
            say(so, ask(so), decision, uma)
    assert say(so, ask(so), Reject(), uma).status is Status.REJECTED


def test_a_rule_may_let_the_requester_approve(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", self_approval=True))
    assert say(so, ask(so), Approve(), Principal(id="uma")).settled_by == "uma"


@pytest.mark.row("B6", "I10")
@pytest.mark.parametrize("kind", [PrincipalKind.AGENT, PrincipalKind.SERVICE])
def test_only_people_decide(so: Signoff, kind: PrincipalKind) -> None:
    machine = Principal(id="clerk", kind=kind)
    for decision in (Approve(), Reject(), Respond(message="m")):
        with pytest.raises(NotAllowed, match="decisions are made by people"):
            say(so, ask(so), decision, machine)


@pytest.mark.row("B5", "I10")
@pytest.mark.parametrize("nobody", [None, "ann", {"id": "ann"}])
def test_there_is_no_decision_without_identity(so: Signoff, nobody: object) -> None:
    request = ask(so)
    with pytest.raises(NotAuthenticated):
        so.decide(request.id, Reject(), by=nobody, digest=request.digest)  # type: ignore[arg-type]
    with pytest.raises(NotAuthenticated):
        so.cancel(request.id, by=nobody, reason="")  # type: ignore[arg-type]
    with pytest.raises(NotAuthenticated):
        so.settle("ent_1", happened=True, by=nobody)  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match="needs a name"):
        Principal(id=" ")


@pytest.mark.row("B8")
def test_too_few_reviewers_are_named_when_asked(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", approvals=2, reviewers=["finance"]))
    so.create_token("ann", groups=["finance"])
    so.create_token("ann", groups=["finance"])
    so.create_token("uma", groups=["finance"])  # on whose behalf it runs
    so.create_token("bot", groups=["finance"], kind=PrincipalKind.AGENT)
    with pytest.raises(NobodyCanApprove, match="token create NAME --group finance"):
        ask(so)
    assert so.count() == 0
    mixed = open_signoff(*so.policy.rules, directory="open") if so.policy else so
    note = ask(mixed).note
    assert note is not None
    assert "needs 2 approval(s), but only 1 of the people with a token" in note
    so.create_token("bob", groups=["finance"])
    assert ask(so, call(call_id="2")).note is None


@pytest.mark.row("B10")
@pytest.mark.parametrize("unknown", ["req_1", "", "req_%", "x\x00y"])
def test_an_unknown_request_is_an_error(so: Signoff, unknown: str) -> None:
    ask(so)
    with pytest.raises(RequestNotFound, match="signoff list"):
        so.find(unknown)
    with pytest.raises(RequestNotFound):
        so.decide(unknown, Approve(), by=ANN, digest="d")
    with pytest.raises(RequestNotFound):
        so.cancel(unknown, by=ANN, reason="")
    with pytest.raises(RequestNotFound):
        so.get(unknown)


def test_a_rule_may_offer_fewer_decisions(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", decisions=["approve", "reject"]))
    with pytest.raises(DecisionNotOffered, match="It takes: approve, reject"):
        say(so, ask(so), Respond(message="m"), ANN)


def test_the_same_answer_twice_is_one_answer_and_another_is_not(so: Signoff) -> None:
    request = ask(so)
    digest = request.digest
    first = so.decide(request.id, Respond(message="one"), by=ANN, digest=digest)
    assert so.decide(request.id, Respond(message="one"), by=ANN, digest=digest) == first
    with pytest.raises(AlreadyDecided, match="already responded by ann"):
        so.decide(request.id, Respond(message="two"), by=ANN, digest=digest)


@pytest.mark.parametrize("text", ["nul \0", "half \ud800"])
def test_texts_that_cannot_be_kept_are_refused(so: Signoff, text: str) -> None:
    request = ask(so)
    for decision in (Reject(reason=text), Respond(message=text)):
        with pytest.raises(PayloadRefused):
            say(so, request, decision, ANN)
    with pytest.raises(PayloadRefused):
        so.cancel(request.id, by=ANN, reason=text)
    for action in (call(thread=text), call(tool=text), call(call_id=text)):
        with pytest.raises(PayloadRefused):
            ask(so, action)
    assert so.get(request.id) == request


def test_an_approval_lapses_and_is_asked_again(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(review("pay", valid_for="10m"))
    first = say(so, ask(so), Approve(), ANN)
    clock.advance("11m")
    assert so.begin(first) is None
    second = ask(so)
    assert (second.ask, second.status) == (2, Status.PENDING)
    assert second.id != first.id
    say(so, second, Approve(), BOB)
    entry = so.begin(so.get(second.id))
    assert entry is not None
    assert entry.request_id == second.id
    clock.advance("11m")
    assert ask(so) == so.get(second.id)  # used in time, so never asked again
    assert so.audit().holds


def test_a_lapsed_approval_that_is_running_is_not_asked_again(
    open_signoff: Opener, clock: MovableClock
) -> None:
    from signoff.service import propose

    so = open_signoff(review("pay", valid_for="10m"))
    request = say(so, ask(so), Approve(), ANN)
    assert so.begin(request) is not None
    clock.advance("11m")
    asked = propose.ask(so.store, call(), so.rule(call()), propose.Asked())
    assert asked.id == request.id


def test_find_takes_the_start_of_an_id(so: Signoff) -> None:
    requests = [ask(so, call(call_id=str(n))) for n in range(20)]
    for request in requests:
        assert so.find(request.id) == request
        assert so.find(request.id.removeprefix("req_")[:12]) == request
    with pytest.raises(RequestNotFound):
        so.find("req_")


def test_changed_grows_with_every_change(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(review("pay", approvals=2))
    seen = [so.changed()]
    request = ask(so)
    seen.append(so.changed())
    clock.offset -= timedelta(hours=1)  # the machine's clock was set back
    for decision, by in ((Approve(), ANN), (Edit(args={"amount": 1}), BOB)):
        say(so, request, decision, by)
        seen.append(so.changed())
    ask(so, call(call_id="2"))
    seen.append(so.changed())
    so.cancel(request.id, by=ANN, reason="")
    seen.append(so.changed())
    assert seen == sorted(set(seen))


def test_counting_and_paging_agree(so: Signoff) -> None:
    for number in range(5):
        ask(so, call(call_id=str(number), thread=f"t{number % 2}"))
    assert so.count() == 5
    assert so.count(Filter(thread="t0")) == len(so.thread("t0")) == 3
    first = so.pending(Filter(limit=3))
    second = so.pending(Filter(limit=3, cursor=first.next))
    assert second.next is None
    assert len({r.id for r in (*first.requests, *second.requests)}) == 5


@pytest.mark.parametrize(
    ("by", "allowed"),
    [
        (Principal(id="clerk", kind=PrincipalKind.AGENT), True),
        (Principal(id="other", kind=PrincipalKind.AGENT), False),
        (Principal(id="uma"), True),
        (ANN, True),
        (CAT, False),
        (Principal(id="ops", kind=PrincipalKind.SERVICE), True),
    ],
)
def test_who_may_withdraw_a_request(
    open_signoff: Opener, by: Principal, *, allowed: bool
) -> None:
    """Its agent, its user, its reviewers and services; nobody else's agent."""
    so = open_signoff(review("pay", reviewers=["finance"]))
    request = ask(so)
    if allowed:
        withdrawn = so.cancel_request(request.id, by=by, reason="not needed")
        assert withdrawn.status is Status.CANCELLED
        return
    with pytest.raises(NotAllowed):
        so.cancel(request.id, by=by, reason="not needed")
    assert so.get(request.id).status is Status.PENDING
