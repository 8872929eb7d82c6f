"""Requests: what waits for people, and what they say.

Everything that affects a request's life cycle is in this module; who may decide, and
when that is enough, is in `voting`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Final

from signoff.domain.agreement import (
    Agreement,
    Quorum,
    least,
    named,
    read_agreement,
)
from signoff.domain.deadlines import Silence
from signoff.domain.timeline import Step


class Status(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    RESPONDED = "responded"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class RequestKind(StrEnum):
    """What waits: a tool call, or the stage of a workflow."""

    ACTION = "action"
    GATE = "gate"


TRANSITIONS: Final[Mapping[Status, Mapping[str, Status]]] = {
    Status.PENDING: {
        "vote": Status.PENDING,
        "repropose": Status.PENDING,
        "approve": Status.APPROVED,
        "reject": Status.REJECTED,
        "respond": Status.RESPONDED,
        "expire": Status.EXPIRED,
        "cancel": Status.CANCELLED,
    },
    Status.APPROVED: {},
    Status.REJECTED: {},
    Status.RESPONDED: {},
    Status.EXPIRED: {},
    Status.CANCELLED: {},
}
"""Every move there is. A move is one conditional UPDATE from the status on the left."""


def step(status: Status, move: str) -> Status:
    """Where a move leads.

    Raises:
        KeyError: If the life cycle has no such move.
    """
    return TRANSITIONS[status][move]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Yes, run it as shown."""

    kind: ClassVar[str] = "approve"
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """No. The reason goes to the agent."""

    kind: ClassVar[str] = "reject"
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Yes, but with these arguments (and this tool); policy runs on it again."""

    kind: ClassVar[str] = "edit"
    args: Mapping[str, Any]
    tool: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond:
    """Don't run it; give the agent this answer as the tool's result."""

    kind: ClassVar[str] = "respond"
    message: str
    reason: str | None = None


Decision = Approve | Reject | Edit | Respond


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Who must agree and how, copied from the rule when the request was made.

    Attributes:
        agreement: Clauses that must all be met, each by any one of its alternatives.
        escalated: Groups or people who may decide as well; they count everywhere.
        denials: How many different people must reject to end it.
        valid_for: Microseconds that an approval may wait to be used; None is no limit.
        on_expiry: What silence means: `reject`, `approve` or `escalate`.
    """

    agreement: Agreement = ((Quorum(),),)
    escalated: tuple[str, ...] = ()
    denials: int = 1
    decisions: tuple[str, ...] = ("approve", "reject", "edit", "respond")
    self_approval: bool = False
    attempts: int = 1
    idempotent: bool = False
    valid_for: int | None = None
    on_expiry: str = Silence.REJECT.value

    @property
    def reviewers(self) -> tuple[str, ...] | None:
        """Everybody named, the escalated too; None if any person may decide."""
        names = named(self.agreement)
        return None if names is None else (*dict.fromkeys((*names, *self.escalated)),)

    @property
    def approvals(self) -> int:
        """The least number of different people who could approve it."""
        return least(self.agreement)


