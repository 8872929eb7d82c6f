"""Requests: what waits for people, what they say, and when that is enough.

Everything that affects a request's life cycle is in this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Final

from signoff.domain.deadlines import Silence
from signoff.domain.errors import NotAllowed
from signoff.domain.principals import Principal, PrincipalKind
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
        reviewers: Groups or people who may decide; None is any person.
        valid_for: Microseconds that an approval may wait to be used; None is no limit.
        on_expiry: What silence means: `reject`, `approve` or `escalate`.
        escalated: Who may decide as well, since it was escalated.
    """

    approvals: int = 1
    reviewers: tuple[str, ...] | None = None
    decisions: tuple[str, ...] = ("approve", "reject", "edit", "respond")
    self_approval: bool = False
    attempts: int = 1
    idempotent: bool = False
    valid_for: int | None = None
    on_expiry: str = Silence.REJECT.value
    escalated: tuple[str, ...] = ()

    @property
    def deciders(self) -> tuple[str, ...] | None:
        """The groups or people who may decide by now; None is any person."""
        if self.reviewers is None:
            return None
        return tuple(dict.fromkeys((*self.reviewers, *self.escalated)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one person said on one revision of a request.

    Attributes:
        at: Microseconds since 1970 UTC on the database clock.
    """

    request_id: str
    revision: int
    principal: str
    kind: str
    at: int
    channel: str
    digest: str
    reason: str | None = None


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


def check_may_decide(request: Request, by: Principal, *, approving: bool) -> None:
    """Whether this identity may decide on this request at all.

    Raises:
        NotAllowed: With what would be needed.
    """
    if by.kind is not PrincipalKind.PERSON:
        raise NotAllowed(by.id, f"decisions are made by people, not by a {by.kind}.")
    terms = request.terms
    if approving and by.id == request.user and not terms.self_approval:
        raise NotAllowed(by.id, "it runs on your behalf, so somebody else approves it.")
    if terms.deciders is not None and not by.answers_to(terms.deciders):
        names = ", ".join(terms.deciders)
        raise NotAllowed(by.id, f"{request.id} is decided by: {names}.")


def check_may_cancel(request: Request, by: Principal) -> None:
    """Whether this identity may withdraw a request.

    The agent that asked, the user on whose behalf it asked, a reviewer, and services.

    Raises:
        NotAllowed: With who may.
    """
    if by.kind is PrincipalKind.SERVICE or by.id in {request.agent, request.user}:
        return
    reviewers = request.terms.deciders
    reviews = reviewers is None or by.answers_to(reviewers)
    if by.kind is PrincipalKind.AGENT or not reviews:
        raise NotAllowed(
            by.id,
            f"{request.id} is withdrawn by its agent, its user or its reviewers.",
        )


def tally(request: Request, votes: Iterable[Vote]) -> Status:
    """Where these votes on the current revision take a request. One deny ends it."""
    counted = [v for v in votes if v.revision == request.revision]
    if any(vote.kind == "reject" for vote in counted):
        return step(Status.PENDING, "reject")
    if any(vote.kind == "respond" for vote in counted):
        return step(Status.PENDING, "respond")
    approving = {v.principal for v in counted if v.kind in {"approve", "edit"}}
    if len(approving) >= request.terms.approvals:
        return step(Status.PENDING, "approve")
    return step(Status.PENDING, "vote")


def eligible(terms: Terms, user: str | None, known: Iterable[Principal]) -> int:
    """How many of the known people could approve a request with these terms."""
    able = {
        person.id
        for person in known
        if person.kind is PrincipalKind.PERSON
        and (terms.self_approval or person.id != user)
        and (terms.deciders is None or person.answers_to(terms.deciders))
    }
    return len(able)


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
