"""Held calls run, are cancelled, or are asked about: exactly one of these.

Everything is checked again when a call's time has come: what policy says now, whether
its precondition holds, who agreed, whether people were told, and what it needs.
"""

from __future__ import annotations

import copy
import glob
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from signoff.domain.actions import Action, digest
from signoff.domain.duration import duration, microseconds
from signoff.domain.errors import (
    HeldIsAsked,
    HeldNeedsOthers,
    Paused,
)
from signoff.domain.journal import HAPPENED, Entry, EntryState
from signoff.domain.pauses import covering, moved, names
from signoff.domain.policy import Ruling
from signoff.domain.principals import Principal
from signoff.domain.requests import Request, Status, shown
from signoff.domain.rules import Verdict, review
from signoff.domain.text import storable
from signoff.domain.undoing import DEFAULT_TIMEOUT, window_of
from signoff.domain.voting import is_covered
from signoff.ports import Calendars, Reading, Store, Writing
from signoff.service.decide import settle
from signoff.service.execute import SUMMARY_LENGTH, Worker, entry_fact
from signoff.service.held_ends import SIGNOFF, cancel_in, rehold
from signoff.service.holds import Holds
from signoff.service.parking import OPEN, action_of
from signoff.service.propose import Asked, hours_of, make_in, terms_of
from signoff.service.reach import Directory
from signoff.service.reversing import hashed
from signoff.service.take_back import find
from signoff.service.undos import HandlerFailed, Undos, call
from signoff.service.windows import is_unheard

log: Final = logging.getLogger("signoff")

UNHEARD: Final = "unheard"
PAUSED: Final = "paused"
NEEDS: Final = "needs"
MAX_LATE: Final = microseconds(duration("1h", name="max_late"))
_BOTH: Final = ("approve", "reject")


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What releasing needs of this process."""

    store: Store
    holds: Holds
    undos: Undos
    rule: Callable[[Action], Ruling]
    worker: Worker
    directory: Directory
    calendars: Calendars | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What policy and precondition say now: `run`, `ask` or `cancel`."""

    to: str = "run"
    reason: str = ""
    ruling: Ruling | None = None


def commit(office: Office, entry: Entry, by: Principal | None = None) -> Entry | None:
    """Claim a held call whose time has come, or that somebody sends now.

    None: it doesn't run now. It was cancelled, is asked about, waits for something, or
    somebody else was faster.

    Raises:
        HeldIsAsked, HeldNeedsOthers, Paused: With `by`: it can't be sent now.
    """
    if entry.state is EntryState.PREPARED:
        return _again(office, entry)
    judged = _judge(office, entry)
    with office.store.writing(entry.thread) as tx:
        now = tx.entry(entry.id)
        if now is None or not _is_same(now, entry):
            return None
        if judged.to == "cancel":
            cancel_in(tx, now, by=SIGNOFF, reason=judged.reason)
            return None
        if _is_stopped(tx, now, by):
            return None
        return _decided(office, tx, now, judged, by)


def _decided(
    office: Office, tx: Writing, entry: Entry, judged: _Judged, by: Principal | None
) -> Entry | None:
    request = None if entry.request_id is None else tx.request(entry.request_id)
    if request is not None and _waits_for_people(tx, entry, request, by):
        return None
    approved = request is not None and _is_approved(tx, entry, request, judged.ruling)
    timed = by is None and not approved
    if timed and _waits_on(tx, entry):
        return None
    reason = judged.reason if judged.to == "ask" else ""
    if not reason and timed:
        reason = _too_late(tx, entry)
    if reason and not approved:
        _ask(office, tx, entry, judged.ruling, reason)
        return None
    if not _is_intact(tx, entry):
        cancel_in(tx, entry, by=SIGNOFF, reason="what is stored isn't what was queued")
        return None
    early = approved or by is not None
    return _claim(office, tx, entry, request, by, early=early)


def _waits_for_people(
    tx: Writing, entry: Entry, request: Request, by: Principal | None
) -> bool:
    """Whether people have yet to let it run; what they refused is cancelled."""
    if request.status is not Status.PENDING:
        return _cancel_refused(tx, entry, request)
    if by is not None and entry.commit_at is None:
        raise HeldIsAsked(entry.id, request.id)
    return entry.commit_at is None


