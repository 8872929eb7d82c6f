"""Who must agree: how many of whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from signoff.domain.errors import PolicyError

_KEYS: Final = frozenset({"approvals", "reviewers"})


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


def is_count(value: object) -> bool:
    """Whether this is a whole number from 1 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_names(value: object) -> bool:
    """Whether this is a list of names, as groups and people are given."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return all(isinstance(name, str) and name != "" for name in value)
