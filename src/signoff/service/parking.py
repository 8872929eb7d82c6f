"""Held calls: parked with the moment at which they run, and what waits behind them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, Final

from signoff.domain.actions import Action, Context, ToolTraits
from signoff.domain.duration import in_words
from signoff.domain.journal import Entry, EntryKind, EntryState
from signoff.domain.notices import Notice
from signoff.domain.policy import Ruling
from signoff.domain.rules import Verdict
from signoff.domain.undoing import (
    DEFAULT_TIMEOUT,
    Dependence,
    Dependency,
    ids_in,
    shown_until,
    texts_in,
    undoers_of,
    window_of,
)
from signoff.domain.ways_back import CANCELLED
from signoff.ports import Reading, Store
from signoff.service.execute import Worker, entry_fact
from signoff.service.holds import Holds
from signoff.service.propose import allowed_entry, check_action, ruled
from signoff.service.reversing import started_way, terms_of
from signoff.service.standstill import check_unpaused
from signoff.service.undos import HandlerFailed, Undos, call, effect_of

NO_TOOL: Final = "no timer releases held calls here, so it is asked instead"
"""Why a verdict of `hold` asks where nothing could run the call later."""
OPEN: Final = frozenset({EntryState.HELD, EntryState.RUNNING, EntryState.PREPARED})
"""Where a held call has yet to happen."""

Need = tuple[Entry, Dependence]


def park(
    store: Store,
    undos: Undos,
    action: Action,
    ruling: Ruling,
    worker: Worker,
    needs: Sequence[Need] = (),
) -> Entry | None:
    """Record a call that runs later. None: somebody else has recorded it.

    It runs when its window ends, and never before what it needs.

    Raises:
        PayloadRefused: The arguments aren't exact JSON; nothing is recorded.
        Paused: A pause covers it.
    """
    check_action(action)
    made = _entry(undos, action, ruling, worker)
    on = [
        Dependency(entry_id=made.id, on_entry_id=one.id, how=how) for one, how in needs
    ]
    context = action.context
    with store.writing(context.thread) as tx:
        check_unpaused(tx.pauses(), context.agent, context.thread, action.tool)
        now = tx.now()
        until = max(now + window_of(made), *(one.commit_at or 0 for one, _ in needs), 0)
        entry = replace(made, seq=tx.place(), started_at=now, commit_at=until)
        body = {**started_way(entry, ruling, on), "commit_at": until}
        parked = entry_fact("parked", entry, body)
        if not tx.add_entry(entry, request=None, told=parked):
            return None
        if tx.ruled(action.id) is None:
            tx.add_actions([ruled(action, ruling)])
        tx.add_dependencies(on)
        tx.tell(_waits(entry))
        return entry


def action_of(entry: Entry) -> Action:
    """The action of a held call, as its policy judges it again."""
    told = dict((entry.undo_terms or {})["call"])
    return Action(
        context=Context(
            thread=entry.thread, agent=entry.agent, user=entry.user, team=told["team"]
        ),
        message_id=told["message_id"],
        call_id=told["call_id"],
        tool=entry.tool,
        args=copy.deepcopy(dict(entry.args or {})),
        traits=ToolTraits(**told["traits"]),
    )


def needed(
    reading: Reading, holds: Holds, undos: Undos, action: Action, verdict: Verdict
) -> tuple[Need, ...]:
    """The held calls of its thread that a call needs, the oldest first.

    Those that it names by their ids or that its tool is registered to need; of those
    that wait, also those that act on the same id. An allowed call may be a mere look
    at the same thing, so for that one this is not enough.
    """
    context = action.context
    held = [
        one for one in reading.held_in(context.thread) if one.action_id != action.id
    ]
    if not held:
        return ()
    declared, texts = _declared(holds, undos, action, held), texts_in(action.args)
    found: list[Need] = []
    for one in held:
        if one.id in declared:
            found.append((one, Dependence.DECLARED))
        elif any(one.id in text for text in texts) or (
            verdict is not Verdict.ALLOW
            and one.state in OPEN
            and not texts.isdisjoint(ids_in(one.args))
        ):
            found.append((one, Dependence.PROBABLE))
    return tuple(found)


def _declared(
    holds: Holds, undos: Undos, action: Action, held: Sequence[Entry]
) -> frozenset[str]:
    args = copy.deepcopy(dict(action.args))
    known = undos.get(action.tool)
    needs, depends = holds.needs(action.tool), None
    if known is not None:
        depends = known.spec.depends_on
    named = set[str]()
    try:
        if needs is not None:
            given = [effect_of(one) for one in held]
            named |= set(map(str, call(needs, args, given, within=DEFAULT_TIMEOUT)))
        if depends is not None:
            named |= set(map(str, call(depends, args, within=DEFAULT_TIMEOUT)))
    except (HandlerFailed, TypeError):
        # Nobody knows what it needs, so it waits for all that waits.
        return frozenset(one.id for one in held if one.state in OPEN)
    return frozenset(named)


def _entry(undos: Undos, action: Action, ruling: Ruling, worker: Worker) -> Entry:
    rule = ruling.rule
    called = {
        "message_id": action.message_id,
        "call_id": action.call_id,
        "team": action.context.team,
        "traits": asdict(action.traits),
    }
    terms: dict[str, Any] = {
        **terms_of(ruling),
        "reviewers": None if rule.reviewers is None else list(rule.reviewers),
        "rule": rule.label,
        "call": called,
        # Who cancels it may be in a process that doesn't have the tool's undo.
        "intent": undos.intent(action.tool, action.args),
    }
    return replace(
        allowed_entry(action, worker=worker.name, now=0, lease=0),
        kind=EntryKind.HELD,
        state=EntryState.HELD,
        args=copy.deepcopy(dict(action.args)),
        attempts=rule.attempts,
        idempotent=rule.idempotent,
        undo_terms=terms,
    )


def _waits(entry: Entry) -> Notice:
    window, until = window_of(entry), entry.commit_at or 0
    return Notice(
        kind="held",
        request_id=entry.id,
        revision=1,
        to=undoers_of(entry),
        by=entry.agent,
        said={
            "tool": entry.tool,
            "until": shown_until(until, window),
            "window": in_words(timedelta(microseconds=window)),
            "label": CANCELLED,
        },
    )