def _cancel_refused(tx: Writing, entry: Entry, request: Request) -> bool:
    """Cancel a held call whose request ended otherwise than with an approval."""
    if request.status in {Status.PENDING, Status.APPROVED}:
        return False
    said = (request.outcome or {}).get("reason")
    reason = str(said or f"its request is {request.status.value}")
    by, rejected = request.settled_by or SIGNOFF, request.status is Status.REJECTED
    cancel_in(tx, entry, by=by, reason=reason, again_asks=rejected)
    return True


def _claim(
    office: Office,
    tx: Writing,
    entry: Entry,
    request: Request | None,
    by: Principal | None,
    *,
    early: bool,
) -> Entry | None:
    worker = office.worker
    if not tx.release_held(entry, worker=worker.name, lease=worker.lease, early=early):
        return None
    if request is not None and request.status is Status.PENDING:
        said = {"reason": f"{entry.id} was released before anybody decided"}
        settle(tx, request, Status.CANCELLED, by=by, said=said)
    claimed = find(tx, entry.id)
    fact = entry_fact("released", claimed, {"early": early, "attempt": claimed.attempt})
    if by is not None:
        fact = replace(fact, actor=by.id, channel=by.channel)
    tx.record(fact)
    return claimed


def _again(office: Office, entry: Entry) -> Entry | None:
    """A person let an unknown one be tried once more: with the same key."""
    worker = office.worker
    with office.store.writing(entry.thread) as tx:
        if covering(tx.pauses(), entry.agent, entry.thread, entry.tool):
            return None
        if not tx.restart_entry(entry, "start", worker=worker.name, lease=worker.lease):
            return None
        again = find(tx, entry.id)
        tx.record(entry_fact("started", again, {"attempt": again.attempt}))
        return again


def _judge(office: Office, entry: Entry) -> _Judged:
    held = office.holds.get(entry.agent, entry.tool)
    rule = office.rule if held is None or held.rule is None else held.rule
    ruling = rule(action_of(entry))
    if ruling.verdict is Verdict.DENY:
        why = f": {ruling.rule.reason}" if ruling.rule.reason else ""
        reason = f"policy denies it now ({ruling.rule.label}){why}"
        return _Judged(to="cancel", reason=reason)
    unmet = _unmet(office, entry, ruling)
    if unmet is not None:
        return unmet
    if ruling.verdict is Verdict.REVIEW:
        reason = f"policy asks about it now ({ruling.rule.label})"
        return _Judged(to="ask", reason=reason, ruling=ruling)
    return _Judged(ruling=ruling)


def _unmet(office: Office, entry: Entry, ruling: Ruling) -> _Judged | None:
    """What the precondition says against it; that it can't tell means ask."""
    check = office.holds.precondition(entry.tool)
    if check is None:
        return None
    try:
        said = call(
            check, copy.deepcopy(dict(entry.args or {})), within=DEFAULT_TIMEOUT
        )
    except HandlerFailed as failed:
        said, why = None, failed.reason
    else:
        why = f"it gave {type(said).__name__}, not True, False or a reason"
    if said is True:
        return None
    if said is False or (isinstance(said, str) and said):
        reason = said or "it no longer applies: its precondition doesn't hold"
        return _Judged(to="cancel", reason=storable(str(reason))[:SUMMARY_LENGTH])
    reason = f"its precondition can't be told: {storable(why)[:SUMMARY_LENGTH]}"
    return _Judged(to="ask", reason=reason, ruling=ruling)


def _is_same(now: Entry, entry: Entry) -> bool:
    return now.state is EntryState.HELD and (
        (now.commit_at, now.request_id, now.held_open)
        == (entry.commit_at, entry.request_id, entry.held_open)
    )


