"""What the model knows of rights: who lent which, and whose votes are enough."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from signoff import Principal, Request
from signoff.domain.delegations import Delegation
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Vote


@dataclass
class Loans:
    """Every right that was lent, and which were taken back."""

    people: dict[str, Principal]
    made: list[Delegation] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)

    def live(self, now: int) -> list[Delegation]:
        """Those that may be used at this time."""
        return [
            one
            for one in self.made
            if one.id not in self.ended and one.starts_at <= now < one.ends_at
        ]

    def rights(self, request: Request, by: Principal, now: int) -> Iterator[str | None]:
        """By whose right somebody may say no: None is their own."""
        if by.kind is not PrincipalKind.PERSON:
            return
        if answers(request, by):
            yield None
        for one in self.live(now):
            if one.delegate == by.id and answers(request, self.people[one.delegator]):
                yield one.delegator

    def may_approve(self, request: Request, by: Principal, now: int) -> bool:
        """Whether they may say yes, by whatever right."""
        rights = set(self.rights(request, by, now)) - {"uma"}
        return by.id != "uma" and rights != set()


def answers(request: Request, person: Principal) -> bool:
    """Whether a request names this person's groups, or takes anybody."""
    names = request.terms.reviewers
    return names is None or not person.groups.isdisjoint(names)


def on_what_is_asked(request: Request, votes: Iterable[Vote]) -> list[Vote]:
    """The votes on what is there now."""
    now = (request.revision, request.digest)
    return [vote for vote in votes if (vote.revision, vote.digest) == now]


def noes(votes: Iterable[Vote]) -> set[str]:
    """Who rejected."""
    return {vote.principal for vote in votes if vote.kind == "reject"}


def enough(
    votes: Sequence[Vote],
    count: int,
    groups: Sequence[str] | None,
    people: dict[str, Principal],
) -> bool:
    """Whether so many different people said yes, each by another one's right.

    The right is of one of the groups; nobody who said no counts, nor is counted for.
    """
    against = {
        name
        for vote in votes
        if vote.kind == "reject"
        for name in (vote.principal, vote.right)
    }
    yes = [
        vote
        for vote in votes
        if vote.approves
        and against.isdisjoint({vote.principal, vote.right})
        and (groups is None or not people[vote.right].groups.isdisjoint(groups))
    ]
    return any(
        len({vote.principal for vote in some}) == count
        and len({vote.right for vote in some}) == count
        for some in combinations(yes, count)
    )
