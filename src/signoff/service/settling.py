"""People say how an unknown outcome ended, or let the call be tried once more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from signoff.domain.actions import canonical, check_texts
from signoff.domain.errors import CannotSettle, NotAllowed
from signoff.domain.journal import Entry, EntryKind, EntryState
from signoff.domain.ledger import Fact
from signoff.domain.principals import Principal, PrincipalKind
from signoff.domain.voting import check_may_decide
from signoff.ports import Store, Writing
from signoff.service import held_ends, reversing
from signoff.service.decide import check_principal
from signoff.service.execute import SUMMARY_LENGTH
from signoff.service.take_back import find
from signoff.service.undos import Undos


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody says of an unknown outcome."""

    happened: bool
    note: str = ""
    result: Any = None


def settle(
    store: Store, undos: Undos, entry_id: str, said: Said, *, by: Principal
) -> Entry:
    """A person says how an unknown outcome ended; the thread goes on with that.

    Raises:
        EntryNotFound: There is no such entry.
        CannotSettle: Its outcome isn't unknown (any more).
        NotAuthenticated, NotAllowed: Only people settle outcomes, and where the rule
            names reviewers, only those.
        PayloadRefused: The result is no JSON.
    """
    canonical(said.result, at="result")
    entry = _unknown(store, entry_id, said.note, by)
    summary = said.note.strip()
    summary = summary or ("it happened" if said.happened else "it did not happen")
    body = {"happened": said.happened, "summary": summary[:SUMMARY_LENGTH]}
    ended = end_unknown(store, undos, entry, _settled(entry, by, body), said.result)
    return _as_it_is(store, entry, moved=ended)


def end_unknown(
    store: Store, undos: Undos, entry: Entry, told: Fact, output: object
) -> bool:
    """Record how an unknown outcome ended, as `told` says, and wake its agent.

    False: it isn't unknown any more.
    """
    happened, summary = bool(told.body["happened"]), str(told.body["summary"])
    done = None
    if happened and entry.kind is EntryKind.REVERSIBLE:
        done = reversing.way_back(undos, entry, output)
    with store.writing(entry.thread) as tx:
        if done is not None:
            moved = reversing.end_in(tx, entry, done, "settle_done", told)
        else:
            moved = _end_plain(tx, entry, told, output)
        if not moved:
            return False
        if entry.kind is EntryKind.HELD:
            by = str(told.actor)
            held_ends.tell_end(tx, entry, happened=happened, by=by, why=summary)
        _wake(tx, entry)
        return True


def _end_plain(tx: Writing, entry: Entry, told: Fact, output: object) -> bool:
    move = "settle_done" if told.body["happened"] else "settle_failed"
    if output is not None:
        told = replace(told, body={**told.body, "output": reversing.hashed(output)})
    if not tx.move_entry(entry, move, summary=told.body["summary"], told=told):
        return False
    if output is not None:
        tx.keep_output(entry, output)
    return True


def let_again(store: Store, entry_id: str, *, note: str, by: Principal) -> Entry:
    """A person lets an unknown call be tried once more, with the same key.

    Raises:
        EntryNotFound, CannotSettle, NotAuthenticated, NotAllowed: As `settle`.
    """
    entry = _unknown(store, entry_id, note, by)
    summary = (note.strip() or "to be tried again")[:SUMMARY_LENGTH]
    body = {"again": True, "attempt": entry.attempt + 1, "summary": summary}
    with store.writing(entry.thread) as tx:
        moved = tx.let_again(entry, summary)
        if moved:
            tx.record(_settled(entry, by, body))
            _wake(tx, entry)
    return _as_it_is(store, entry, moved=moved)


def _settled(entry: Entry, by: Principal, body: dict[str, Any]) -> Fact:
    return Fact(
        kind="settled", subject=entry.id, actor=by.id, channel=by.channel, body=body
    )


def _as_it_is(store: Store, entry: Entry, *, moved: bool) -> Entry:
    with store.reading() as reading:
        current = find(reading, entry.id)
    if not moved:
        raise CannotSettle(entry.id, current.state.value)
    return current


def _unknown(store: Store, entry_id: str, note: str, by: Principal) -> Entry:
    check_principal(by)
    check_texts({"note": note})
    if by.kind is not PrincipalKind.PERSON:
        raise NotAllowed(by.id, "outcomes are settled by people.")
    with store.reading() as reading:
        entry = find(reading, entry_id)
        request = reading.request_of(entry.action_id)
    if request is not None:
        check_may_decide(request, by, approving=False)
    if entry.state is not EntryState.UNKNOWN:
        raise CannotSettle(entry_id, entry.state.value)
    return entry


def _wake(tx: Writing, entry: Entry) -> None:
    request = tx.request_of(entry.action_id)
    tx.wake(entry.agent if request is None else request.agent)
