"""The journal: what ran, with what result. Its life cycle is the table below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class EntryState(StrEnum):
    """Where the effect of an action stands."""

    PREPARED = "prepared"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


TRANSITIONS: Final[Mapping[EntryState, Mapping[str, EntryState]]] = {
    EntryState.PREPARED: {"start": EntryState.RUNNING},
    EntryState.RUNNING: {
        "suspend": EntryState.PREPARED,
        "finish": EntryState.DONE,
        "fail": EntryState.FAILED,
        "lose": EntryState.UNKNOWN,
    },
    EntryState.DONE: {},
    EntryState.FAILED: {"retry": EntryState.RUNNING},
    EntryState.UNKNOWN: {
        "settle_done": EntryState.DONE,
        "settle_failed": EntryState.FAILED,
        "retry": EntryState.RUNNING,
    },
}
"""Every move there is; `retry` only within the attempts that were approved.

`suspend` is a tool that itself waits for a person (an agent called as a tool): the
same attempt starts again when its thread is resumed.
"""


def step(state: EntryState, move: str) -> EntryState:
    """Where a move leads.

    Raises:
        KeyError: If the life cycle has no such move.
    """
    return TRANSITIONS[state][move]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The effect of one action.

    Times are microseconds since 1970 UTC on the database clock.

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


def entry_id(action_id: str) -> str:
    """The one entry that an action can have."""
    return "ent_" + action_id.removeprefix("act_")


def may_retry(entry: Entry) -> bool:
    """Whether another attempt is covered: known not applied or declared idempotent."""
    safe = entry.state is EntryState.FAILED or (
        entry.state is EntryState.UNKNOWN and entry.idempotent
    )
    return safe and entry.attempt < entry.attempts
