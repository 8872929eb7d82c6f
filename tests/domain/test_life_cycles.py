"""The two tables of the life cycles, and the arithmetic of votes."""

from dataclasses import replace

import pytest

from signoff import Policy, Principal, Request, Rule, Status, review
from signoff.domain import journal, requests
from signoff.domain.agreement import Quorum
from signoff.domain.journal import EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Vote
from signoff.domain.voting import able, tally
from signoff.service.propose import Asked, make_request
from tests.service.making import call


def test_tables_are_whole() -> None:
    assert set(requests.TRANSITIONS) == set(Status)
    assert set(journal.TRANSITIONS) == set(EntryState)
    settled = [s for s in Status if s is not Status.PENDING]
    assert all(requests.TRANSITIONS[status] == {} for status in settled)
    over = EntryState.CANCELLED, EntryState.UNDONE, EntryState.FINAL
    assert all(journal.TRANSITIONS[state] == {} for state in over)


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.PENDING])
@pytest.mark.parametrize("move", requests.TRANSITIONS[Status.PENDING])
def test_what_is_settled_does_not_move(status: Status, move: str) -> None:
    with pytest.raises(KeyError):
        requests.step(status, move)


@pytest.mark.row("B7")
@pytest.mark.parametrize(
    ("needed", "votes", "status"),
    [
        (1, "a+", Status.APPROVED),
        (2, "a+", Status.PENDING),
        (2, "a+ a+", Status.PENDING),
        (2, "a+ ae", Status.PENDING),
        (2, "a+ b+", Status.APPROVED),
        (2, "ae b+", Status.APPROVED),
        (2, "a+ b-", Status.REJECTED),
        (2, "a+ a-", Status.REJECTED),
        (2, "a+ b+ c-", Status.REJECTED),
        (2, "a+ br", Status.RESPONDED),
        (2, "a- br", Status.REJECTED),
        (1, "", Status.PENDING),
        (1, "a+old", Status.PENDING),
        (1, "a-old", Status.PENDING),
    ],
)
def test_tally(needed: int, votes: str, status: Status) -> None:
    request = asked(review("pay", approvals=needed))
    kinds = {"+": "approve", "-": "reject", "e": "edit", "r": "respond"}
    cast = [
        Vote(
            request_id=request.id,
            revision=0 if vote.endswith("old") else request.revision,
            principal=vote[0],
            kind=kinds[vote[1]],
            at=number,
            channel="test",
            digest=request.digest,
        )
        for number, vote in enumerate(votes.split())
    ]
    assert tally(request, cast) is status


def asked(rule: Rule) -> Request:
    """A request under one rule; uma is the user, clerk the agent."""
    ruling = Policy([rule]).decide(call())
    return make_request(call(), ruling, Asked(), now=1, ask=1)


@pytest.mark.row("B8")
def test_eligible_counts_people_who_could() -> None:
    known = [
        Principal(id="ann", groups=frozenset({"finance"})),
        Principal(id="ann", groups=frozenset({"finance"}), channel="cli"),
        Principal(id="bob"),
        Principal(id="uma", groups=frozenset({"finance"})),
        Principal(id="bot", kind=PrincipalKind.AGENT),
    ]
    request = asked(review("pay"))
    finance, some = ("finance",), ("bob", "finance")
    assert able(request, Quorum(), known) == 2
    assert able(asked(review("pay", self_approval=True)), Quorum(), known) == 3
    assert able(request, Quorum(reviewers=finance), known) == 1
    assert able(request, Quorum(reviewers=finance), known, also=("bob",)) == 2
    assert able(replace(request, user=None), Quorum(reviewers=some), known) == 3
    assert able(replace(request, agent="bob"), Quorum(), known) == 1
