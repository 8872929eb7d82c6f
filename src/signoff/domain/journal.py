"""The journal: what ran, with what result, and how it is taken back.

Its life cycle is the table below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class EntryState(StrEnum):
    """Where the effect of an action stands."""

    PREPARED = "prepared"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    HELD = "held"
    CANCELLED = "cancelled"
    UNDOING = "undoing"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"
    UNDO_UNVERIFIED = "undo_unverified"
    FINAL = "final"


class EntryKind(StrEnum):
    """By which pattern an action ran."""

    PLAIN = "plain"
    REVERSIBLE = "reversible"
    HELD = "held"


Way = tuple[str | None, str]
"""An agent and one of its tools."""

TRANSITIONS: Final[Mapping[EntryState, Mapping[str, EntryState]]] = {
    EntryState.PREPARED: {"start": EntryState.RUNNING},
    EntryState.RUNNING: {
        "suspend": EntryState.PREPARED,
        "finish": EntryState.DONE,
        "fail": EntryState.FAILED,
        "lose": EntryState.UNKNOWN,
    },
    EntryState.DONE: {"undo": EntryState.UNDOING, "finalize": EntryState.FINAL},
    EntryState.FAILED: {"retry": EntryState.RUNNING},
    EntryState.UNKNOWN: {
        "settle_done": EntryState.DONE,
        "settle_failed": EntryState.FAILED,
        "retry": EntryState.RUNNING,
        "again": EntryState.PREPARED,
    },
    EntryState.HELD: {
        "release": EntryState.RUNNING,
        "cancel": EntryState.CANCELLED,
    },
    EntryState.CANCELLED: {},
    EntryState.UNDOING: {
        "claim": EntryState.UNDOING,
        "verify": EntryState.UNDONE,
        "undo_fail": EntryState.UNDO_FAILED,
        "doubt": EntryState.UNDO_UNVERIFIED,
        "conflict": EntryState.DONE,
    },
    EntryState.UNDONE: {},
    EntryState.UNDO_FAILED: {"undo": EntryState.UNDOING},
    EntryState.UNDO_UNVERIFIED: {"undo": EntryState.UNDOING},
    EntryState.FINAL: {},
}
"""Every move there is; `retry` only within the attempts that were approved.

`suspend` is a tool that itself waits for a person (an agent called as a tool): the
same attempt starts again when its thread is resumed. `again` is a person who lets an
unknown call be tried once more, with the same key. `undo` admits an undo, `claim`
is a process that carries it out, also after another one died at it. Only what has a
window becomes `final`; the entries of plain calls stay `done`.
"""

HAPPENED: Final = frozenset(
    {
        EntryState.DONE,
        EntryState.FINAL,
        EntryState.UNDOING,
        EntryState.UNDONE,
        EntryState.UNDO_FAILED,
        EntryState.UNDO_UNVERIFIED,
    }
)
"""Where the effect took place, whatever became of it."""


def step(state: EntryState, move: str) -> EntryState:
    """Where a move leads.

    Raises:
        KeyError: If the life cycle has no such move.
    """
    return TRANSITIONS[state][move]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The effect of one action, and its way back.

    Times are microseconds since 1970 UTC on the database clock. What is JSON is as it
    was when it was stored, or `{"$payload": ...}` where it is kept out of line.

    Attributes:
        id: `ent_` and the action's own part, so an action has one entry ever.
        request_id: The approval under which it runs; None for a call that needed none.
        key: The idempotency key for the tool, the same at every attempt.
        attempt: Counts from 1 and fences off a worker that comes back late.
        attempts: How many were approved.
        worker: Who runs it, for people to read.
        lease_until: A running entry whose lease has passed has lost its worker.
        result: What the tool returned, encoded by who ran it.
        summary: The result or the error as a person reads it.
        seq: Its place among the entries of its thread; grows, with gaps.
        args: The arguments that ran; None in entries of earlier releases.
        output: The result as JSON, where it is any.
        intent: A hash of the tool and what it acts on, by which a repetition is known.
        undo_terms: Who may undo it, and how long, copied from its rule.
        undo_version: Which version of the tool's undo it was made for.
        captured: The state before, as the undo wants it.
        before: The state before, by path.
        after: The state afterwards, by path.
        bound: The arguments of the undo.
        undo_until: Until when it can be undone; None: never.
        held_open: Why the window doesn't close, until a person decides.
        commit_at: When a held call runs.
        label: What an undo gives: `exact` or `compensated`.
        remains: What stays after a compensation.
        not_undoable: Why it can't be undone, though its rule says it could.
        undo_by: Who admitted the undo, or cancelled the held call.
        undo_forced: Whether they overrode a conflict.
        undo_at: When they did.
        undo_attempt: Counts the processes that tried; fences as `attempt` does.
        undo_summary: What came of it, as a person reads it.
        diff: By path, what was before, after, and now: a conflict, or what is left.
        steps: Results of the steps of the undo that were done.
        probe_at: When to look whether it happened, once that isn't known.
    """

    id: str
    action_id: str
    request_id: str | None
    thread: str
    tool: str
    key: str
    state: EntryState
    attempt: int
    attempts: int
    idempotent: bool
    worker: str
    lease_until: int
    started_at: int
    finished_at: int | None = None
    result: bytes | None = None
    summary: str | None = None
    seq: int = 0
    kind: EntryKind = EntryKind.PLAIN
    agent: str | None = None
    user: str | None = None
    args: Mapping[str, Any] | None = None
    output: Any = None
    intent: str | None = None
    undo_terms: Mapping[str, Any] | None = None
    undo_version: int | None = None
    captured: Any = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    bound: Mapping[str, Any] | None = None
    undo_until: int | None = None
    held_open: str | None = None
    commit_at: int | None = None
    label: str | None = None
    remains: str | None = None
    not_undoable: str | None = None
    undo_by: str | None = None
    undo_reason: str | None = None
    undo_forced: bool = False
    undo_at: int | None = None
    undo_attempt: int = 0
    undo_lease_until: int | None = None
    undo_worker: str | None = None
    undo_summary: str | None = None
    diff: Sequence[Mapping[str, Any]] | None = None
    steps: Mapping[str, Any] = field(default_factory=dict)
    probe_at: int | None = None

    @property
    def undo_key(self) -> str:
        """The key of its undo: the same at every attempt, not that of the call."""
        return f"undo:{self.action_id}"


def entry_id(action_id: str) -> str:
    """The one entry that an action can have."""
    return "ent_" + action_id.removeprefix("act_")


def is_entry(name: str) -> bool:
    """Whether an id is an entry's, and not that of a request."""
    return name.startswith("ent_")


def may_retry(entry: Entry) -> bool:
    """Whether another attempt is covered: known not applied or declared idempotent."""
    safe = entry.state is EntryState.FAILED or (
        entry.state is EntryState.UNKNOWN and entry.idempotent
    )
    return safe and entry.attempt < entry.attempts
