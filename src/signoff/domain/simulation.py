"""What another policy would have said of the calls that there were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from signoff.domain.actions import Action


class Measured(StrEnum):
    """Where the seconds of one decision come from."""

    TOOL = "tool"
    ALL = "all"
    DEFAULT = "default"
    GIVEN = "given"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A recorded call, as it was judged then.

    Attributes:
        action: The call; None if its row can't be read any more.
        gate: Whether it is a gate, which asks whatever the policy says.
        decisions: How many approvals it needed; 0 if nobody was asked.
    """

    id: str
    at: int
    tool: str
    verdict: str
    action: Action | None
    gate: bool
    decisions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """How long people took: from the ask to the decision, waiting included.

    Attributes:
        tool: None is every tool together.
        decisions: How many were measured.
        median: Seconds.
    """

    tool: str | None
    decisions: int
    median: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A call whose verdict changes.

    Attributes:
        args: The arguments as JSON text, cut after 2,000 characters.
        rule: The rule of the new policy that matches.
        error: Why a condition of the new policy failed on it, so that it is asked.
    """

    action: str
    at: int
    thread: str
    agent: str | None
    args: str
    rule: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """So many calls of a tool go from one verdict to another, or stay."""

    was: str
    now: str
    calls: int
    examples: tuple[Example, ...]

    @property
    def changes(self) -> bool:
        """Whether it is another verdict."""
        return self.was != self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What one side asks of people.

    Attributes:
        decisions: Approvals needed: a call that needs two people counts twice.
        minutes: Decisions times the seconds that one takes.
    """

    decisions: int
    minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolMoves:
    """One tool: its calls, from verdict to verdict, and what they ask of people.

    Attributes:
        tool: None is all tools beyond the first five hundred, together.
        seconds: What one decision is taken to cost.
        measured: Where that comes from; `samples` is of how many decisions.
    """

    tool: str | None
    calls: int
    moves: tuple[Move, ...]
    seconds: float
    measured: Measured
    samples: int
    before: Effort
    after: Effort

    @property
    def changed(self) -> int:
        """How many calls get another verdict."""
        return sum(move.calls for move in self.moves if move.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a policy would have said of the recorded calls of a time.

    Attributes:
        version: The version of the policy that was tried.
        since: From when on, microseconds since 1970 UTC; `until` is when it was run.
        calls: How many were judged.
        gates: Gates; they ask whatever the policy says, so they aren't counted.
        unreadable: Calls whose row can't be read any more; they aren't judged.
        failed: Calls on which a condition of the new policy fails, so they are asked.
        untraced: Rules with `record = false` of the policies that were in use: what
            they allowed left no trace, so it isn't in any of these numbers.
        verdicts_before: How many calls had each verdict.
        tools: The tools with most changes first.
    """

    version: str
    since: int
    until: int
    agent: str | None
    calls: int
    gates: int
    unreadable: int
    failed: int
    untraced: tuple[str, ...]
    verdicts_before: Mapping[str, int]
    verdicts_after: Mapping[str, int]
    before: Effort
    after: Effort
    tools: tuple[ToolMoves, ...]


def effort(decisions: int, seconds: float) -> Effort:
    """What so many decisions cost."""
    return Effort(decisions=decisions, minutes=round(decisions * seconds / 60, 2))
