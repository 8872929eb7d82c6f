"""An undo: admitted in time, carried out by one process, verified before and after."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from signoff.domain.actions import check_texts
from signoff.domain.errors import (
    AlreadyUndone,
    DependentsInTheWay,
    EntryNotFound,
    ForceNeedsReason,
    NotAllowed,
    NotReversible,
    SignoffError,
    UndoInProgress,
    WindowClosed,
    WorldError,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Fact
from signoff.domain.principals import Principal, PrincipalKind
from signoff.domain.text import storable
from signoff.domain.undoing import (
    AgentNotice,
    Change,
    Dependence,
    Dependent,
    Undo,
    agent_notice_id,
    blocks,
    conflicts,
    is_back,
    left_over,
    made_ids,
    mentions,
    undoers_of,
)
from signoff.ports import Reading, Store, Writing
from signoff.service.decide import check_principal
from signoff.service.execute import SUMMARY_LENGTH, Worker
from signoff.service.keeping import Keeping
from signoff.service.pulse import Pulse
from signoff.service.reversing import hashed
from signoff.service.undos import (
    HandlerFailed,
    Undos,
    call,
    effect_of,
    fingerprint,
    upcast,
)

log: Final = logging.getLogger("signoff")

UNCHECKED: Final = (
    "the undo ran, and nobody checked: register fingerprint= (or probe=) with it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Somebody wants an effect taken back.

    Attributes:
        force: Override a conflict and what depends on it.
    """

    by: Principal
    reason: str = ""
    force: bool = False


def find(reading: Reading, entry_id: str) -> Entry:
    """The entry of that id.

    Raises:
        EntryNotFound: There is none.
    """
    entry = reading.entry(entry_id)
    if entry is None:
        raise EntryNotFound(entry_id)
    return entry


def admit(store: Store, entry_id: str, wish: Wish) -> Entry:
    """Admit an undo: by somebody who may, in time, once.

    Raises:
        EntryNotFound, NotAuthenticated, NotAllowed, ForceNeedsReason, NotReversible:
            Refused.
        WindowClosed, AlreadyUndone, UndoInProgress: Somebody, or time, was faster.
        DependentsInTheWay: Later entries need it.
    """
    entry = find_for(store, entry_id, wish)
    with store.writing(entry.thread) as tx:
        entry = find(tx, entry_id)
        _refuse_unless_open(entry, tx.now())
        if not wish.force:
            _check_dependents(tx, entry)
        reason = storable(wish.reason) or None
        if not tx.admit_undo(entry, by=wish.by.id, reason=reason, forced=wish.force):
            _refuse_unless_open(find(tx, entry_id), tx.now())
            raise WindowClosed(entry_id, entry.undo_until)
        body = {"action": entry.action_id, "reason": reason, "forced": wish.force}
        tx.record(
            Fact(
                kind="undo_admitted",
                subject=entry_id,
                actor=wish.by.id,
                channel=wish.by.channel,
                body=body,
            )
        )
        return find(tx, entry_id)


def find_for(store: Store, entry_id: str, wish: Wish) -> Entry:
    """The entry of that id, if they may take it back.

    That they may approve gives them nothing here.

    Raises:
        EntryNotFound, NotAuthenticated: There is none, or nobody is named.
        NotAllowed: With what would be needed.
        ForceNeedsReason: They force it without saying why.
    """
    check_principal(wish.by)
    check_texts({"reason": wish.reason})
    with store.reading() as reading:
        entry = find(reading, entry_id)
    _check_may_undo(entry, wish)
    return entry


def _check_may_undo(entry: Entry, wish: Wish) -> None:
    by, named = wish.by, undoers_of(entry)
    if by.kind is not PrincipalKind.PERSON and by.id not in (named or ()):
        wanted = "undos are for people, and for agents that the rule names as undoers."
        raise NotAllowed(by.id, wanted)
    if named is not None and not by.answers_to(named):
        raise NotAllowed(by.id, f"{entry.id} is undone by: {', '.join(named)}.")
    if not wish.force:
        return
    force_by = tuple((entry.undo_terms or {}).get("force_by") or ())
    if not by.answers_to(force_by):
        who = ", ".join(force_by) or "nobody; the rule's force_by= names them"
        raise NotAllowed(by.id, f"an undo of {entry.id} is forced by: {who}.")
    if not wish.reason.strip():
        raise ForceNeedsReason(entry.id)


