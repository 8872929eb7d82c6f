"""Undos that another process carries out are waited for, so that several go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Final

from signoff.clock import monotonic
from signoff.domain.errors import UndoConflict
from signoff.domain.journal import Entry, EntryState
from signoff.domain.undo_plan import UndoRun

PATIENCE: Final = 10.0
"""How long, in seconds, one that another process carries out is waited for."""
_EVERY: Final = 0.2


def followed(once: Callable[[], UndoRun], look: Callable[[str], Entry]) -> UndoRun:
    """Undo one after the other, also where another process has the undos.

    Args:
        once: Undoes what is left, and stops at what another process has to do.
        look: An entry as it is now.
    """
    done = list[Entry]()
    while True:
        ended = once()
        done += ended.done
        if ended.stopped_at is None or ended.stopped_at.state is not EntryState.UNDOING:
            return replace(ended, done=tuple(done))
        now = _carried_out(ended.stopped_at, look)
        if now.state is not EntryState.UNDONE:
            why = why_not(now)
            return replace(ended, done=tuple(done), stopped_at=now, why=why)
        done.append(now)
        if ended.left == ():
            return UndoRun(done=tuple(done))


def why_not(entry: Entry) -> str:
    """What an undo came to that took nothing back."""
    if entry.state is EntryState.DONE and entry.diff:
        return str(UndoConflict(entry.id, entry.diff))
    return f"{entry.state.value}: {entry.undo_summary or 'it goes on'}"


def _carried_out(entry: Entry, look: Callable[[str], Entry]) -> Entry:
    now, until = look(entry.id), monotonic() + PATIENCE
    while now.state is EntryState.UNDOING and monotonic() < until:
        Event().wait(_EVERY)
        now = look(entry.id)
    return now
