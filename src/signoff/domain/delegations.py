"""Delegations: somebody lends their right to decide, from one time to another."""

from __future__ import annotations

from dataclasses import dataclass

from signoff.domain.errors import NotAllowed
from signoff.domain.principals import ADMINS, Principal, PrincipalKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """Who may decide by whose right, and when.

    Times are microseconds since 1970 UTC on the database clock.

    Attributes:
        delegator: Whose right it is.
        delegate: Who may use it, but not pass it on.
        groups: The delegator's groups when it was made. They count only if the
            delegator never had a token; else those of the live tokens do.
        made_by: The delegator, or an administrator.
    """

    id: str
    delegator: str
    delegate: str
    groups: tuple[str, ...]
    starts_at: int
    ends_at: int
    reason: str | None
    made_by: str
    made_at: int
    revoked_at: int | None = None
    revoked_by: str | None = None

    def is_active(self, now: int) -> bool:
        """Whether it may be used at this time."""
        return self.revoked_at is None and self.starts_at <= now < self.ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """A right that somebody may use now.

    Attributes:
        holder: Whose right it is, with the groups that it has now.
    """

    delegation: str
    holder: Principal


def check_may_delegate(by: Principal, delegator: str) -> None:
    """Whether this identity may lend that person's right, or take it back.

    Raises:
        NotAllowed: With who may.
    """
    if by.kind is PrincipalKind.AGENT or (
        by.kind is PrincipalKind.SERVICE and ADMINS not in by.groups
    ):
        raise NotAllowed(by.id, f"rights are lent by people, not by a {by.kind}.")
    if by.id != delegator and ADMINS not in by.groups:
        raise NotAllowed(
            by.id, f"that right is lent by {delegator}, or by the group {ADMINS!r}."
        )
