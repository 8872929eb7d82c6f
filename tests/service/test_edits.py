"""An edit is a new proposal: policy runs on it again, and nobody's yes carries over."""

import pytest

from signoff import (
    Approve,
    Edit,
    Policy,
    Reject,
    Signoff,
    Status,
    allow,
    deny,
    review,
)
from signoff.domain.actions import ToolTraits
from signoff.domain.errors import AlreadyDecided, DigestMismatch, InvalidEdit
from signoff.ports import KnownTool
from signoff.service.propose import Asked
from signoff.testing import MovableClock
from tests.service.conftest import Opener
from tests.service.making import ANN, BOB, CAT, ask, call, kinds, say, tool


def test_an_edit_by_who_may_approve_is_an_approval(so: Signoff) -> None:
    request = ask(so)
    after = say(so, request, Edit(args={"amount": 7.5}), ANN)
    assert (after.status, after.args, after.revision) == (
        Status.APPROVED,
        {"amount": 7.5},
        2,
    )
    assert after.edited
    assert after.proposed == {"tool": "pay", "args": {"amount": 10}}
    entry = so.begin(after)
    assert entry is not None
    assert kinds(so, request) == ["asked", "edited", "voted", "approved", "started"]


@pytest.mark.row("B7")
def test_votes_on_the_old_revision_do_not_count(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", approvals=2))
    request = ask(so)
    say(so, request, Approve(), ANN)
    edited = say(so, request, Edit(args={"amount": 99}), BOB)
    assert edited.status is Status.PENDING
    with pytest.raises(DigestMismatch):
        so.decide(request.id, Approve(), by=CAT, digest=request.digest)
    settled = say(so, edited, Approve(), ANN)
    assert (settled.status, settled.args) == (Status.APPROVED, {"amount": 99})


def test_two_edits_by_one_person_are_two(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", approvals=2))
    request = ask(so)
    say(so, request, Edit(args={"amount": 1}), ANN)
    again = say(so, request, Edit(args={"amount": 2}), ANN)
    assert (again.revision, again.args) == (3, {"amount": 2})
    assert again.status is Status.PENDING


@pytest.mark.parametrize("approvals", [1, 2])
def test_the_same_edit_twice_is_one(open_signoff: Opener, approvals: int) -> None:
    so = open_signoff(review("pay", approvals=approvals))
    request = ask(so)
    edit = Edit(args={"amount": 1})
    first = so.decide(request.id, edit, by=ANN, digest=request.digest)
    assert so.decide(request.id, edit, by=ANN, digest=request.digest) == first
    other = Edit(args={"amount": 2})
    with pytest.raises((DigestMismatch, AlreadyDecided)):
        so.decide(request.id, other, by=ANN, digest=request.digest)
    with pytest.raises((DigestMismatch, AlreadyDecided)):
        so.decide(request.id, edit, by=BOB, digest=request.digest)


@pytest.mark.row("B2")
@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({"amount": "5"}, "args.amount: '5' is not of type 'number'"),
        ({}, "'amount' is a required property"),
        ({"amount": 5, "amont": 6}, "did you mean 'amount'"),
        ({"amount": float("nan")}, "nan is not a JSON number"),
        ({"amount": 2**60}, "beyond 2^53"),
        ({"amount": 5, 7: 8}, "keys must be strings"),
    ],
)
def test_an_edit_that_does_not_fit_changes_nothing(
    so: Signoff, args: dict[str, object], problem: str
) -> None:
    request = ask(so)
    with pytest.raises(InvalidEdit, match="The request still waits") as refused:
        say(so, request, Edit(args=args), ANN)
    assert problem in str(refused.value)
    assert so.get(request.id) == request


@pytest.mark.row("B2")
def test_types_are_kept(so: Signoff) -> None:
    args = {"amount": 5.0, "to": "0012"}
    after = say(so, ask(so), Edit(args=args), ANN)
    kept = so.get(after.id).args
    assert kept == args
    assert [type(value) for value in kept.values()] == [float, str]


@pytest.mark.row("B1", "I2")
def test_policy_runs_on_the_edit(open_signoff: Opener) -> None:
    so = open_signoff(
        review("pay", when="args.amount > 1000.0", approvals=2, risk="critical"),
        review("pay"),
        deny("delete_*", reason="never delete"),
    )
    so.know_tools([tool("pay", amount="number"), tool("delete_all", path="string")])
    request = ask(so, call(amount=10.0))
    stricter = say(so, request, Edit(args={"amount": 5000.0}), ANN)
    assert stricter.status is Status.PENDING
    assert (stricter.terms.approvals, stricter.risk) == (2, "critical")
    with pytest.raises(InvalidEdit, match="policy denies the edited call: never"):
        say(so, request, Edit(tool="delete_all", args={"path": "/"}), BOB)
    assert say(so, stricter, Approve(), BOB).status is Status.APPROVED


