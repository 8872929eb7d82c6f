"""Several undos in order: the newest first, up to what can't be undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from signoff.domain.errors import SignoffError
from signoff.domain.journal import Entry, EntryState
from signoff.domain.undo_plan import (
    PlannedUndo,
    UndoPlan,
    UndoRun,
    in_the_way,
    newest_first,
)
from signoff.domain.undoing import (
    Change,
    Dependence,
    Dependent,
    conflicts,
    made_ids,
    mentions,
)
from signoff.ports import Reading, Store
from signoff.service.undos import (
    HandlerFailed,
    Undos,
    effect_of,
    fingerprint,
    upcast,
)


def since(reading: Reading, entry: Entry) -> Sequence[Entry]:
    """An entry and all that came after it in its thread, the newest first."""
    return newest_first([entry, *reading.entries_after(entry.thread, entry.seq)])


def whole(reading: Reading, thread: str) -> Sequence[Entry]:
    """Everything that stands in a thread, the newest first."""
    return newest_first(reading.entries_after(thread, -1))


def with_dependents(reading: Reading, entry: Entry) -> Sequence[Entry]:
    """An entry and what needs it, directly or not, the newest first."""
    later = list(reading.entries_after(entry.thread, entry.seq))
    needs = _needs(reading, [entry, *later])
    wanted = {entry.id}
    for one in later:
        if any(how.entry.id in wanted for how in needs.get(one.id, ())):
            wanted.add(one.id)
    return newest_first([entry, *(one for one in later if one.id in wanted)])


def plan(
    store: Store, undos: Undos, thread: str, chosen: Sequence[Entry], *, full: bool
) -> UndoPlan:
    """What undoing these would meet, the newest first.

    With `full` the state now is read, where that can be told before it begins.
    """
    with store.reading() as reading:
        now = reading.now()
        oldest = min((one.seq for one in chosen), default=0)
        after = [*chosen, *reading.entries_after(thread, oldest)]
        every = sorted({one.id: one for one in after}.values(), key=lambda e: e.seq)
        needed_by = _needed_by(_needs(reading, every), every)
    ahead, touched, steps = set[str](), set[str](), list[PlannedUndo]()
    for entry in chosen:
        waiting = tuple(
            d for d in needed_by.get(entry.id, ()) if d.entry.id not in ahead
        )
        step = PlannedUndo(
            entry=entry, barrier=in_the_way(entry, now), dependents=waiting
        )
        if full and step.barrier is None and _own(entry) not in touched:
            step = replace(step, conflict=_seen(undos, entry))
        ahead.add(entry.id)
        touched.add(_own(entry))
        steps.append(step)
    return UndoPlan(thread=thread, steps=tuple(steps))


def run(
    steps: Sequence[PlannedUndo], undo: Callable[[Entry], Entry], *, force: bool
) -> UndoRun:
    """Undo one after the other; the first that can't be undone stops it.

    With `force` what can't be undone at all is passed over.
    """
    done = list[Entry]()
    for number, step in enumerate(steps):
        why, ended = step.barrier, step.entry
        if why is None:
            try:
                ended = undo(step.entry)
            except SignoffError as error:
                why = str(error)
            if ended.state is EntryState.UNDONE:
                done.append(ended)
                continue
            why = why or f"{ended.state.value}: {ended.undo_summary or 'it goes on'}"
        elif force:
            continue
        left = tuple(one.entry for one in steps[number + 1 :])
        return UndoRun(done=tuple(done), stopped_at=ended, why=why, left=left)
    return UndoRun(done=tuple(done))


def _own(entry: Entry) -> str:
    """What an entry acts on: what a newer one has changed can't be compared yet."""
    return entry.intent or entry.tool


def _seen(undos: Undos, entry: Entry) -> tuple[Change, ...] | None:
    found = undos.get(entry.tool)
    if found is None:
        return None
    try:
        current = upcast(found.spec, undos.read(entry))
        now = fingerprint(found.spec, effect_of(current))
    except HandlerFailed:
        return None
    return None if now is None else conflicts(current, now)


def _needs(
    reading: Reading, entries: Sequence[Entry]
) -> dict[str, tuple[Dependent, ...]]:
    """What each entry needs of those before it, declared or probable."""
    if not entries:
        return {}
    by_id = {one.id: one for one in entries}
    declared: dict[str, set[str]] = {}
    for one in reading.dependencies_of_thread(entries[0].thread):
        declared.setdefault(one.entry_id, set()).add(one.on_entry_id)
    made: dict[str, list[str]] = {}
    found: dict[str, tuple[Dependent, ...]] = {}
    for entry in entries:
        said = declared.get(entry.id, set())
        likely = {one for text in mentions(entry) for one in made.get(text, ())} - said
        found[entry.id] = (
            *(
                Dependent(entry=by_id[one], how=Dependence.DECLARED)
                for one in sorted(said & by_id.keys())
            ),
            *(
                Dependent(entry=by_id[one], how=Dependence.PROBABLE)
                for one in sorted(likely)
            ),
        )
        for text in made_ids(entry):
            made.setdefault(text, []).append(entry.id)
    return found


def _needed_by(
    needs: dict[str, tuple[Dependent, ...]], entries: Sequence[Entry]
) -> dict[str, list[Dependent]]:
    found: dict[str, list[Dependent]] = {}
    for entry in entries:
        for need in needs.get(entry.id, ()):
            found.setdefault(need.entry.id, []).append(
                Dependent(entry=entry, how=need.how)
            )
    return found
