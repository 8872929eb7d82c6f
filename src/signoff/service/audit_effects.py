"""Checks the journal against the ledger: what ran, and its way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from signoff.domain.journal import Entry, EntryState, is_entry
from signoff.domain.ledger import Break, Event
from signoff.ports import Reading
from signoff.service.keeping import KEPT
from signoff.service.reversing import end_digests, hashed, start_digests

Told = dict[str, Any]


def entry_breaks(
    reading: Reading, thread: str, events: Iterable[Event]
) -> Iterator[Break]:
    """Where an entry of a thread is otherwise than its events say."""
    told: dict[str, tuple[int, Told]] = {}
    for event in events:
        news = _news(event)
        if news is not None:
            _, before = told.get(event.fact.subject, (0, {}))
            told[event.fact.subject] = (event.seq, {**before, **news})
    rows = {entry.id: entry for entry in reading.entries_of_thread(thread)}
    needs = _needs(reading, thread)
    for entry_id in sorted(rows.keys() | told.keys()):
        seq, said = told.get(entry_id, (0, {}))
        row = rows.get(entry_id)
        problem = _problem(row, said, needs.get(entry_id, []))
        if problem is not None:
            yield Break(thread=thread, seq=seq, problem=f"{entry_id}: {problem}")


def _needs(reading: Reading, thread: str) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in reading.dependencies_of_thread(thread):
        found.setdefault(one.entry_id, []).append(one.on_entry_id)
    return found


def _problem(row: Entry | None, told: Told, needs: list[str]) -> str | None:
    known = "nothing" if row is None else row.state
    said = told.get("state", "nothing")
    if known != said:
        return f"the table says {known}, the ledger {said}"
    if row is None:
        return None
    told = {**_AT_FIRST, **told}
    has = {
        **_deciding(row),
        "needs": sorted(needs),
        **start_digests(row),
        **end_digests(row),
    }
    wrong = sorted(name for name in has.keys() & told.keys() if has[name] != told[name])
    if wrong:
        return f"the table has other {', '.join(wrong)} than the ledger"
    return None


def _deciding(row: Entry) -> Told:
    return {
        "kind": row.kind.value,
        "undo_until": row.undo_until,
        "held_open": row.held_open,
        "commit_at": row.commit_at,
        "request_id": row.request_id,
        "undo_by": row.undo_by,
        "undo_forced": row.undo_forced,
        "undo_reason": row.undo_reason,
        "undo_attempt": row.undo_attempt,
        "steps": {name: hashed(result) for name, result in row.steps.items()},
    }


def _news(event: Event) -> Told | None:
    """What an event says of its entry; None if it says nothing that decides."""
    fact = event.fact
    if not is_entry(fact.subject):
        return None
    read = _READ.get(fact.kind)
    state = _STATES.get(fact.kind)
    news = {} if read is None else read(event)
    if state is not None:
        news = {"state": state, **news}
    return news or None


def _picked(*names: str) -> Callable[[Event], Told]:
    def pick(event: Event) -> Told:
        body = event.fact.body
        return {name: body[name] for name in names if name in body}

    return pick


def _settled(event: Event) -> Told:
    body = event.fact.body
    if body.get("again"):
        return {"state": EntryState.PREPARED}
    state = EntryState.DONE if body["happened"] else EntryState.FAILED
    return {"state": state, **_ended(event)}


def _admitted(event: Event) -> Told:
    body = event.fact.body
    who = {"undo_by": event.fact.actor, "undo_reason": body["reason"]}
    return {**who, "undo_forced": body["forced"]}


def _cancelled(event: Event) -> Told:
    return {"undo_by": event.fact.actor, "undo_reason": event.fact.body["reason"]}


def _step(event: Event) -> Told:
    return {"steps": dict(event.fact.body["steps"])}


def _held(event: Event) -> Told:
    return {"held_open": event.fact.body["reason"]}


def _let_close(event: Event) -> Told:
    return {"held_open": None, "undo_until": event.fact.body["undo_until"]}


_AT_FIRST: Final[Mapping[str, Any]] = {
    "undo_until": None,
    "held_open": None,
    "commit_at": None,
    "undo_by": None,
    "undo_reason": None,
    "undo_forced": False,
    "undo_attempt": 0,
    "steps": {},
    "needs": [],
}
"""What an entry has while no event says otherwise."""
_started: Final = _picked(
    "kind",
    "args",
    "captured",
    "before",
    "undo_terms",
    "undo_version",
    "label",
    "remains",
    "commit_at",
    "needs",
)
_ended: Final = _picked("output", "after", "bound", "not_undoable", "undo_until")
_READ: Final[Mapping[str, Callable[[Event], Told]]] = {
    "started": _started,
    "parked": _started,
    "postponed": _picked("commit_at", "held_open", "request_id"),
    "finished": _ended,
    "settled": _settled,
    "probed": _settled,
    "held_open": _held,
    "let_close": _let_close,
    "undo_admitted": _admitted,
    "undo_started": lambda event: {"undo_attempt": event.fact.body["attempt"]},
    "undo_step": _step,
    "purged": lambda _: {**dict.fromkeys(KEPT), "steps": {}},
    "released": lambda _: {"held_open": None},
    "hold_cancelled": _cancelled,
}
_STATES: Final = {
    "started": EntryState.RUNNING,
    "suspended": EntryState.PREPARED,
    "finished": EntryState.DONE,
    "failed": EntryState.FAILED,
    "lost": EntryState.UNKNOWN,
    "parked": EntryState.HELD,
    "released": EntryState.RUNNING,
    "hold_cancelled": EntryState.CANCELLED,
    "undo_admitted": EntryState.UNDOING,
    "undone": EntryState.UNDONE,
    "undo_failed": EntryState.UNDO_FAILED,
    "undo_unverified": EntryState.UNDO_UNVERIFIED,
    "undo_conflict": EntryState.DONE,
    "finalized": EntryState.FINAL,
}