def dependents(reading: Reading, entry: Entry) -> tuple[Dependent, ...]:
    """What came later, stands, and needs an entry; the newest first."""
    declared = {one.entry_id for one in reading.dependents(entry.id)}
    ids = made_ids(entry)
    if not declared and not ids:
        return ()
    found = []
    for later in reading.entries_after(entry.thread, entry.seq):
        if later.id in declared:
            found.append(Dependent(entry=later, how=Dependence.DECLARED))
        elif not ids.isdisjoint(mentions(later)):
            found.append(Dependent(entry=later, how=Dependence.PROBABLE))
    return tuple(reversed(found))


def carry_out(store: Store, undos: Undos, entry: Entry, desk: Desk) -> Entry:
    """Carry out an admitted undo, unless another process does. As it is afterwards."""
    claimed = _claim(store, entry, desk.worker)
    if claimed is None:
        return _now(store, entry)
    desk.pulse.hold_attempt(claimed.id, claimed.undo_attempt)
    try:
        ended = _Attempt(store, undos, claimed).run()
    finally:
        desk.pulse.release_attempt(claimed.id, claimed.undo_attempt)
    _end(store, claimed, ended, undos.keeping)
    return _now(store, claimed)


@dataclass(frozen=True, slots=True)
class Desk:
    """Who carries undos out in this process, and how it says that it is alive."""

    worker: Worker
    pulse: Pulse


