"""Who acts: people, agents and services, each with an identity that was checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from signoff.domain.errors import InvalidSetting

ADMINS: Final = "admin"
"""The group that manages tokens and other people's delegations."""


class PrincipalKind(StrEnum):
    """What kind of identity this is; only people decide."""

    PERSON = "person"
    AGENT = "agent"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated identity. Whoever builds one vouches that it was checked.

    Attributes:
        id: A stable name such as `maria@example.com`.
        groups: The groups that rules name as reviewers.
        channel: By which way it came in: `python`, `cli`, `api`, `inbox`.
    """

    id: str
    kind: PrincipalKind = PrincipalKind.PERSON
    groups: frozenset[str] = frozenset()
    channel: str = "python"

    def __post_init__(self) -> None:
        if not self.id.strip():
            raise InvalidSetting("principal", "an identity needs a name.")

    def answers_to(self, names: tuple[str, ...]) -> bool:
        """Whether one of the names is this principal or one of its groups."""
        return self.id in names or not self.groups.isdisjoint(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A credential: who it stands for. Only its hash is ever stored.

    Attributes:
        id: The public part, by which it is listed and revoked.
        created_at: Microseconds since 1970 UTC; so are the other times.
    """

    id: str
    principal: str
    kind: PrincipalKind
    groups: tuple[str, ...]
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
