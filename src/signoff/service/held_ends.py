"""How a held call ends: sent by a person, cancelled, or run to its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from signoff.domain.actions import check_texts
from signoff.domain.errors import (
    EntryNotFound,
    HeldIsAsked,
    HoldOver,
    NotAllowed,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Fact
from signoff.domain.principals import Principal, PrincipalKind
from signoff.domain.requests import Status
from signoff.domain.text import storable
from signoff.ports import Store, Writing
from signoff.service.decide import settle
from signoff.service.execute import KINDS, SUMMARY_LENGTH, entry_fact
from signoff.service.holds import Ran
from signoff.service.reversing import hashed
from signoff.service.take_back import Wish, find, find_for, tell_agent

SIGNOFF: Final = "signoff"


def rehold(tx: Writing, entry: Entry, now: Entry, by: Principal | None = None) -> bool:
    if not tx.rehold(entry, now):
        return False
    body = {
        "commit_at": now.commit_at,
        "held_open": now.held_open,
        "request_id": now.request_id,
    }
    tx.record(
        Fact(
            kind="postponed",
            subject=entry.id,
            actor=None if by is None else by.id,
            channel=None if by is None else by.channel,
            body={"action": entry.action_id, **body},
        )
    )
    return True


def check_may_release(entry: Entry, by: Principal) -> None:
    """Whether they may send it now: people, and those whom its rule lets approve.

    Raises:
        NotAllowed: With what would be needed.
    """
    reviewers = (entry.undo_terms or {}).get("reviewers")
    if by.kind is not PrincipalKind.PERSON:
        raise NotAllowed(by.id, "held calls are sent by people, or by their time.")
    if reviewers is not None and not by.answers_to(tuple(reviewers)):
        raise NotAllowed(by.id, f"{entry.id} is sent by: {', '.join(reviewers)}.")


def admit_release(store: Store, entry: Entry, by: Principal) -> Entry:
    """Let it run at once, in whichever process has its tool."""
    with store.writing(entry.thread) as tx:
        now = find(tx, entry.id)
        check_held(now)
        if now.commit_at is None and now.request_id is not None:
            raise HeldIsAsked(entry.id, now.request_id)
        rehold(tx, now, replace(now, commit_at=tx.now(), held_open=None), by)
        return find(tx, entry.id)


def cancel(store: Store, entry_id: str, *, by: Principal, reason: str) -> Entry:
    """A person cancels a held call, and what needs it.

    Raises:
        EntryNotFound, NotAuthenticated, NotAllowed: Refused.
        HoldOver: It runs, has run, or was cancelled.
    """
    entry = find_for(store, entry_id, Wish(by=by, reason=reason))
    with store.writing(entry.thread) as tx:
        entry = find(tx, entry_id)
        check_held(entry)
        cancel_in(tx, entry, by=by, reason=storable(reason) or None, again_asks=True)
        return find(tx, entry_id)


def cancel_own(
    store: Store, entry_id: str, *, thread: str, agent: str | None, reason: str
) -> Entry:
    """An agent cancels what it queued itself, in its own thread, and nothing else.

    Raises:
        EntryNotFound: There is no such held call of this agent in this thread.
        HoldOver: It runs, has run, or was cancelled.
    """
    check_texts({"reason": reason})
    with store.writing(thread) as tx:
        entry = find(tx, entry_id)
        if (entry.thread, entry.agent) != (thread, agent):
            raise EntryNotFound(entry_id)  # others' are none of its business
        check_held(entry)
        who = agent or "the agent"
        cancel_in(tx, entry, by=who, reason=storable(reason) or None, told=True)
        return find(tx, entry_id)


def check_held(entry: Entry) -> None:
    """Refuse what is for held calls only.

    Raises:
        HoldOver: It runs, has run, or was cancelled.
    """
    if entry.state is not EntryState.HELD:
        raise HoldOver(entry.id, entry.state.value, entry.undo_by)


def cancel_in(
    tx: Writing,
    entry: Entry,
    *,
    by: Principal | str,
    reason: str | None,
    again_asks: bool = False,
    told: bool = False,
) -> bool:
    """Cancel a held call, and those that need it; with `told` the agent knows."""
    intent = (entry.undo_terms or {}).get("intent") if again_asks else None
    who, channel = (by, None) if isinstance(by, str) else (by.id, by.channel)
    if not tx.cancel_held(entry, by=who, reason=reason, intent=intent):
        return False
    body = {"action": entry.action_id, "reason": reason}
    fact = Fact(kind="hold_cancelled", subject=entry.id, actor=who, body=body)
    tx.record(replace(fact, channel=channel))
    if not told:
        tell_agent(tx, entry, "cancelled", by=who, why=reason)
    request = None if entry.request_id is None else tx.request(entry.request_id)
    if request is not None and request.status is Status.PENDING:
        settled_by = by if isinstance(by, Principal) else None
        said = {"reason": f"{entry.id} was cancelled: {reason or 'no reason given'}"}
        settle(tx, request, Status.CANCELLED, by=settled_by, said=said)
    for one in tx.dependents(entry.id):
        after = tx.entry(one.entry_id)
        if after is not None and after.state is EntryState.HELD:
            why = f"it needs {entry.id}, which was cancelled"
            cancel_in(tx, after, by=SIGNOFF, reason=why)
    tx.wake(entry.agent)
    return True


def finish(store: Store, entry: Entry, move: str, ran: Ran) -> bool:
    """Record how a released call ended, and tell its agent.

    False: a later attempt has it, or a person settled it (fenced).
    """
    summary = storable(ran.summary)[:SUMMARY_LENGTH]
    with store.writing(entry.thread) as tx:
        ended = tx.move_entry(entry, move, result=ran.result, summary=summary)
        kind = KINDS[move] if ended else "late_result"
        body: dict[str, Any] = {"attempt": entry.attempt, "summary": summary}
        if ended and ran.output is not None:
            tx.keep_output(entry, ran.output)
            body["output"] = hashed(ran.output)
        tx.record(entry_fact(kind, entry, body))
        if ended:
            tell_agent(tx, entry, _TOLD[move], by=None, why=summary)
            tx.wake(entry.agent)
        return ended


def tell_end(tx: Writing, entry: Entry, *, happened: bool, by: str, why: str) -> None:
    """Tell the agent how a held call ended whose outcome wasn't known."""
    tell_agent(tx, entry, "released" if happened else "failed", by=by, why=why)


_TOLD: Final = {"finish": "released", "fail": "failed", "lose": "unknown"}