def _is_stopped(tx: Writing, entry: Entry, by: Principal | None) -> bool:
    """Whether something stops it; then it goes on once that is over."""
    waits = [one for one in _needs(tx, entry) if one.state not in HAPPENED]
    ended = next((one for one in waits if one.state in _NEVER), None)
    if ended is not None:
        reason = f"it needs {ended.id}, which is {ended.state}"
        cancel_in(tx, entry, by=SIGNOFF, reason=reason)
        return True
    if waits:
        if by is not None:
            raise HeldNeedsOthers(entry.id, tuple(one.id for one in waits))
        return rehold(tx, entry, replace(entry, held_open=NEEDS))
    pauses = covering(tx.pauses(), entry.agent, entry.thread, entry.tool)
    if pauses:
        if by is not None:
            raise Paused(entry.tool, tuple(names(pauses)))
        return rehold(tx, entry, replace(entry, held_open=PAUSED))
    return False


def _waits_on(tx: Writing, entry: Entry) -> bool:
    """Whether its window isn't over, for it stood still or nobody was told."""
    if _is_sent_now(tx, entry):
        return False
    until = _stood_until(tx, entry)
    if until > tx.now():
        return rehold(tx, entry, replace(entry, commit_at=until))
    if is_unheard(tx, entry):
        return rehold(tx, entry, replace(entry, held_open=UNHEARD))
    return False


def _stood_until(reading: Reading, entry: Entry) -> int:
    """When it runs, with the time for which pauses made its window stand still."""
    pauses = covering(
        reading.pauses(active=False), entry.agent, entry.thread, entry.tool
    )
    spans = [(one.paused_at, one.lifted_at) for one in pauses]
    since = entry.started_at
    return max(entry.commit_at or 0, moved(since + window_of(entry), since, spans)[0])


def _is_sent_now(reading: Reading, entry: Entry) -> bool:
    """Whether a person wanted it sent now, in a process that couldn't."""
    events = reading.events_about(entry.thread, [entry.id])
    return any(one.fact.kind == "postponed" and one.fact.actor for one in events)


def _needs(reading: Reading, entry: Entry) -> list[Entry]:
    found = [reading.entry(one.on_entry_id) for one in reading.dependencies(entry.id)]
    return [one for one in found if one is not None]


_NEVER: Final = frozenset({EntryState.FAILED, EntryState.CANCELLED})


def _too_late(tx: Writing, entry: Entry) -> str:
    """Why it may not run by itself any more; empty if it may."""
    if entry.commit_at is None:
        return "its approval isn't one of what it is now"
    late = tx.now() - entry.commit_at
    if late <= _most_late(entry):
        return ""
    return (
        f"it was due {late // 1_000_000} s ago, later than its rule allows, and "
        "nothing could run it in time"
    )


def _most_late(entry: Entry) -> int:
    allowed = (entry.undo_terms or {}).get("max_late")
    return MAX_LATE if allowed is None else int(allowed)


def _is_approved(
    tx: Writing, entry: Entry, request: Request, ruling: Ruling | None
) -> bool:
    if request.status is not Status.APPROVED:
        return False
    if digest(shown(request)) != request.digest or request.tool != entry.tool:
        return False
    if hashed(request.args) != hashed(entry.args):
        return False
    if not is_covered(request, tx.votes(request.id)):
        return False
    if ruling is None or ruling.verdict is not Verdict.REVIEW:
        return True
    # The rule may have changed since: other people would have to agree.
    same = request.policy_version == ruling.policy_version
    return same or request.terms.agreement == terms_of(ruling.rule).agreement


def _is_intact(tx: Writing, entry: Entry) -> bool:
    """Whether what is stored is what was parked, as the ledger has it."""
    for event in tx.events_about(entry.thread, [entry.id]):
        if event.fact.kind == "parked":
            body = event.fact.body
            return (body["args"], body["tool"]) == (hashed(entry.args), entry.tool)
    return False


def offer(office: Office, entry_id: str) -> Request | None:
    """Ask people to let a held call run now: a later one needs it. Its timer runs on.

    The pending request if it is asked about already; None if it isn't held any more.
    """
    with office.store.reading() as reading:
        entry = find(reading, entry_id)
    with office.store.writing(entry.thread) as tx:
        entry = find(tx, entry_id)
        if entry.state is not EntryState.HELD:
            return None
        if entry.request_id is not None:
            return tx.request(entry.request_id)
        note = "a later call of the agent needs this one: may it run now?"
        return _ask(office, tx, entry, None, note, until=entry.commit_at)


