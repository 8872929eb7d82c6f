"""Several undos at once: in which order, how far, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from signoff.domain.journal import Entry, EntryState
from signoff.domain.undoing import Change, Dependent, blocks, changes


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUndo:
    """One entry of a plan.

    Attributes:
        barrier: Why it can't be undone, so that nothing older is; None if it can.
        dependents: What needs it and isn't undone before it.
        conflict: What somebody changed since; empty if nothing; None where it can only
            be seen once its turn comes.
    """

    entry: Entry
    barrier: str | None = None
    dependents: tuple[Dependent, ...] = ()
    conflict: tuple[Change, ...] | None = None

    @property
    def stops(self) -> bool:
        """Whether it would stop the rest."""
        return bool(self.barrier or self.dependents or self.conflict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoPlan:
    """What would be undone, the newest first. Nothing has been."""

    thread: str
    steps: tuple[PlannedUndo, ...]

    @property
    def barriers(self) -> tuple[PlannedUndo, ...]:
        """What can't be undone."""
        return tuple(step for step in self.steps if step.barrier is not None)

    @property
    def conflicts(self) -> Mapping[str, tuple[Change, ...]]:
        """What somebody changed since, by entry."""
        return {s.entry.id: s.conflict for s in self.steps if s.conflict}

    @property
    def reach(self) -> tuple[PlannedUndo, ...]:
        """What would be undone before something stops it."""
        found = []
        for step in self.steps:
            if step.stops:
                break
            found.append(step)
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRun:
    """What several undos came to.

    Attributes:
        done: What was undone, in order.
        stopped_at: Where it stopped; None if all is undone.
        why: Why it stopped there.
        left: What was not tried, in the order in which it would have been.
    """

    done: tuple[Entry, ...]
    stopped_at: Entry | None = None
    why: str | None = None
    left: tuple[Entry, ...] = ()


def in_the_way(entry: Entry, now: int) -> str | None:
    """Why an entry is a barrier; None if it can be undone.

    What is held is no barrier: nothing has happened yet.
    """
    if entry.state is EntryState.UNDOING:
        return f"it is being undone, by {entry.undo_by}"
    return blocks(entry, now)


def counts(entry: Entry) -> bool:
    """Whether an entry has a place in a plan: it may have changed something by now."""
    waits = entry.state in {EntryState.HELD, EntryState.PREPARED}
    return not waits and changes(entry)


def newest_first(entries: Iterable[Entry]) -> Sequence[Entry]:
    """The order in which undos are safe."""
    return sorted(
        filter(counts, entries), key=lambda e: (e.seq, e.started_at, e.id), reverse=True
    )
