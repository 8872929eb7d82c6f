"""What can be done about an effect, said honestly and the same on every screen."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from signoff.domain.duration import in_words
from signoff.domain.journal import Entry, EntryState
from signoff.domain.undoing import blocks, shown_until, window_of

CANCELLED: Final = "cancelled before effect"
HELD: Final = "held: no effect yet"
NEVER: Final = "cannot be undone"


def way_back(entry: Entry, now: int) -> str:
    """`exact`, `compensated (what remains)`, or why there is none.

    What an agent or its tool wrote in it has to be shown literally.
    """
    if entry.state is EntryState.CANCELLED:
        return CANCELLED
    if entry.state is EntryState.HELD:
        return HELD
    blocked = blocks(entry, now)
    return label_of(entry) if blocked is None else f"{NEVER}: {blocked}"


def label_of(entry: Entry) -> str:
    """What an undo of it gives, or gave."""
    word = entry.label or "exact"
    return word if entry.remains is None else f"{word} ({entry.remains})"


def closes_at(entry: Entry) -> int | None:
    """Until when people are told that they can undo it: a grace before the end."""
    if entry.undo_until is None:
        return None
    return shown_until(entry.undo_until, window_of(entry))


def is_open(entry: Entry, now: int) -> bool:
    """Whether an undo of it can be asked for now."""
    retried = {EntryState.UNDO_FAILED, EntryState.UNDO_UNVERIFIED}
    stands = entry.state is EntryState.DONE or entry.state in retried
    return stands and blocks(entry, now) is None


def time_left(entry: Entry, now: int) -> str | None:
    """How long it can still be undone; None where no time is running."""
    until = closes_at(entry)
    if entry.state is not EntryState.DONE or until is None or not is_open(entry, now):
        return None
    if entry.held_open is not None:
        return "held open until somebody decides"
    return f"{in_words(timedelta(microseconds=max(0, until - now)))} left"
