"""Windows close, unless nobody was told or nobody could undo; unknowns are probed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from signoff.domain.duration import microseconds
from signoff.domain.errors import NotReversible, WorldError
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Fact
from signoff.domain.rules import Untold
from signoff.domain.undoing import Happened, Orphan, window_of
from signoff.ports import Reading, Store, Writing
from signoff.service import execute, settling
from signoff.service.take_back import Wish, find, find_for
from signoff.service.undos import HandlerFailed, Undos, call, effect_of

log: Final = logging.getLogger("signoff")

UNTOLD: Final = "untold"
NO_HANDLER: Final = "no_handler"
LONGEST_WAIT: Final = 300_000_000
FIRST_WAIT: Final = 1_000_000


def close_due(store: Store, limit: int) -> int:
    """Close what has passed; what nobody was told of stays open. How many moves."""
    with store.reading() as reading:
        found = reading.closing(limit)
    return sum(_close(store, entry) for entry in found)


def _close(store: Store, entry: Entry) -> bool:
    with store.writing(entry.thread) as tx:
        if is_unheard(tx, entry):
            return _hold(tx, entry, UNTOLD)
        if not tx.finalize(entry):
            return False
        tx.record(_fact("finalized", entry, {"undo_until": entry.undo_until}))
        return True


def is_unheard(reading: Reading, entry: Entry) -> bool:
    """Whether nobody was told of it, and its rule waits until somebody is."""
    wait = (entry.undo_terms or {}).get("on_untold") == Untold.HOLD_OPEN.value
    return wait and reading.untold(entry.id)


def let_close(store: Store, undos: Undos, limit: int) -> int:
    """Let windows close again whose reason to stay open is gone. How many."""
    with store.reading() as reading:
        untold = reading.held_open(UNTOLD, limit)
        told = [one for one in untold if not reading.untold(one.id)]
        back = [one for one in reading.held_open(NO_HANDLER, limit) if undos.fits(one)]
    return sum(_let_close(store, entry) for entry in (*told, *back))


def _let_close(store: Store, entry: Entry) -> bool:
    with store.writing(entry.thread) as tx:
        # Whoever learns of it only now has as long as they were promised.
        until = max(entry.undo_until or 0, tx.now() + window_of(entry))
        if not tx.hold_open(entry, None, until):
            return False
        body = {"reason": entry.held_open, "undo_until": until}
        tx.record(_fact("let_close", entry, body))
        return True


def close_now(store: Store, entry_id: str, wish: Wish) -> Entry:
    """Somebody lets a window close that is open: the effect stays for good.

    Raises:
        EntryNotFound, NotAuthenticated, NotAllowed: Refused.
        NotReversible: It has no open window.
    """
    entry = find_for(store, entry_id, wish)
    with store.writing(entry.thread) as tx:
        entry = find(tx, entry_id)
        until = tx.now()
        if entry.undo_until is None or not tx.hold_open(entry, None, until):
            raise NotReversible(entry_id, "it has no open window")
        body = {"reason": wish.reason, "undo_until": until}
        fact = _fact("let_close", entry, body)
        tx.record(replace(fact, actor=wish.by.id, channel=wish.by.channel))
        if tx.finalize(entry):
            tx.record(_fact("finalized", entry, {"undo_until": until}))
        return find(tx, entry_id)


def _hold(tx: Writing, entry: Entry, reason: str) -> bool:
    if not tx.hold_open(entry, reason, None):
        return False
    tx.record(_fact("held_open", entry, {"reason": reason}))
    return True


def orphans(
    store: Store, has: Callable[[str, int], bool], agents: Sequence[str] | None = None
) -> Sequence[Orphan]:
    """What can still be undone, but by no undo (tool, version) that is here."""
    with store.reading() as reading:
        ways = reading.open_ways()
    return [
        way
        for way in ways
        if (agents is None or way.agent in agents) and not has(way.tool, way.version)
    ]


def hold_orphans(
    store: Store, has: Callable[[str, int], bool], agents: Sequence[str]
) -> int:
    """Keep the windows of orphans open until somebody decides. Returns how many."""
    held = 0
    for way in orphans(store, has, agents):
        log.error(
            "no undo of %s version %d is registered: %d windows stay open",
            way.tool,
            way.version,
            way.count,
        )
        with store.reading() as reading:
            found = reading.entries_of_way(way)
        for entry in found:
            with store.writing(entry.thread) as tx:
                held += _hold(tx, entry, NO_HANDLER)
    return held


def lose_lapsed(store: Store, limit: int) -> int:
    """What a dead worker left running and can be looked into is unknown now."""
    with store.reading() as reading:
        found = reading.lapsed_effects(limit)
    lost = [execute.lose_lapsed(store, entry) for entry in found]
    return sum(one.state is EntryState.UNKNOWN for one in lost)


def probe_due(store: Store, undos: Undos, limit: int) -> int:
    """Ask the probes whether unknown outcomes happened. How many were settled."""
    if not undos.tools:
        return 0
    with store.reading() as reading:
        found = reading.probes_due(undos.tools, limit)
    done = 0
    for entry in found:
        try:
            done += look_into(store, undos, entry)
        except WorldError:
            log.exception("%s could not be probed", entry.id)
    return done


def look_into(store: Store, undos: Undos, entry: Entry) -> bool:
    """Ask the probe of an unknown outcome; whether that settled it."""
    registered = undos.get(entry.tool)
    spec = None if registered is None else registered.spec
    if spec is None or spec.probe is None:
        _later(store, entry, None)
        return False
    try:
        effect = effect_of(undos.read(entry))
        answer = call(spec.probe, effect, within=spec.timeout)
    except HandlerFailed as failed:
        log.warning("the probe of %s failed: %s", entry.id, failed.reason)
        answer = None
    with store.reading() as reading:
        now = reading.now()
    lost_at = entry.started_at if entry.finished_at is None else entry.finished_at
    if answer is True or isinstance(answer, Happened):
        output = answer.result if isinstance(answer, Happened) else None
        return _probed(store, undos, entry, output, happened=True)
    # For as long as a time-out after it was lost, the call may still land.
    if answer is False and now >= lost_at + microseconds(spec.timeout):
        return _probed(store, undos, entry, None, happened=False)
    _later(store, entry, now + min(max(now - lost_at, FIRST_WAIT), LONGEST_WAIT))
    return False


def _probed(
    store: Store, undos: Undos, entry: Entry, output: object, *, happened: bool
) -> bool:
    told = (
        "it happened: a probe found it"
        if happened
        else "it did not happen: a probe found no trace of it"
    )
    fact = _fact("probed", entry, {"happened": happened, "summary": told})
    return settling.end_unknown(store, undos, entry, fact, output)


def _later(store: Store, entry: Entry, at: int | None) -> None:
    with store.writing(entry.thread) as tx:
        tx.probe_later(entry, at)


def _fact(kind: str, entry: Entry, body: dict[str, Any]) -> Fact:
    about = {"action": entry.action_id, **body}
    actor = "probe" if kind == "probed" else None
    return Fact(kind=kind, subject=entry.id, actor=actor, body=about)
