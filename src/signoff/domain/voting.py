"""Who may decide on a request, by whose right, and when that is enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from signoff.domain.agreement import (
    Quorum,
    clause_in_words,
    in_words,
    quorum_in_words,
)
from signoff.domain.delegations import Lent
from signoff.domain.errors import NobodyCanApprove, NotAllowed
from signoff.domain.principals import Principal, PrincipalKind
from signoff.domain.requests import (
    Request,
    Status,
    Terms,
    Vote,
    approves_by_silence,
    step,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """By whose right somebody decides.

    Attributes:
        behalf: The delegator; None is by their own right.
        groups: The groups of the right's holder that the request names.
        delegation: By which delegation.
    """

    groups: tuple[str, ...]
    behalf: str | None = None
    delegation: str | None = None

    def told(self) -> dict[str, object]:
        """By whose right, for the ledger; who decided is its event's actor."""
        groups: dict[str, object] = {"groups": list(self.groups)}
        if self.behalf is None:
            return groups
        return {**groups, "behalf": self.behalf, "delegation": self.delegation}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """How far one alternative of a clause is.

    Attributes:
        have: How many different people, each with another right, count for it.
        people: Who counts for it.
    """

    approvals: int
    reviewers: tuple[str, ...] | None
    have: int
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a request's agreement is.

    Attributes:
        words: All that must be met: `one of cfo, or two of finance`.
        missing: What still must be met, in words; None if nothing.
        have: How many approvals count on the shortest way; `needed` is its length.
        rejected: How many people rejected; `denials` of them end it.
    """

    words: str
    missing: str | None
    have: int
    needed: int
    rejected: int
    denials: int
    clauses: tuple[tuple[Alternative, ...], ...]


def check_may_decide(request: Request, by: Principal, *, approving: bool) -> None:
    """Whether this identity may decide on this request by its own right.

    Raises:
        NotAllowed: With what would be needed.
    """
    own_seat(request, by, approving=approving)


def own_seat(request: Request, by: Principal, *, approving: bool) -> Seat:
    """The seat that somebody has by their own right.

    Raises:
        NotAllowed: They have none; with what would be needed.
    """
    check_person(request, by, approving=approving)
    reviewers = request.terms.reviewers
    if reviewers is not None and not by.answers_to(reviewers):
        names = ", ".join(reviewers)
        raise NotAllowed(by.id, f"{request.id} is decided by: {names}.")
    return Seat(groups=_counting(request.terms, by))


def lent_seat(
    request: Request,
    by: Principal,
    lent: Iterable[Lent],
    votes: Iterable[Vote] = (),
    *,
    approving: bool,
) -> Seat | None:
    """A seat that others lend them, one that nobody uses yet if there is one.

    Raises:
        NotAllowed: They may not decide by anybody's right.
    """
    check_person(request, by, approving=approving)
    cast = _current(request, votes)
    used = {vote.right for vote in cast if vote.principal != by.id}
    over = _rejecting(cast) if approving else set()
    fit = [one for one in lent if _may_lend(request, one.holder, approving=approving)]
    free = [one for one in fit if one.holder.id not in over]
    for one in sorted(free, key=lambda found: found.holder.id in used):
        return Seat(
            groups=_counting(request.terms, one.holder),
            behalf=one.holder.id,
            delegation=one.delegation,
        )
    return None


def check_person(request: Request, by: Principal, *, approving: bool) -> None:
    """Whether this identity may decide here at all, by whatever right.

    Raises:
        NotAllowed: It isn't a person, or the one who asked.
    """
    if by.kind is not PrincipalKind.PERSON:
        raise NotAllowed(by.id, f"decisions are made by people, not by a {by.kind}.")
    if approving and asked_for(request, by.id):
        raise NotAllowed(by.id, "it runs on your behalf, so somebody else approves it.")


def check_not_rejected(request: Request, by: Principal, votes: Iterable[Vote]) -> None:
    """Whether they, or the one for whom they act, said no to what is asked now.

    Raises:
        NotAllowed: They did, so that they can't approve it.
    """
    if by.id in _rejecting(_current(request, votes)):
        why = "you, or somebody for you, rejected it as it stands; others may approve."
        raise NotAllowed(by.id, why)


def asked_for(request: Request, name: str) -> bool:
    """Whether a request is this person's or agent's own, which they can't approve."""
    if name == request.agent:
        return True
    return name == request.user and not request.terms.self_approval


