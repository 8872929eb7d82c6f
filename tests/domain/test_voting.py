"""The arithmetic of agreement: who counts, when it is enough, and what never is."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff import Policy, Principal, Request, Rule, Status, quorum, review
from signoff.domain.agreement import Agreement, Quorum, both, in_words, least, named
from signoff.domain.delegations import Lent
from signoff.domain.errors import NotAllowed
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Vote, read_terms
from signoff.domain.voting import (
    check_not_rejected,
    is_agreed,
    lent_seat,
    own_seat,
    progress,
    shortfall,
    tally,
)
from signoff.service.propose import Asked, make_request
from tests.service.making import call

EITHER = review(
    "pay", any_of=[quorum("cfo"), quorum("finance", approvals=2)], denials=2
)
GROUPS = {
    "ann": ("finance",),
    "bob": ("finance",),
    "cat": ("cfo",),
    "dan": (),
    "eve": ("cfo", "finance"),
}
ONE_MORE = "one more of finance, or one of cfo"
KINDS = ("approve", "edit", "reject", "respond")


def asked(rule: Rule = EITHER) -> Request:
    """A request under one rule; uma is the user, clerk the agent."""
    ruling = Policy([rule]).decide(call())
    return make_request(call(), ruling, Asked(), now=1, ask=1)


def vote(
    request: Request, who: str, kind: str = "approve", behalf: str | None = None
) -> Vote:
    return Vote(
        request_id=request.id,
        revision=request.revision,
        principal=who,
        kind=kind,
        at=1,
        channel="test",
        digest=request.digest,
        behalf=behalf,
        groups=GROUPS[who if behalf is None else behalf],
    )


def read(request: Request, votes: str) -> list[Vote]:
    """`ann bob-reject dan/ann` as votes: who, what, for whom."""
    cast = []
    for word in votes.split():
        who, _, kind = word.partition("-")
        person, _, behalf = who.partition("/")
        cast.append(vote(request, person, kind or "approve", behalf or None))
    return cast


@pytest.mark.row("B7")
@pytest.mark.parametrize(
    ("votes", "status", "missing"),
    [
        ("", Status.PENDING, "one of cfo, or two of finance"),
        ("ann", Status.PENDING, "one more of finance, or one of cfo"),
        ("cat", Status.APPROVED, None),
        ("ann bob", Status.APPROVED, None),
        ("ann ann-edit", Status.PENDING, "one more of finance, or one of cfo"),
        ("dan", Status.PENDING, "one of cfo, or two of finance"),
        ("ann dan/bob", Status.APPROVED, None),
        ("ann dan/ann", Status.PENDING, "one more of finance, or one of cfo"),
        ("dan/ann dan/bob-edit", Status.PENDING, "one more of finance, or one of cfo"),
        ("cat-reject", Status.PENDING, "one of cfo, or two of finance"),
        ("cat-reject cat", Status.PENDING, "one of cfo, or two of finance"),
        (
            "ann-reject dan/ann bob",
            Status.PENDING,
            "one more of finance, or one of cfo",
        ),
        (
            "dan/ann-reject ann bob",
            Status.PENDING,
            "one more of finance, or one of cfo",
        ),
        ("ann-reject ann-reject cat", Status.APPROVED, None),
        ("ann-reject bob-reject cat", Status.REJECTED, None),
        ("ann-reject dan/ann-reject", Status.REJECTED, "one of cfo, or two of finance"),
        ("ann dan-respond", Status.RESPONDED, "one more of finance, or one of cfo"),
        ("ann-reject bob-respond", Status.RESPONDED, "one of cfo, or two of finance"),
    ],
)
def test_one_cfo_or_two_of_finance(
    votes: str, status: Status, missing: str | None
) -> None:
    request = asked()
    cast = read(request, votes)
    for order in permutations(cast):
        assert tally(request, order) is status
        assert progress(request, order).missing == missing


def test_progress_counts_on_the_shortest_way() -> None:
    request = asked()
    found = progress(request, read(request, "ann"))
    assert (found.have, found.needed, found.rejected, found.denials) == (1, 2, 0, 2)
    assert found.words == "one of cfo, or two of finance"
    (cfo, finance) = found.clauses[0]
    assert (cfo.have, cfo.people) == (0, ())
    assert (finance.have, finance.people, finance.reviewers) == (
        *(1, ("ann",)),
        ("finance",),
    )


def test_every_clause_must_be_met() -> None:
    clauses = ((Quorum(reviewers=("cfo",)),), (Quorum(approvals=2),))
    request = asked()
    request = replace(request, terms=replace(request.terms, agreement=clauses))
    assert tally(request, read(request, "cat")) is Status.PENDING
    assert progress(request, read(request, "ann bob")).missing == "one of cfo"
    # One person may count in each: the clauses come from rules of their own.
    assert tally(request, read(request, "cat bob")) is Status.APPROVED
    assert (request.terms.approvals, request.terms.reviewers) == (2, None)


def test_who_was_escalated_to_counts_in_each_alternative() -> None:
    request = asked()
    assert tally(request, read(request, "ann dan")) is Status.PENDING
    terms = replace(request.terms, escalated=("dan",))
    request = replace(request, terms=terms)
    assert request.terms.reviewers == ("cfo", "finance", "dan")
    assert tally(request, read(request, "ann dan")) is Status.APPROVED
    assert tally(request, read(request, "dan")) is Status.APPROVED


@pytest.mark.row("B6")
def test_nobody_approves_their_own_also_not_for_others() -> None:
    request = asked(review("pay", reviewers=["finance"]))
    finance = frozenset({"finance"})
    user, agent = (Principal(id=n, groups=finance) for n in ("uma", "clerk"))
    ann, dan = Principal(id="ann", groups=finance), Principal(id="dan")
    for own in (user, agent):
        with pytest.raises(NotAllowed, match="on your behalf"):
            own_seat(request, own, approving=True)
        with pytest.raises(NotAllowed, match="on your behalf"):
            lent_seat(request, own, [Lent(delegation="d", holder=ann)], approving=True)
        lent = [Lent(delegation="d", holder=own)]
        assert lent_seat(request, dan, lent, approving=True) is None
    seat = lent_seat(request, dan, [Lent(delegation="d", holder=ann)], approving=True)
    assert seat is not None
    assert seat.told() == {"groups": ["finance"], "behalf": "ann", "delegation": "d"}
    bot = Principal(id="bot", kind=PrincipalKind.AGENT)
    with pytest.raises(NotAllowed, match="by people"):
        lent_seat(request, bot, [Lent(delegation="d", holder=ann)], approving=True)


def test_a_right_that_nobody_uses_yet_comes_first() -> None:
    request = asked()
    lent = [
        Lent(delegation=f"d-{n}", holder=Principal(id=n, groups=frozenset(GROUPS[n])))
        for n in ("ann", "bob")
    ]
    dan = Principal(id="dan")
    for votes, holder in (("", "ann"), ("ann", "bob"), ("ann-reject", "bob")):
        cast = read(request, votes)
        seat = lent_seat(request, dan, lent, cast, approving=True)
        assert seat is not None
        assert seat.behalf == holder


@pytest.mark.row("B7")
def test_who_rejected_is_told_that_they_cannot_approve() -> None:
    request = asked()
    cast = read(request, "dan/ann-reject")
    for who in ("dan", "ann"):
        with pytest.raises(NotAllowed, match="rejected it as it stands"):
            check_not_rejected(request, Principal(id=who), cast)
    check_not_rejected(request, Principal(id="bob"), cast)


@pytest.mark.row("B8")
@pytest.mark.parametrize(
    ("known", "also", "enough"),
    [
        ("ann", (), False),
        ("ann bob", (), True),
        ("cat", (), True),
        ("dan", (), False),
        ("dan", ("dan",), True),
        ("", (), False),
    ],
)
def test_what_could_never_be_met(
    known: str, also: tuple[str, ...], *, enough: bool
) -> None:
    people = [Principal(id=n, groups=frozenset(GROUPS[n])) for n in known.split()]
    problem = shortfall(asked(), [*people, *people], also)
    assert (problem is None) is enough
    if problem is not None:
        assert problem.wanted == "one of cfo, or two of finance"


def test_terms_of_one_quorum_are_read_as_they_were_written() -> None:
    old = {
        "approvals": 2,
        "reviewers": ["finance"],
        "decisions": ["approve"],
        "self_approval": False,
        "attempts": 1,
        "idempotent": False,
        "valid_for": None,
    }
    terms = read_terms(old)
    assert terms.agreement == ((Quorum(approvals=2, reviewers=("finance",)),),)
    assert (terms.approvals, terms.reviewers, terms.denials) == (2, ("finance",), 1)
    request = replace(asked(), terms=terms)
    kept = [replace(vote(request, who), groups=None) for who in ("ann", "bob")]
    assert tally(request, kept[:1]) is Status.PENDING
    assert tally(request, kept) is Status.APPROVED


ANY, FINANCE = Quorum(), Quorum(reviewers=("finance",))


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (((ANY,),), ((ANY,),), "one person"),
        (((FINANCE,),), ((ANY,),), "one of finance"),
        (((ANY,),), ((FINANCE,),), "one of finance"),
        (((Quorum(approvals=2),),), ((FINANCE,),), "two of finance"),
        (((FINANCE,),), ((quorum("legal"),),), "one of finance; and one of legal"),
        (((FINANCE,),), ((quorum("finance", approvals=12),),), "12 of finance"),
    ],
)
def test_two_rules_together_are_never_easier(
    one: Agreement, other: Agreement, words: str
) -> None:
    together = both(one, other)
    assert in_words(together) == words
    assert least(together) >= max(least(one), least(other))


NAMES = st.sampled_from(["ann", "bob", "cat", "dan", "eve"])
GROUP_NAMES = st.sampled_from(["finance", "cfo", "ann", "dan"])
QUORUMS = st.builds(
    lambda names, n: Quorum(approvals=n, reviewers=tuple(sorted(names)) or None),
    st.sets(GROUP_NAMES, max_size=2),
    st.integers(1, 3),
)
AGREEMENTS = st.lists(
    st.lists(QUORUMS, min_size=1, max_size=2).map(tuple), min_size=1, max_size=2
).map(tuple)
BALLOTS = st.lists(
    st.tuples(NAMES, st.sampled_from(KINDS), st.none() | NAMES), max_size=7
)


def under(agreement: Agreement, denials: int = 1) -> Request:
    request = asked()
    terms = replace(request.terms, agreement=agreement, denials=denials)
    return replace(request, terms=terms)


def cast_on(
    request: Request, ballots: Iterable[tuple[str, str, str | None]]
) -> list[Vote]:
    return [vote(request, who, kind, behalf) for who, kind, behalf in ballots]


def best(votes: list[Vote], quorum: Quorum) -> int:
    """The most people with a right each, by trying everything."""
    names = quorum.reviewers
    edges = {
        (v.principal, v.right)
        for v in votes
        if names is None or v.right in names or set(names) & set(v.groups or ())
    }

    def most(left: frozenset[tuple[str, str]]) -> int:
        found = 0
        for person, right in left:
            rest = frozenset(e for e in left if e[0] != person and e[1] != right)
            found = max(found, 1 + most(rest))
        return found

    return most(frozenset(edges))


@pytest.mark.row("B7")
@given(AGREEMENTS, BALLOTS, st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_order_of_votes_means_nothing(
    agreement: Agreement,
    ballots: list[tuple[str, str, str | None]],
    denials: int,
    dice: object,
) -> None:
    request = under(agreement, denials)
    cast = cast_on(request, ballots)
    shuffled = list(cast)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    assert tally(request, cast) is tally(request, shuffled)
    assert tally(request, [*cast, *cast]) is tally(request, cast)


@pytest.mark.row("B7")
@given(AGREEMENTS, BALLOTS, st.tuples(NAMES, st.none() | NAMES))
def test_another_yes_never_makes_it_less(
    agreement: Agreement,
    ballots: list[tuple[str, str, str | None]],
    more: tuple[str, str | None],
) -> None:
    request = under(agreement, denials=9)
    before = cast_on(request, ballots)
    after = [*before, vote(request, more[0], "approve", more[1])]
    assert is_agreed(request, after) or not is_agreed(request, before)


@pytest.mark.row("B7")
@given(AGREEMENTS, BALLOTS, st.integers(1, 3), st.tuples(NAMES, st.none() | NAMES))
def test_a_no_never_makes_it_more(
    agreement: Agreement,
    ballots: list[tuple[str, str, str | None]],
    denials: int,
    no: tuple[str, str | None],
) -> None:
    request = under(agreement, denials)
    before = cast_on(request, ballots)
    after = [*before, vote(request, no[0], "reject", no[1])]
    assert is_agreed(request, before) or not is_agreed(request, after)
    rejecting = {v.principal for v in after if v.kind == "reject"}
    assert (tally(request, after) is Status.REJECTED) is (len(rejecting) >= denials)


@pytest.mark.row("B7")
@given(QUORUMS, BALLOTS)
def test_nobody_and_no_right_counts_twice(
    quorum: Quorum, ballots: list[tuple[str, str, str | None]]
) -> None:
    request = under(((quorum,),), denials=9)
    cast = cast_on(request, ballots)
    no = {n for v in cast if v.kind == "reject" for n in (v.principal, v.right)}
    yes = [v for v in cast if v.approves and no.isdisjoint((v.principal, v.right))]
    assert progress(request, cast).clauses[0][0].have == best(yes, quorum)


@given(AGREEMENTS, AGREEMENTS, BALLOTS)
def test_what_meets_both_rules_meets_each(
    one: Agreement, other: Agreement, ballots: list[tuple[str, str, str | None]]
) -> None:
    together = both(one, other)
    cast = cast_on(under(together), ballots)
    if is_agreed(under(together), cast):
        assert is_agreed(under(one), cast)
        assert is_agreed(under(other), cast)
    if named(one) is not None or named(other) is not None:
        everybody = {name for each in (one, other) for name in mentioned(each)}
        assert set(named(together) or {"anybody"}) <= everybody


def mentioned(agreement: Agreement) -> set[str]:
    return {n for clause in agreement for q in clause for n in q.reviewers or ()}