@dataclass(frozen=True, slots=True)
class _Ended:
    move: str
    summary: str | None = None
    diff: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt at an undo, from the look before to the look after."""

    store: Store
    undos: Undos
    entry: Entry

    def run(self) -> _Ended:
        """How it ended; nothing is raised."""
        found = self.undos.get(self.entry.tool)
        if found is None:
            return _Ended("undo_fail", f"no undo of {self.entry.tool} is here any more")
        try:
            entry = upcast(found.spec, self.undos.read(self.entry))
            return self._undo(found.spec, entry)
        except HandlerFailed as failed:
            return _Ended("undo_fail", failed.reason)

    def _undo(self, spec: Undo, entry: Entry) -> _Ended:
        again = entry.undo_attempt > 1
        effect = effect_of(entry, self._keep)
        now = fingerprint(spec, effect)
        if self._is_back(spec, entry, now):
            return _Ended("verify", "it was as before already, so nothing was done")
        found = () if now is None else conflicts(entry, now)
        resumed = again and entry.steps != {}
        if found and not resumed and not entry.undo_forced:
            paths = ", ".join(change.path for change in found)
            return _Ended("conflict", f"changed since: {paths}", found)
        call(spec.undo, effect, within=spec.timeout, late=self._late)
        return self._verified(spec, entry)

    def _is_back(self, spec: Undo, entry: Entry, now: dict[str, Any] | None) -> bool:
        if now is not None:
            return is_back(entry, now)
        return self._absent(spec, entry)

    def _verified(self, spec: Undo, entry: Entry) -> _Ended:
        try:
            now = fingerprint(spec, effect_of(entry))
            if now is None:
                gone = self._absent(spec, entry)
                return _Ended("verify") if gone else _Ended("doubt", UNCHECKED)
        except HandlerFailed as failed:
            return _Ended("doubt", f"nobody could check: {failed.reason}")
        left = left_over(entry, now)
        if left:
            paths = ", ".join(change.path for change in left)
            return _Ended("doubt", f"not as it was before: {paths}", left)
        return _Ended("verify")

    def _absent(self, spec: Undo, entry: Entry) -> bool:
        if spec.probe is None:
            return False
        return call(spec.probe, effect_of(entry), within=spec.timeout) is False

    def _keep(self, name: str, result: object) -> None:
        with self.store.writing(self.entry.thread) as tx:
            entry = find(tx, self.entry.id)
            steps = {**entry.steps, name: result}
            if not tx.keep_step(self.entry, steps):
                raise UndoInProgress(entry.id, entry.undo_worker)
            kept = {step: hashed(one) for step, one in steps.items()}
            body = {"step": name, "steps": kept}
            tx.record(_fact("undo_step", self.entry, body))

    def _late(self, told: str) -> None:
        """An attempt that ended too late changes nothing; the ledger has it."""
        summary = storable(told)[:SUMMARY_LENGTH]
        body = {"attempt": self.entry.undo_attempt, "summary": summary}
        try:
            with self.store.writing(self.entry.thread) as tx:
                tx.record(_fact("late_undo", self.entry, body))
        except WorldError:
            log.exception("a late undo of %s could not be recorded", self.entry.id)


def _claim(store: Store, entry: Entry, worker: Worker) -> Entry | None:
    with store.writing(entry.thread) as tx:
        if not tx.claim_undo(entry, worker=worker.name, lease=worker.lease):
            return None
        claimed = find(tx, entry.id)
        body = {"attempt": claimed.undo_attempt, "key": claimed.undo_key}
        tx.record(_fact("undo_started", claimed, body))
        return claimed


def _end(store: Store, entry: Entry, ended: _Ended, keeping: Keeping) -> None:
    told = None if ended.summary is None else storable(ended.summary)
    summary = None if told is None else told[:SUMMARY_LENGTH]
    diff = [keeping.keep_change(entry.id, change.as_json()) for change in ended.diff]
    with store.writing(entry.thread) as tx:
        moved = tx.end_undo(entry, ended.move, summary=summary, diff=diff)
        kind = _KINDS[ended.move] if moved else "late_undo"
        body = {
            "attempt": entry.undo_attempt,
            "by": entry.undo_by,
            "summary": summary,
            "paths": [change.path for change in ended.diff],
        }
        tx.record(_fact(kind, entry, body))
        if moved and ended.move == "verify":
            tell_agent(tx, entry, "undone", by=entry.undo_by, why=entry.undo_reason)


def tell_agent(
    tx: Writing, entry: Entry, kind: str, *, by: str | None, why: str | None
) -> None:
    """Leave a message for the agent, found before its next model call."""
    body = {
        "tool": entry.tool,
        "args": entry.args,
        "by": by,
        "reason": why,
        "label": entry.label,
        "remains": entry.remains,
    }
    tx.tell_agent(
        AgentNotice(
            id=agent_notice_id(entry.id, kind),
            thread=entry.thread,
            entry_id=entry.id,
            kind=kind,
            body=body,
        )
    )


def _now(store: Store, entry: Entry) -> Entry:
    with store.reading() as reading:
        return reading.entry(entry.id) or entry


def _check_dependents(reading: Reading, entry: Entry) -> None:
    found = dependents(reading, entry)
    if found:
        named = tuple((one.entry.id, one.how.value) for one in found)
        raise DependentsInTheWay(entry.id, named)


def _refuse_unless_open(entry: Entry, now: int) -> None:
    if entry.state is EntryState.UNDONE:
        raise AlreadyUndone(entry.id, entry.undo_by, entry.undo_at)
    if entry.state is EntryState.UNDOING:
        raise UndoInProgress(entry.id, entry.undo_by)
    reason = blocks(entry, now)
    if reason is not None:
        _refuse(entry, reason)


def _refuse(entry: Entry, reason: str) -> NoReturn:
    closed = entry.state in {EntryState.DONE, EntryState.FINAL}
    if closed and entry.undo_until is not None and entry.not_undoable is None:
        raise WindowClosed(entry.id, entry.undo_until)
    raise NotReversible(entry.id, reason)


def _fact(kind: str, entry: Entry, body: dict[str, Any]) -> Fact:
    about = {"action": entry.action_id, **body}
    return Fact(kind=kind, subject=entry.id, actor=entry.undo_worker, body=about)


_KINDS: Final = {
    "verify": "undone",
    "undo_fail": "undo_failed",
    "doubt": "undo_unverified",
    "conflict": "undo_conflict",
}


def run_due(store: Store, undos: Undos, desk: Desk, limit: int) -> int:
    """Carry out the admitted undos that nobody works at. Returns how many."""
    if not undos.tools:
        return 0
    with store.reading() as reading:
        found = reading.undos_due(undos.tools, limit)
    done = 0
    for entry in found:
        try:
            carry_out(store, undos, entry, desk)
            done += 1
        except SignoffError:
            log.exception("the undo of %s waits", entry.id)
    return done
