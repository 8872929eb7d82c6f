"""Who must agree: how many of whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from signoff.domain.errors import PolicyError

_KEYS: Final = frozenset({"approvals", "reviewers"})
_COUNTS: Final = (
    *("no", "one", "two", "three", "four", "five"),
    *("six", "seven", "eight", "nine", "ten"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """How many different people of which groups; one alternative of several.

    Attributes:
        reviewers: Groups or people who count; None is any person.
    """

    approvals: int = 1
    reviewers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not is_count(self.approvals):
            raise PolicyError(f"approvals must be 1 or more, not {self.approvals!r}.")
        if self.reviewers == ():
            raise PolicyError("reviewers is empty, so nobody could approve; name some.")

    def describe(self) -> dict[str, object]:
        """The quorum as JSON."""
        names = None if self.reviewers is None else list(self.reviewers)
        return {"approvals": self.approvals, "reviewers": names}


Clause = tuple[Quorum, ...]
"""Alternatives: any one of them is enough."""

Agreement = tuple[Clause, ...]
"""Every clause must be met, each by any one of its alternatives."""


def quorum(*reviewers: str, approvals: int = 1) -> Quorum:
    """So many of these groups or people; with no name, of anybody."""
    return Quorum(approvals=approvals, reviewers=reviewers or None)


def read_quorum(value: object) -> Quorum:
    """A quorum, or the table of one: `{approvals = 2, reviewers = ["finance"]}`.

    Raises:
        PolicyError: It is neither.
    """
    if isinstance(value, Quorum):
        return value
    if not isinstance(value, Mapping) or not set(value) <= _KEYS:
        form = '{approvals = 2, reviewers = ["finance"]}'
        raise PolicyError(f"any_of is a list of tables such as {form}, not {value!r}.")
    names = value.get("reviewers")
    if names is not None and not is_names(names):
        raise PolicyError(f"any_of: reviewers is a list of names, not {names!r}.")
    listed = None if names is None else tuple(names)
    return Quorum(approvals=value.get("approvals", 1), reviewers=listed)


def read_agreement(value: Sequence[Sequence[object]]) -> Agreement:
    """An agreement as JSON has it.

    Raises:
        PolicyError: It is none.
    """
    return tuple(tuple(map(read_quorum, clause)) for clause in value)


def named(agreement: Agreement) -> tuple[str, ...] | None:
    """Everybody named in it, each once; None if any person counts somewhere."""
    names: dict[str, None] = {}
    for each in (quorum for clause in agreement for quorum in clause):
        if each.reviewers is None:
            return None
        names |= dict.fromkeys(each.reviewers)
    return tuple(names)


def least(agreement: Agreement) -> int:
    """The least number of different people with whom every clause could be met."""
    return max(min(each.approvals for each in clause) for clause in agreement)


def both(one: Agreement, other: Agreement) -> Agreement:
    """What meets both: never easier than either, and by nobody whom neither names."""
    clauses = (*_only(one, named(other)), *_only(other, named(one)))
    kept: list[Clause] = []
    for clause in dict.fromkeys(clauses):
        if not any(_implies(stronger, clause) for stronger in kept):
            kept = [weak for weak in kept if not _implies(clause, weak)]
            kept.append(clause)
    return tuple(kept)


def in_words(agreement: Agreement) -> str:
    """`one of cfo, or two of finance; and one of legal`."""
    return "; and ".join(clause_in_words(clause) for clause in agreement)


def clause_in_words(clause: Clause) -> str:
    """`one of cfo, or two of finance`."""
    return ", or ".join(quorum_in_words(each) for each in clause)


def quorum_in_words(quorum: Quorum, count: int | None = None, more: str = "") -> str:
    """`two of finance`; with a count and `more`, `one more of finance`."""
    number = quorum.approvals if count is None else count
    said = (_COUNTS[number] if number < len(_COUNTS) else str(number)) + more
    if quorum.reviewers is None:
        return f"{said} {'person' if number == 1 else 'people'}"
    return f"{said} of {' or '.join(quorum.reviewers)}"


def is_count(value: object) -> bool:
    """Whether this is a whole number from 1 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_names(value: object) -> bool:
    """Whether this is a list of names, as groups and people are given."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return all(isinstance(name, str) and name != "" for name in value)


def _only(agreement: Agreement, names: tuple[str, ...] | None) -> Agreement:
    """Where it takes any person, only these."""
    if names is None:
        return agreement
    return tuple(
        tuple(
            replace(each, reviewers=names) if each.reviewers is None else each
            for each in clause
        )
        for clause in agreement
    )


def _implies(stronger: Clause, weaker: Clause) -> bool:
    """Whether whoever meets the one has met the other too."""
    return all(any(_covers(s, w) for w in weaker) for s in stronger)


def _covers(stronger: Quorum, weaker: Quorum) -> bool:
    if stronger.approvals < weaker.approvals:
        return False
    if weaker.reviewers is None:
        return True
    return stronger.reviewers is not None and set(stronger.reviewers) <= set(
        weaker.reviewers
    )