def _ask(
    office: Office,
    tx: Writing,
    entry: Entry,
    ruling: Ruling | None,
    note: str,
    *,
    until: int | None = None,
) -> Request | None:
    if ruling is None or ruling.verdict is not Verdict.REVIEW:
        ruling = _own_terms(entry, ruling)
    before = tx.request_of(entry.action_id)
    asked = make_in(
        tx,
        action_of(entry),
        ruling,
        Asked(note=f"held, not done yet: {note}", decisions=_BOTH),
        ask=1 if before is None else before.ask + 1,
        after=hours_of(ruling.rule, office.calendars),
        directory=office.directory,
    )
    if not isinstance(asked, Request):
        cancel_in(tx, entry, by=SIGNOFF, reason=f"{note}, and {asked}")
        return None
    news = replace(entry, commit_at=until, held_open=None, request_id=asked.id)
    rehold(tx, entry, news)
    return asked


def _own_terms(entry: Entry, ruling: Ruling | None) -> Ruling:
    """Who is asked where no rule says it: the reviewers of the rule that held it."""
    terms: Mapping[str, Any] = entry.undo_terms or {}
    rule = review(
        glob.escape(entry.tool), reviewers=terms["reviewers"], name=terms["rule"]
    )
    version = "hold" if ruling is None else ruling.policy_version
    return Ruling(verdict=Verdict.REVIEW, rule=rule, policy_version=version)


def settled(office: Office, limit: int) -> list[Entry]:
    """What people approved and this process can run; what they refused is cancelled."""
    with office.store.reading() as reading:
        found = reading.held_settled(limit)
    return [one for one in found if _was_approved(office, one)]


def _was_approved(office: Office, entry: Entry) -> bool:
    with office.store.writing(entry.thread) as tx:
        request = tx.request(entry.request_id or "")
        now = tx.entry(entry.id)
        if request is None or now is None or not _is_same(now, entry):
            return False
        _cancel_refused(tx, now, request)
        mine = office.holds.get(entry.agent, entry.tool) is not None
        return request.status is Status.APPROVED and mine and now.held_open is None


def let_go(office: Office, limit: int) -> int:
    """Let timers run again that nothing stops any more. How many."""
    with office.store.reading() as reading:
        found = [one for one in reading.held_stopped(limit) if _is_free(reading, one)]
    done = 0
    for entry in found:
        with office.store.writing(entry.thread) as tx:
            until = _runs_at(tx, entry)
            now = replace(entry, held_open=None, commit_at=until)
            done += rehold(tx, entry, now)
    return done


def _is_free(reading: Reading, entry: Entry) -> bool:
    if entry.held_open == UNHEARD:
        return not reading.untold(entry.id)
    if entry.held_open == PAUSED:
        pauses = reading.pauses()
        return covering(pauses, entry.agent, entry.thread, entry.tool) == ()
    waits = OPEN | {EntryState.UNKNOWN}
    return not any(one.state in waits for one in _needs(reading, entry))


def _runs_at(tx: Writing, entry: Entry) -> int | None:
    if entry.commit_at is None:
        return None  # approved, and what stopped it is over
    if entry.held_open == UNHEARD:
        # Whoever learns of it only now has as long as they were promised.
        return tx.now() + window_of(entry)
    if entry.held_open == PAUSED:
        return _stood_until(tx, entry)
    return tx.now()


def ask_overdue(office: Office, limit: int) -> int:
    """Ask about what no process with its tool has run in time. How many."""
    with office.store.reading() as reading:
        now = reading.now()
        found = reading.releasable(None, limit)
    done = 0
    for entry in found:
        if (entry.agent, entry.tool) in office.holds.known:
            continue
        if now - (entry.commit_at or now) > _most_late(entry):
            done += _ask_overdue(office, entry)
    return done


def _ask_overdue(office: Office, entry: Entry) -> bool:
    with office.store.writing(entry.thread) as tx:
        now = tx.entry(entry.id)
        if now is None or not _is_same(now, entry):
            return False
        if _is_stopped(tx, now, None) or _waits_on(tx, now):
            return False
        reason = _too_late(tx, now)
        return bool(reason) and _ask(office, tx, now, None, reason) is not None
