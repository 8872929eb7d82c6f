"""What the record says of each tool, and the moves that it supports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from signoff.domain.actions import ToolTraits

GUIDANCE: Final = (
    "Start by asking. Add gates where a workflow has real stages. Move a tool to "
    "reversible only once its record of clean approvals, and of undo that was seen to "
    "work, supports it. Nothing here was applied."
)


class Direction(StrEnum):
    """Whether people would be asked less or more, or a rule only be put right."""

    LOOSEN = "loosen"
    TIGHTEN = "tighten"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From when on the record counts as saying something.

    Attributes:
        at_most: The share that people would not have approved unchanged must, with
            this confidence, be no higher.
        least: So many decided requests at least.
        hasty_seconds: Below it nobody can have read what was asked.
    """

    at_most: float = 0.02
    confidence: float = 0.95
    least: int = 100
    hasty_seconds: float = 3.0
    hasty_share: float = 0.5
    hasty_least: int = 20
    expired_share: float = 0.5
    expired_least: int = 10
    failing_share: float = 0.05
    failing_least: int = 3
    judged_least: int = 100


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What happened with one tool of one agent.

    Attributes:
        calls: Every recorded call of it; `allowed` of these without a question.
        unruled: How many no rule named; `failing`: on how many a condition failed.
        unchanged: Approved as asked; `edited` is approved after an edit.
        people: How many different people settled its approvals.
        votes: How many decisions were timed; `hasty` of these under three seconds.
        median: Seconds from asked to decided, waiting included; None without votes.
        done: Effects of approved calls that are known to be done, and so on.
        allowed_ended: Effects of allowed calls that are known; `allowed_bad` of these
            failed or unknown.
        asked_by: The rules that asked, as (policy version, label), the newest first.
    """

    agent: str | None
    tool: str
    calls: int = 0
    allowed: int = 0
    unruled: int = 0
    failing: int = 0
    unchanged: int = 0
    edited: int = 0
    rejected: int = 0
    responded: int = 0
    expired: int = 0
    cancelled: int = 0
    pending: int = 0
    people: int = 0
    votes: int = 0
    hasty: int = 0
    median: float | None = None
    done: int = 0
    failed: int = 0
    unknown: int = 0
    allowed_ended: int = 0
    allowed_bad: int = 0
    risk: str = "medium"
    traits: ToolTraits = field(default_factory=ToolTraits)
    asked_by: tuple[tuple[str, str], ...] = ()

    @property
    def decided(self) -> int:
        """Requests that ended by people or by silence; silence is no."""
        answered = self.unchanged + self.edited + self.rejected + self.responded
        return answered + self.expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A move that one could make, and what speaks for it.

    Attributes:
        tool: None where it is about a rule.
        candidate: The verdict that it would have; None where none changes.
        evidence: What the record says, in one sentence.
        share: The upper confidence bound of what people would not have approved
            unchanged, for loosening; else None.
        cautions: What to look at before.
        rule: The rule that one would write, in TOML.
    """

    direction: Direction
    agent: str | None
    tool: str | None
    candidate: str | None
    evidence: str
    share: float | None = None
    cautions: tuple[str, ...] = ()
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A tool with a record that is clean in numbers, and why no move is proposed."""

    agent: str | None
    tool: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What the record supports.

    Attributes:
        since: From when on, microseconds since 1970 UTC; `until` is when it was asked.
        tools: How many tools of agents were looked at.
    """

    since: int
    until: int
    agent: str | None
    limits: Limits
    tools: int
    proposals: tuple[Proposal, ...]
    kept: tuple[Kept, ...]
    guidance: str = GUIDANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Calls of one tool that one rule of one policy judged.

    Attributes:
        failing: On how many of them a condition failed.
        last: When the last was, microseconds since 1970 UTC.
        traits: What the tool said of itself; the worst, if it said more than one thing.
    """

    agent: str | None
    tool: str
    verdict: str
    rule: str
    version: str
    calls: int
    failing: int
    last: int
    traits: ToolTraits


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Named numbers about one tool of one agent, as they are in `Record`."""

    agent: str | None
    tool: str
    numbers: Mapping[str, float]
    risk: str | None = None
