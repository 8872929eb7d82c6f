"""An effect that can be taken back: what is recorded before it, and at its end."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from signoff.domain.actions import Action, canonical, sha256
from signoff.domain.duration import in_words, microseconds
from signoff.domain.journal import Entry, EntryKind, EntryState
from signoff.domain.ledger import Fact
from signoff.domain.notices import Notice
from signoff.domain.policy import Ruling
from signoff.domain.requests import Request
from signoff.domain.rules import Verdict
from signoff.domain.text import joined, storable
from signoff.domain.undoing import (
    Dependence,
    Dependency,
    Undo,
    intent_of,
    shown_until,
    undoers_of,
    window_of,
)
from signoff.ports import Store, Writing
from signoff.service.execute import SUMMARY_LENGTH, Made, Worker, entry_fact
from signoff.service.propose import (
    Asked,
    allowed_entry,
    check_action,
    ruled,
    running_entry,
)
from signoff.service.standstill import check_unpaused
from signoff.service.undos import (
    HandlerFailed,
    Undos,
    call,
    call_json,
    effect_of,
    fingerprint,
)

NO_UNDO: Final = "no undo is registered for this tool, so it is asked instead"
"""Why a verdict of `reversible` asks where nothing could take the call back."""


class NotTakenBack(Exception):
    """This call could not be taken back, so it is asked about instead.

    Attributes:
        reason: One sentence for the reviewer.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def refusal(undos: Undos, action: Action) -> str | None:
    """Why this call can't run as a reversible one, as far as its arguments say."""
    found = undos.get(action.tool)
    if found is None:
        return NO_UNDO
    reason = found.refusal(action)
    return None if reason is None else f"{reason}, so it is asked instead"


def repeats(store: Store, undos: Undos, action: Action) -> Entry | None:
    """The entry that people took back and that this call would do again."""
    intent = undos.intent(action.tool, action.args)
    with store.reading() as reading:
        return reading.undone_like(action.context.thread, intent)


def asked_again(undone: Entry) -> str:
    """What the reviewer of a repetition is told."""
    why = f": {undone.undo_reason}" if undone.undo_reason else ""
    return f"{undone.undo_by} took the same back before ({undone.id}){why}"


def previewed(undos: Undos, action: Action, asked: Asked) -> Asked:
    """What a request shows, with what the call would do, if its tool can tell."""
    found = undos.get(action.tool)
    if found is None or found.spec.preview is None or asked.args is not None:
        return asked
    spec, args = found.spec, copy.deepcopy(dict(action.args))
    try:
        seen = call_json(found.spec.preview, args, within=spec.timeout, at="preview")
    except HandlerFailed as failed:
        note = joined(asked.note, f"no preview: {failed.reason}")
        return replace(asked, note=note)
    told = f"Preview: {json.dumps(seen, ensure_ascii=False, indent=2)}"
    shown = "\n\n".join(filter(None, (asked.description, told)))
    return replace(asked, description=shown)


def begin(
    store: Store, undos: Undos, action: Action, ruling: Ruling, worker: Worker
) -> Entry | None:
    """Read the state before, record it, and claim the call. None: somebody else has.

    Raises:
        NotTakenBack: The state before can't be kept; nothing runs.
        Paused: A pause covers it.
    """
    check_action(action)
    found = undos.get(action.tool)
    if found is None:
        raise NotTakenBack(NO_UNDO)
    context, spec = action.context, found.spec
    plain = allowed_entry(action, worker=worker.name, now=0, lease=0)
    made = _before(undos, spec, plain, action, ruling)
    needs = _declared(spec, made)
    with store.writing(context.thread) as tx:
        check_unpaused(tx.pauses(), context.agent, context.thread, action.tool)
        now = tx.now()
        entry = replace(
            made, seq=tx.place(), started_at=now, lease_until=now + worker.lease
        )
        started = entry_fact("started", entry, started_way(entry, ruling, needs))
        if not tx.add_entry(entry, request=None, told=started):
            return None
        if tx.ruled(action.id) is None:
            tx.add_actions([ruled(action, ruling)])
        tx.add_dependencies(needs)
        return entry