def check_may_cancel(request: Request, by: Principal) -> None:
    """Whether this identity may withdraw a request.

    The agent that asked, the user on whose behalf it asked, a reviewer, and services.

    Raises:
        NotAllowed: With who may.
    """
    if by.kind is PrincipalKind.SERVICE or by.id in {request.agent, request.user}:
        return
    reviewers = request.terms.reviewers
    reviews = reviewers is None or by.answers_to(reviewers)
    if by.kind is PrincipalKind.AGENT or not reviews:
        raise NotAllowed(
            by.id,
            f"{request.id} is withdrawn by its agent, its user or its reviewers.",
        )


def tally(request: Request, votes: Iterable[Vote]) -> Status:
    """Where these votes on the current revision take a request.

    Enough denials end it, one answer ends it, and it is approved once every clause is
    met. Their order doesn't matter.
    """
    counted = _current(request, votes)
    if len(_people(counted, "reject")) >= request.terms.denials:
        return step(Status.PENDING, "reject")
    if _people(counted, "respond"):
        return step(Status.PENDING, "respond")
    if is_agreed(request, counted):
        return step(Status.PENDING, "approve")
    return step(Status.PENDING, "vote")


def is_covered(request: Request, votes: Sequence[Vote]) -> bool:
    """Whether an approved call may run: enough agreed, or nobody spoke and may so."""
    silent = request.settled_by is None and approves_by_silence(request)
    return silent or is_agreed(request, votes)


def is_agreed(request: Request, votes: Iterable[Vote]) -> bool:
    """Whether these votes meet every clause, and too few reject."""
    counted = _current(request, votes)
    if len(_people(counted, "reject")) >= request.terms.denials:
        return False
    yes = _agreeing(counted)
    return all(
        any(
            _distinct(_for(each, request.terms, yes)) >= each.approvals
            for each in clause
        )
        for clause in request.terms.agreement
    )


def progress(request: Request, votes: Iterable[Vote]) -> Progress:
    """How far a request's agreement is."""
    counted = _current(request, votes)
    yes = _agreeing(counted)
    terms = request.terms
    clauses = tuple(
        tuple(_alternative(each, terms, yes) for each in clause)
        for clause in terms.agreement
    )
    nearest = [max(clause, key=_nearness) for clause in clauses]
    missing = [_missing(clause) for clause in clauses if not any(map(_met, clause))]
    return Progress(
        words=in_words(terms.agreement),
        missing="; and ".join(missing) or None,
        have=sum(min(one.have, one.approvals) for one in nearest),
        needed=sum(one.approvals for one in nearest),
        rejected=len(_people(counted, "reject")),
        denials=terms.denials,
        clauses=clauses,
    )


def shortfall(
    request: Request, people: Iterable[Principal], also: tuple[str, ...] = ()
) -> NobodyCanApprove | None:
    """What these people could never meet, even if all of them agreed.

    Args:
        request: What is asked.
        people: Everybody who is known.
        also: Who may decide as well, later.
    """
    known = list(people)
    for clause in request.terms.agreement:
        could = [(able(request, each, known, also), each) for each in clause]
        if all(count < each.approvals for count, each in could):
            count, nearest = max(could, key=lambda one: one[0] - one[1].approvals)
            return NobodyCanApprove(
                request.tool,
                clause_in_words(clause),
                needed=nearest.approvals,
                able=count,
                reviewers=nearest.reviewers,
            )
    return None


