"""What became of a decision, and what an error means, in a reviewer's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from signoff.domain.duration import in_words
from signoff.domain.errors import (
    AlreadyDecided,
    DigestMismatch,
    InvalidEdit,
    RequestNotFound,
    SignoffError,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.requests import Request, RequestKind, Status, Vote
from signoff.domain.text import reveal
from signoff.domain.undo_plan import UndoRun
from signoff.domain.voting import progress
from signoff.domain.ways_back import label_of

_SECOND: Final = 1_000_000
_SUMMARY_LENGTH: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A sentence for the reviewer.

    Attributes:
        tone: `good`, `bad`, `warn` or `plain`.
        final: Whether nothing more is going to happen.
    """

    tone: str
    text: str
    final: bool = True


def what_happened(
    request: Request, entry: Entry | None, votes: Sequence[Vote], me: str
) -> Told:
    """Where a request stands and what its call did."""
    if request.status is Status.PENDING:
        return Told(tone="plain", text=_gathering(request, votes, me), final=False)
    said = f"{_end(request)} by {_who(request.settled_by, me)}"
    if request.status is not Status.APPROVED:
        return Told(tone="plain", text=said + _why(request))
    if request.kind is RequestKind.GATE:
        return Told(tone="good", text=f"{said} · the workflow goes on")
    tone, rest, final = _effect(request, entry)
    return Told(tone=tone, text=f"{said} · {rest}", final=final)


def explain(error: SignoffError, *, me: str, now: int) -> Told:
    """An error as the reviewer should read it."""
    match error:
        case AlreadyDecided():
            when = "" if error.at is None else f" {since(error.at, now)}"
            who = _who(error.by, me)
            text = f"Already {error.outcome} by {who}{when}. Yours was not taken."
            return Told(tone="warn", text=text)
        case DigestMismatch():
            text = "It asks something else now. Nothing was decided: look again below."
            return Told(tone="warn", text=text)
        case InvalidEdit():
            return Told(tone="bad", text="The edit was not taken; the request waits.")
        case RequestNotFound():
            return Told(tone="warn", text="There is no such request.")
        case _:
            return Told(tone="bad", text=reveal(str(error)))


def taken_back(ended: Entry | UndoRun) -> Told:
    """What an undo, a cancellation or a release came to."""
    if isinstance(ended, Entry):
        tone, said = _TAKEN.get(ended.state, ("plain", ended.state.value))
        more = ended.undo_summary if tone != "plain" else None
        label = f" ({label_of(ended)})" if ended.state is EntryState.UNDONE else ""
        return Told(tone=tone, text=reveal(f"{said}{label}{_more(more)}"))
    count = (
        "1 effect was" if len(ended.done) == 1 else f"{len(ended.done)} effects were"
    )
    if ended.stopped_at is None:
        return Told(tone="good", text=f"{count} undone.")
    text = f"{count} undone. It stopped at {ended.stopped_at.tool}{_more(ended.why)}"
    left = f" · {len(ended.left)} not tried" if ended.left else ""
    return Told(tone="warn", text=reveal(text + left))


def _more(said: str | None) -> str:
    return "" if said is None else f": {said[:_SUMMARY_LENGTH]}"


def since(at: int, now: int) -> str:
    """`12s ago`, from two database times."""
    return f"{in_words(timedelta(microseconds=max(0, now - at)))} ago"


def approvals(request: Request, votes: Sequence[Vote]) -> str:
    """`1 of 2`: how many people approve what is asked now, of how many are needed."""
    found = progress(request, votes)
    return f"{found.have} of {found.needed}"


def _gathering(request: Request, votes: Sequence[Vote], me: str) -> str:
    mine = [vote for vote in votes if vote.principal == me]
    counts = bool(mine) and mine[-1].revision == request.revision
    taken = "Your approval is recorded" if counts else "Your edit is asked again"
    return f"{taken} · {approvals(request, votes)} approvals so far"


def _end(request: Request) -> str:
    if request.kind is RequestKind.GATE and request.status is Status.RESPONDED:
        return "Changes asked for"
    return request.status.value.capitalize()


def _effect(request: Request, entry: Entry | None) -> tuple[str, str, bool]:
    if entry is None:
        return "good", "waiting for the agent to run it", False
    summary = reveal((entry.summary or "")[:_SUMMARY_LENGTH])
    told = f": {summary}" if summary else ""
    state = entry.state
    if state is EntryState.FAILED:
        return "bad", f"failed {_later(request, entry)}{told}", True
    if state is EntryState.UNKNOWN:
        return "warn", f"nobody knows whether it happened{told}", True
    if state in {EntryState.PREPARED, EntryState.RUNNING}:
        return "good", "running", False
    if state in {EntryState.DONE, EntryState.FINAL}:
        return "good", f"executed {_later(request, entry)}{told}", True
    return "warn", f"{_WAYS[state]}{told}", True


_WAYS: Final = {
    EntryState.HELD: "held: not done yet",
    EntryState.CANCELLED: "cancelled before it had any effect",
    EntryState.UNDOING: "executed, and being undone",
    EntryState.UNDONE: "executed, and undone",
    EntryState.UNDO_FAILED: "executed; its undo failed",
    EntryState.UNDO_UNVERIFIED: "executed; nobody knows whether its undo worked",
}


_TAKEN: Final = {
    EntryState.UNDONE: ("good", "Undone"),
    EntryState.UNDOING: ("plain", "Admitted; a process that has its undo does it"),
    EntryState.UNDO_FAILED: ("bad", "Its undo failed"),
    EntryState.UNDO_UNVERIFIED: ("warn", "Its undo could not be verified"),
    EntryState.CANCELLED: ("good", "Cancelled before effect"),
    EntryState.HELD: ("plain", "Let go; a process that has its tool runs it"),
    EntryState.RUNNING: ("plain", "It runs"),
    EntryState.DONE: ("good", "Sent"),
    EntryState.FAILED: ("bad", "It failed, and had no effect"),
    EntryState.UNKNOWN: ("warn", "Nobody knows whether it happened"),
}


def _later(request: Request, entry: Entry) -> str:
    ended = entry.finished_at or entry.started_at
    took = max(0, ended - (request.settled_at or entry.started_at))
    if took < 60 * _SECOND:
        return f"{took / _SECOND:.1f} s later"
    return f"{in_words(timedelta(microseconds=took))} later"


def _why(request: Request) -> str:
    outcome = request.outcome or {}
    said = outcome.get("message") or outcome.get("reason")
    return "" if said is None else f": {reveal(str(said))}"


def _who(principal: str | None, me: str) -> str:
    if principal is None:
        return "its deadline"
    return "you" if principal == me else reveal(principal)