def approved(
    undos: Undos, request: Request, action: Action, ruling: Ruling, worker: Worker
) -> Made | None:
    """An approved call as one that can be taken back; None: it runs as a plain one.

    That it can't be taken back is no reason to stop it any more: people approved it.
    """
    found = undos.get(action.tool)
    if found is None or ruling.verdict is not Verdict.REVERSIBLE:
        return None
    if found.refusal(action) is not None:
        return None
    plain = running_entry(request, worker=worker.name, now=0, lease=0)
    try:
        made = _before(undos, found.spec, plain, action, ruling)
        made = replace(made, attempts=plain.attempts, idempotent=plain.idempotent)
        needs = _declared(found.spec, made)
    except NotTakenBack:
        return None
    return Made(entry=made, way=started_way(made, ruling, needs), needs=needs)


def started_way(
    entry: Entry, ruling: Ruling, needs: Iterable[Dependency] = ()
) -> dict[str, Any]:
    """What the ledger keeps of the way back when a reversible call starts."""
    return {
        "kind": entry.kind.value,
        "tool": entry.tool,
        "rule": ruling.rule.label,
        "policy": ruling.policy_version,
        "user": entry.user,
        "needs": sorted(one.on_entry_id for one in needs),
        **start_digests(entry),
    }


def start_digests(entry: Entry) -> dict[str, Any]:
    """What was stored before the effect, as the ledger can be compared with it."""
    return {
        "args": hashed(entry.args),
        "captured": hashed(entry.captured),
        "before": hashed(entry.before),
        "undo_terms": dict(entry.undo_terms or {}),
        "undo_version": entry.undo_version,
        "label": entry.label,
        "remains": entry.remains,
    }


def end_digests(entry: Entry) -> dict[str, Any]:
    """The same of what was stored after it."""
    return {
        "output": hashed(entry.output),
        "after": hashed(entry.after),
        "bound": hashed(entry.bound),
        "not_undoable": entry.not_undoable,
    }


def hashed(value: object) -> str | None:
    """The digest of a stored JSON value; None for one that isn't there."""
    return None if value is None else sha256(canonical(value))


def way_back(undos: Undos, entry: Entry, output: object) -> Entry:
    """The entry with what its undo will need, read now that it is done.

    Where that fails it was never reversible, and `not_undoable` says why.
    """
    try:
        canonical(output)
    except Exception:  # noqa: BLE001 - a result that is no JSON is kept as its bytes
        output = None
    done = replace(entry, output=output)
    found = undos.get(entry.tool)
    if found is None:
        return replace(done, not_undoable="its undo isn't registered any more")
    try:
        after, bound = _left_behind(found.spec, undos.read(done))
        made = replace(done, after=after, bound=bound)
        return undos.kept(made, "after", "bound")
    except HandlerFailed as failed:
        why = storable(failed.reason)[:SUMMARY_LENGTH]
        return replace(done, not_undoable=why)


def end(
    store: Store, entry: Entry, done: Entry, *, result: bytes | None, summary: str
) -> bool:
    """Record that a reversible effect happened; its window opens now.

    False: a later attempt has the entry (fenced).
    """
    body = {"attempt": entry.attempt, "summary": storable(summary)[:SUMMARY_LENGTH]}
    told = entry_fact("finished", entry, body)
    with store.writing(entry.thread) as tx:
        moved = end_in(tx, entry, done, "finish", told, result=result)
        if not moved:
            tx.record(entry_fact("late_result", entry, body))
        return moved


