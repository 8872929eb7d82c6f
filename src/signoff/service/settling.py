"""People say how an unknown outcome ended, or let the call be tried once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from signoff.domain.actions import canonical, check_texts
from signoff.domain.errors import CannotSettle, EntryNotFound, NotAllowed
from signoff.domain.journal import Entry, EntryKind, EntryState
from signoff.domain.ledger import Fact
from signoff.domain.principals import Principal, PrincipalKind
from signoff.domain.voting import check_may_decide
from signoff.ports import Store, Writing
from signoff.service import held_ends, reversing
from signoff.service.decide import check_principal
from signoff.service.execute import SUMMARY_LENGTH
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
    summary = summary[:SUMMARY_LENGTH]
    if said.happened and entry.kind is EntryKind.REVERSIBLE:
        return _reversible(store, undos, entry, said, summary, by)
    move = "settle_done" if said.happened else "settle_failed"

    def moved(tx: Writing) -> bool:
        done = tx.move_entry(entry, move, summary=summary)
        if done and said.result is not None:
            tx.keep_output(entry, said.result)
        return done

    body: dict[str, Any] = {"happened": said.happened, "summary": summary}
    if said.result is not None:
        body["output"] = reversing.hashed(said.result)
    return _settled(store, entry, by, moved, body)


def let_again(store: Store, entry_id: str, *, note: str, by: Principal) -> Entry:
    """A person lets an unknown call be tried once more, with the same key.

    Raises:
        EntryNotFound, CannotSettle, NotAuthenticated, NotAllowed: As `settle`.
    """
    entry = _unknown(store, entry_id, note, by)
    summary = (note.strip() or "to be tried again")[:SUMMARY_LENGTH]
    body = {"again": True, "attempt": entry.attempt + 1, "summary": summary}
    return _settled(store, entry, by, lambda tx: tx.let_again(entry, summary), body)


def _reversible(
    store: Store, undos: Undos, entry: Entry, said: Said, summary: str, by: Principal
) -> Entry:
    done = reversing.way_back(undos, entry, said.result)
    with store.writing(entry.thread) as tx:
        if not reversing.end_in(
            tx,
            entry,
            done,
            "settle_done",
            result=None,
            summary=summary,
            actor=by.id,
            kind="settled",
        ):
            raise CannotSettle(entry.id, (tx.entry(entry.id) or entry).state.value)
        _wake(tx, entry)
        return tx.entry(entry.id) or entry


def _settled(
    store: Store,
    entry: Entry,
    by: Principal,
    move: Callable[[Writing], bool],
    body: dict[str, Any],
) -> Entry:
    with store.writing(entry.thread) as tx:
        if not move(tx):
            raise CannotSettle(entry.id, (tx.entry(entry.id) or entry).state.value)
        tx.record(
            Fact(
                kind="settled",
                subject=entry.id,
                actor=by.id,
                channel=by.channel,
                body=body,
            )
        )
        if entry.kind is EntryKind.HELD and "happened" in body:
            told = str(body["summary"])
            held_ends.tell_end(tx, entry, happened=body["happened"], by=by.id, why=told)
        _wake(tx, entry)
        return tx.entry(entry.id) or entry


def _unknown(store: Store, entry_id: str, note: str, by: Principal) -> Entry:
    check_principal(by)
    check_texts({"note": note})
    if by.kind is not PrincipalKind.PERSON:
        raise NotAllowed(by.id, "outcomes are settled by people.")
    with store.reading() as reading:
        entry = reading.entry(entry_id)
        request = None if entry is None else reading.request_of(entry.action_id)
    if entry is None:
        raise EntryNotFound(entry_id)
    if request is not None:
        check_may_decide(request, by, approving=False)
    if entry.state is not EntryState.UNKNOWN:
        raise CannotSettle(entry_id, entry.state.value)
    return entry


def _wake(tx: Writing, entry: Entry) -> None:
    request = tx.request_of(entry.action_id)
    tx.wake(entry.agent if request is None else request.agent)