def test_an_edit_never_makes_approval_easier(open_signoff: Opener) -> None:
    so = open_signoff(
        review(
            "pay",
            when="args.amount > 1000",
            approvals=2,
            reviewers=["finance"],
            valid_for="5m",
        ),
        review("pay", when="args.amount > 100", attempts=3, idempotent=True),
        allow("pay"),
    )
    request = ask(so, call(amount=5000))
    for amount in (500, 5):
        edited = say(so, request, Edit(args={"amount": amount}), ANN)
        assert edited.status is Status.PENDING
        assert edited.terms == request.terms


def test_who_may_not_approve_the_edited_call_only_edits(open_signoff: Opener) -> None:
    so = open_signoff(
        review("pay", when="args.amount > 1000", reviewers=["finance"]),
        review("pay"),
    )
    edited = say(so, ask(so), Edit(args={"amount": 5000}), CAT)
    assert edited.status is Status.PENDING
    assert so.votes(edited.id) == []
    settled = say(so, edited, Approve(), ANN)
    assert (settled.status, settled.settled_by) == (Status.APPROVED, "ann")


def test_an_edit_that_nobody_could_approve_is_refused(open_signoff: Opener) -> None:
    so = open_signoff(
        review("pay", when="args.amount > 1000", decisions=["reject"]), review("pay")
    )
    with pytest.raises(InvalidEdit, match="takes only: reject"):
        say(so, ask(so), Edit(args={"amount": 5000}), ANN)


@pytest.mark.row("B18")
def test_a_condition_that_fails_on_the_edit_is_shown(open_signoff: Opener) -> None:
    so = open_signoff(deny("pay", when="args.to == 'eve'"), review("pay", approvals=2))
    edited = say(so, ask(so, call(amount=1, to="bo")), Edit(args={"amount": 2}), ANN)
    assert edited.note is not None
    assert "reads 'to', but the arguments are: amount" in edited.note
    assert edited.status is Status.PENDING
    assert so.get(edited.id).note == edited.note


def test_an_unknown_tool_is_named(so: Signoff) -> None:
    so.know_tools([tool("pay", amount="number")])
    with pytest.raises(InvalidEdit, match="no tool 'payy'; it has: pay"):
        say(so, ask(so), Edit(tool="payy", args={"amount": 1}), ANN)


def test_another_process_judges_edits_by_the_recorded_policy(
    open_signoff: Opener,
) -> None:
    agent = open_signoff(
        review("pay", when=lambda action: action.args["amount"] > 10_000),
        deny("rm"),
        review("pay", approvals=2),
    )
    agent.know_tools([tool("rm", path="string"), tool("pay", amount="number")])
    request = ask(agent)
    desk = open_signoff()  # a server without the policy
    first = say(desk, request, Edit(args={"amount": 5}), ANN)
    assert first.policy_version == request.policy_version
    assert first.note is not None
    assert "Python code of the agent's own process" in first.note
    with pytest.raises(InvalidEdit, match="policy denies"):
        say(desk, request, Edit(tool="rm", args={"path": "/"}), BOB)


def test_a_policy_that_was_never_recorded_judges_no_edit(
    open_signoff: Opener,
) -> None:
    so = open_signoff()
    elsewhere = Policy([review("pay")])
    standing = so.propose(call(), Asked(), ruling=elsewhere.decide(call()))
    assert standing.request is not None
    with pytest.raises(InvalidEdit, match="never recorded"):
        say(so, standing.request, Edit(args={"amount": 1}), ANN)
    so.publish(elsewhere)
    edited = say(so, standing.request, Edit(args={"amount": 1}), ANN)
    assert edited.status is Status.APPROVED


def test_a_deciding_process_records_its_own_policy(open_signoff: Opener) -> None:
    agent = open_signoff(review("pay", approvals=2))
    stricter = open_signoff(deny("pay", when="args.amount > 50"), review("pay"))
    plain = open_signoff()
    request = ask(agent)
    say(stricter, request, Edit(args={"amount": 5}), ANN)
    with pytest.raises(InvalidEdit, match="policy denies"):
        say(plain, request, Edit(args={"amount": 500}), ANN)


@pytest.mark.row("I11")
def test_a_late_edit_is_told_that_it_is_late(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(review("pay", expires_in="1h"))
    request = ask(so)
    clock.advance("2h")
    with pytest.raises(AlreadyDecided, match="expired"):
        say(so, request, Edit(args={"amount": "not even a number"}), ANN)


def test_an_edit_after_a_decision_is_told_who_decided(so: Signoff) -> None:
    request = ask(so)
    say(so, request, Reject(), ANN)
    with pytest.raises(AlreadyDecided, match="rejected by ann"):
        say(so, request, Edit(args={"amount": 1}), BOB)


def test_an_edit_to_another_tool_shows_the_other_tool(open_signoff: Opener) -> None:
    so = open_signoff(review("*", approvals=2))
    other = {"type": "object", "properties": {"to": {"type": "string"}}}
    wire = KnownTool(
        agent="clerk",
        name="wire",
        description="pays abroad",
        schema=other,
        traits=ToolTraits(),
    )
    so.know_tools([wire])
    request = ask(so)
    edited = say(so, request, Edit(tool="wire", args={"to": "bo"}), ANN)
    assert (edited.tool, edited.description) == ("wire", "pays abroad")
    assert edited.schema == other
    assert so.get(request.id) == edited