def end_in(
    tx: Writing,
    entry: Entry,
    done: Entry,
    move: str,
    told: Fact,
    *,
    result: bytes | None = None,
) -> bool:
    """`end`, in the caller's transaction; `told` is recorded with its way back."""
    way = {
        "output": done.output,
        "after": done.after,
        "bound": done.bound,
        "not_undoable": done.not_undoable,
    }
    summary = told.body["summary"]
    if not tx.end_reversible(entry, move, result=result, summary=summary, way=way):
        return False
    closed = done.not_undoable is not None
    until = None if closed else tx.now() + window_of(entry)
    body = {**told.body, **end_digests(done), "undo_until": until, "happened": True}
    tx.record(replace(told, body=body))
    tx.tell(_can_be_undone(done, until))
    return True


def _can_be_undone(done: Entry, until: int | None) -> Notice:
    window = window_of(done)
    said = {
        "tool": done.tool,
        "until": None if until is None else shown_until(until, window),
        "window": in_words(timedelta(microseconds=window)),
        "label": done.label,
        "remains": done.remains,
        "not_undoable": done.not_undoable,
    }
    return Notice(
        kind="reversible" if until is not None else "irreversible",
        request_id=done.id,
        revision=1,
        to=undoers_of(done),
        by=done.agent,
        said=said,
    )


def _before(
    undos: Undos, spec: Undo, plain: Entry, action: Action, ruling: Ruling
) -> Entry:
    made = replace(
        plain,
        kind=EntryKind.REVERSIBLE,
        state=EntryState.RUNNING,
        args=copy.deepcopy(dict(action.args)),  # a tool may change its own
        attempts=ruling.rule.attempts,
        idempotent=ruling.rule.idempotent,
        intent=intent_of(action.tool, action.args, spec.resource),
        undo_terms=terms_of(ruling),
        undo_version=spec.version,
        label=spec.label.word,
        remains=spec.label.remains,
        probe_at=None if spec.probe is None else 0,
    )
    try:
        if spec.capture is not None:
            captured = call_json(
                spec.capture,
                effect_of(made).args,
                within=spec.timeout,
                at="captured",
            )
            made = replace(made, captured=captured)
        made = replace(made, before=fingerprint(spec, effect_of(made)))
        return undos.kept(made, "captured", "before")
    except HandlerFailed as failed:
        reason = storable(failed.reason)[:SUMMARY_LENGTH]
        raise NotTakenBack(
            f"the state before it can't be kept ({reason}), so it is asked instead"
        ) from failed


def terms_of(ruling: Ruling) -> dict[str, Any]:
    """Who may take it back and how long, copied from its rule."""
    rule = ruling.rule
    return {
        "window": 0 if rule.window is None else microseconds(rule.window),
        "undoers": None if rule.undoers is None else list(rule.undoers),
        "force_by": list(rule.force_by),
        "on_untold": rule.on_untold.value,
        "max_late": None if rule.max_late is None else microseconds(rule.max_late),
    }


def _left_behind(
    spec: Undo, done: Entry
) -> tuple[dict[str, Any] | None, Mapping[str, Any]]:
    """The state after it, and the arguments of its undo."""
    after = fingerprint(spec, effect_of(done))
    return after, _bound(spec, replace(done, after=after))


def _declared(spec: Undo, made: Entry) -> list[Dependency]:
    if spec.depends_on is None:
        return []
    try:
        args = effect_of(made).args
        named = [*call(spec.depends_on, args, within=spec.timeout)]
    except (HandlerFailed, TypeError) as failed:
        raise NotTakenBack(
            f"what it depends on can't be told ({failed}), so it is asked instead"
        ) from failed
    return [
        Dependency(entry_id=made.id, on_entry_id=str(one), how=Dependence.DECLARED)
        for one in dict.fromkeys(named)
    ]


def _bound(spec: Undo, done: Entry) -> Mapping[str, Any]:
    if spec.bind is None:
        return {"result": done.output, "captured": done.captured}
    bound = call_json(spec.bind, effect_of(done), within=spec.timeout, at="bind")
    if not isinstance(bound, Mapping):
        raise HandlerFailed(f"bind gave {type(bound).__name__}, not arguments by name")
    return dict(bound)