def able(
    request: Request,
    quorum: Quorum,
    people: Iterable[Principal],
    also: tuple[str, ...] = (),
) -> int:
    """How many of these people could count for a quorum."""
    names = quorum.reviewers
    wide = None if names is None else (*names, *request.terms.escalated, *also)
    return len(
        {
            one.id
            for one in people
            if one.kind is PrincipalKind.PERSON
            and not asked_for(request, one.id)
            and (wide is None or one.answers_to(wide))
        }
    )


def _may_lend(request: Request, holder: Principal, *, approving: bool) -> bool:
    if approving and asked_for(request, holder.id):
        return False
    reviewers = request.terms.reviewers
    return reviewers is None or holder.answers_to(reviewers)


def _counting(terms: Terms, holder: Principal) -> tuple[str, ...]:
    """The groups by which a right counts: those that the terms name."""
    names = {name for clause in terms.agreement for q in clause for name in _all(q)}
    return tuple(sorted(holder.groups & (names | set(terms.escalated))))


def _all(quorum: Quorum) -> tuple[str, ...]:
    return () if quorum.reviewers is None else quorum.reviewers


def _current(request: Request, votes: Iterable[Vote]) -> list[Vote]:
    """The votes on exactly what is asked now."""
    now = (request.revision, request.digest)
    return [vote for vote in votes if (vote.revision, vote.digest) == now]


def _people(votes: Iterable[Vote], kind: str) -> set[str]:
    return {vote.principal for vote in votes if vote.kind == kind}


def _rejecting(votes: Sequence[Vote]) -> set[str]:
    """Who said no, and for whom: none of them counts for a yes."""
    noes = [vote for vote in votes if vote.kind == "reject"]
    return {name for vote in noes for name in (vote.principal, vote.right)}


def _agreeing(votes: Sequence[Vote]) -> list[Vote]:
    no = _rejecting(votes)
    return [
        vote for vote in votes if vote.approves and no.isdisjoint(_both_names(vote))
    ]


def _both_names(vote: Vote) -> tuple[str, str]:
    return vote.principal, vote.right


def _for(quorum: Quorum, terms: Terms, votes: Iterable[Vote]) -> list[Vote]:
    """The votes that count for one alternative."""
    names = quorum.reviewers
    if names is None:
        return list(votes)
    wide = {*names, *terms.escalated}
    return [
        vote
        for vote in votes
        if vote.groups is None or vote.right in wide or not wide.isdisjoint(vote.groups)
    ]


def _distinct(votes: Iterable[Vote]) -> int:
    """The most people who each have a right of their own (Kuhn's matching)."""
    rights: dict[str, set[str]] = {}
    for vote in votes:
        rights.setdefault(vote.principal, set()).add(vote.right)
    taken: dict[str, str] = {}
    return sum(_seated(person, rights, taken, set()) for person in rights)


def _seated(
    person: str,
    rights: Mapping[str, set[str]],
    taken: dict[str, str],
    tried: set[str],
) -> bool:
    """Whether this person finds a right, if need be by moving others to another."""
    for right in rights[person] - tried:
        tried.add(right)
        if right not in taken or _seated(taken[right], rights, taken, tried):
            taken[right] = person
            return True
    return False


def _alternative(quorum: Quorum, terms: Terms, votes: Sequence[Vote]) -> Alternative:
    counted = _for(quorum, terms, votes)
    return Alternative(
        approvals=quorum.approvals,
        reviewers=quorum.reviewers,
        have=_distinct(counted),
        people=tuple(sorted({vote.principal for vote in counted})),
    )


def _met(one: Alternative) -> bool:
    return one.have >= one.approvals


def _nearness(one: Alternative) -> tuple[int, int]:
    return (min(0, one.have - one.approvals), one.have)


def _missing(clause: Sequence[Alternative]) -> str:
    """What would still be enough, the nearest first."""
    return ", or ".join(map(_still, sorted(clause, key=_nearness, reverse=True)))


def _still(one: Alternative) -> str:
    wanted = Quorum(approvals=one.approvals, reviewers=one.reviewers)
    more = "" if one.have == 0 else " more"
    return quorum_in_words(wanted, one.approvals - one.have, more)