def read_terms(data: Mapping[str, Any]) -> Terms:
    """Terms as they were written, also when there was one quorum without a name.

    Raises:
        PolicyError: The agreement is none.
    """
    values = dict(data)
    if "agreement" not in values:
        only = {name: values.pop(name) for name in ("approvals", "reviewers")}
        values["agreement"] = [[only]]
    values["agreement"] = read_agreement(values["agreement"])
    values["escalated"] = tuple(values.get("escalated", ()))
    values["decisions"] = tuple(values["decisions"])
    return Terms(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one person said on one revision of a request.

    Attributes:
        principal: Who said it.
        at: Microseconds since 1970 UTC on the database clock.
        behalf: For whom, by that person's right; None is by their own.
        groups: The groups by which it counted then; None is from before they were
            kept, when every vote counted for all that its request named.
    """

    request_id: str
    revision: int
    principal: str
    kind: str
    at: int
    channel: str
    digest: str
    reason: str | None = None
    behalf: str | None = None
    groups: tuple[str, ...] | None = None

    @property
    def right(self) -> str:
        """Whose right it is."""
        return self.principal if self.behalf is None else self.behalf

    @property
    def approves(self) -> bool:
        """Whether it is a yes to what it saw, or to what it made of it."""
        return self.kind in {"approve", "edit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An action or a gate that waits for people, as it stands now.

    Times are microseconds since 1970 UTC on the database clock.

    Attributes:
        ask: 1, and one more when an approval lapsed unused and it is asked again.
        tool: The tool's name, or the gate's.
        args: What will run, after edits.
        proposed: What the agent asked for: `{"tool": ..., "args": ...}`.
        schema: JSON Schema of the tool's arguments, or None if it has none.
        description: What the tool says it does.
        digest: SHA-256 over what is shown; a decision must send it.
        revision: 1, and one more after each edit that asks again.
        note: Why it is asked, when policy itself had a problem.
        outcome: What was said: `reason`, `message`.
        valid_until: An approval that isn't used by then lapses.
        frozen_at: Since when a pause stops its deadlines; they move by that time when
            the pause is lifted.
        assignee: Who was asked to decide it; others who may decide still may.
        timeline: Reminders and escalations in order, at times that `shift` is added to.
        level: How many of them were done, or left out.
        due_at: When something is next due: a step, or at last the deadline.
        shift: By how much its times were moved on; already in every other time.
    """

    id: str
    kind: RequestKind
    action_id: str
    ask: int
    thread: str
    agent: str | None
    user: str | None
    team: str | None
    tool: str
    args: Mapping[str, Any]
    proposed: Mapping[str, Any]
    schema: Mapping[str, Any] | None
    description: str
    digest: str
    revision: int
    status: Status
    risk: str
    rule: str
    policy_version: str
    terms: Terms
    note: str | None
    asked_at: int
    expires_at: int
    changed_at: int
    settled_at: int | None = None
    settled_by: str | None = None
    outcome: Mapping[str, Any] | None = None
    valid_until: int | None = None
    frozen_at: int | None = None
    assignee: str | None = None
    timeline: tuple[Step, ...] = ()
    level: int = 0
    due_at: int = 0
    shift: int = 0

    @property
    def ahead(self) -> tuple[Step, ...]:
        """The reminders and escalations that are still to come."""
        left = self.timeline[self.level :]
        return tuple(replace(one, at=one.at + self.shift) for one in left)

    @property
    def edited(self) -> bool:
        """Whether what will run differs from what the agent asked for."""
        return self.proposed != {"tool": self.tool, "args": self.args}

    def shown(self) -> dict[str, Any]:
        """Exactly what a reviewer is shown and the executor will run."""
        return shown(self)


def shown(request: Request) -> dict[str, Any]:
    """The content that a digest is taken over."""
    return {
        "request": request.id,
        "revision": request.revision,
        "kind": request.kind.value,
        "thread": request.thread,
        "agent": request.agent,
        "user": request.user,
        "team": request.team,
        "tool": request.tool,
        "args": request.args,
        "policy": request.policy_version,
    }


def due_next(request: Request) -> int:
    """When something is next due: a step, or at last the deadline."""
    ahead = request.ahead
    return ahead[0].at if ahead else request.expires_at


def silence(request: Request, votes: Iterable[Vote]) -> Status:
    """What it means now that nobody answered in time.

    Yes only where the rule said so, of a call that is of low risk as it stands, and
    that nobody has said no to.
    """
    said_no = any(
        vote.kind in {"reject", "respond"}
        for vote in votes
        if vote.revision == request.revision
    )
    if approves_by_silence(request) and not said_no:
        return step(Status.PENDING, "approve")
    return step(Status.PENDING, "expire")


def approves_by_silence(request: Request) -> bool:
    """Whether its terms and its risk let silence approve it."""
    asked_for = request.terms.on_expiry == Silence.APPROVE.value
    return asked_for and request.risk == "low" and "approve" in request.terms.decisions
