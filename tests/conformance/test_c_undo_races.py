"""Rows C4, C5, C7, C21, C24: one inverse, in time, whoever else is at it or dies."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from signoff import (
    Signoff,
    reversible,
)
from signoff.domain.errors import (
    AlreadyUndone,
    UndoInProgress,
    WindowClosed,
)
from signoff.domain.journal import EntryState
from signoff.domain.undoing import Effect
from tests.conformance.harness import attempt, in_process, together
from tests.conformance.outside import (
    ANN,
    BOB,
    Handling,
    World,
    die,
    opened,
    register,
    rename_back,
    renamed,
)
from tests.forked import processes
from tests.support import wait_until

HOUR = timedelta(hours=1)
KILLED = -9


@pytest.mark.row("C4", "I4")
def test_many_threads_undo_once(so: Signoff, world: World) -> None:
    entry = renamed(so, world)
    ends = together(*[partial(so.undo_action, entry.id, by=ANN)] * 8)
    assert world.count("inverse") == 1
    assert ends.count(None) == 1
    losers = [end for end in ends if end is not None]
    assert all(isinstance(one, AlreadyUndone | UndoInProgress) for one in losers)
    assert all("ann" in str(one) for one in losers)


def _undo(url: str, file: Path, entry: str, start: Barrier, told: Path) -> None:
    world = World(file)
    with opened(url, world) as so:
        start.wait(60)
        error = attempt(partial(so.undo_action, entry, by=BOB))
        with told.open("a") as lines:
            lines.write(f"{type(error).__name__}\n")


@pytest.mark.row("C4", "I4")
def test_many_processes_undo_once(
    so: Signoff, world: World, database_url: str, tmp_path: Path
) -> None:
    entry, told = renamed(so, world), tmp_path / "told"
    start = processes().Barrier(4)
    args = (database_url, world.file, entry.id, start, told)
    racers = [processes().Process(target=_undo, args=args) for _ in range(4)]
    for one in racers:
        one.start()
    for one in racers:
        one.join(60)
    assert world.count("inverse") == 1
    lines = told.read_text().split()
    assert len(lines) == 4
    assert lines.count("NoneType") == 1
    assert set(lines) <= {"NoneType", "AlreadyUndone", "UndoInProgress"}


@pytest.mark.row("C5", "I7")
def test_after_the_window_it_stays(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    with opened(database_url, world, ahead=HOUR) as later:
        with pytest.raises(WindowClosed):
            later.undo_action(entry.id, by=ANN)
        assert later.run_due() >= 1
        assert later.entry(entry.id).state is EntryState.FINAL
        with pytest.raises(WindowClosed):
            later.undo_action(entry.id, by=ANN)
    assert world.count("inverse") == 0


@pytest.mark.row("C5", "I7")
def test_an_undo_and_the_finalizer_have_one_winner(
    database_url: str, world: World
) -> None:
    rule = reversible("*", window="1s")
    with opened(database_url, world, rule) as so:
        entry = renamed(so, world)
        with opened(database_url, world, rule, ahead=timedelta(seconds=0.9)) as later:
            jobs: list[Callable[[], object]] = [
                partial(so.undo_action, entry.id, by=ANN),
                partial(wait_until, later.run_due, "the window closes"),
            ]
            ends = together(*jobs)
        state = so.entry(entry.id).state
        assert state is (EntryState.FINAL if ends[0] else EntryState.UNDONE)
        assert world.count("inverse") == (ends[0] is None)


def _race(url: str, file: Path, entry: str, start: Barrier, undoing: bool) -> None:  # noqa: FBT001 - given by position to a process
    rule = reversible("*", window="2s")
    with opened(url, World(file), rule, ahead=timedelta(seconds=1.9)) as so:
        start.wait(60)
        if undoing:
            attempt(partial(so.undo_action, entry, by=ANN))
        else:
            wait_until(so.run_due, "the window closes, or is gone", timeout=3)


@pytest.mark.row("C5", "I7")
def test_processes_at_the_end_of_a_window_have_one_winner(
    database_url: str, world: World
) -> None:
    with opened(database_url, world, reversible("*", window="2s")) as so:
        entry = renamed(so, world)
        start = processes().Barrier(4)
        racers = [
            processes().Process(
                target=_race, args=(database_url, world.file, entry.id, start, undoing)
            )
            for undoing in (True, False, True, False)
        ]
        for one in racers:
            one.start()
        for one in racers:
            one.join(60)
        state = so.entry(entry.id).state
        assert state in {EntryState.UNDONE, EntryState.FINAL}
        assert world.count("inverse") == (state is EntryState.UNDONE)
        assert so.audit().holds


def _killed_while_undoing(url: str, file: Path, entry: str, after: bool) -> None:  # noqa: FBT001 - given by position to a process
    def inverse(world: World, effect: Effect) -> None:
        if after:
            rename_back(world, effect)
        die()

    with opened(url, World(file), how=Handling(inverse)) as so:
        so.undo_action(entry, by=ANN)


@pytest.mark.row("C7")
@pytest.mark.parametrize("after", [False, True])
def test_killed_while_undoing_another_process_goes_on(
    so: Signoff, world: World, database_url: str, *, after: bool
) -> None:
    entry = renamed(so, world)
    args = database_url, world.file, entry.id, after
    assert in_process(_killed_while_undoing, *args) == KILLED
    assert so.entry(entry.id).state is EntryState.UNDOING
    with pytest.raises(UndoInProgress):
        so.undo_action(entry.id, by=BOB)
    keys = list[str]()

    def noted(world: World, effect: Effect) -> None:
        keys.append(effect.key)
        rename_back(world, effect)

    how = Handling(noted)
    with opened(database_url, world, how=how, ahead=timedelta(minutes=2)) as other:
        assert other.run_due() >= 1
        assert other.entry(entry.id).state is EntryState.UNDONE
    assert world.count("inverse") == 1
    assert keys == ([] if after else [f"undo:{entry.action_id}"])


def test_what_one_process_admits_another_carries_out(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    bare = Signoff(database_url)
    admitted = bare.undo_action(entry.id, by=ANN)
    assert admitted.state is EntryState.UNDOING
    assert bare.run_due() == 0
    assert bare.next_due() != 0  # it doesn't keep itself busy with it
    bare.close()
    with opened(database_url, world, ahead=HOUR) as late:  # in time, ends after it
        assert late.run_due() >= 1
        assert late.entry(entry.id).state is EntryState.UNDONE


def _frozen_in_its_undo(url: str, file: Path, entry: str) -> None:
    def inverse(world: World, effect: Effect) -> None:
        world.put("frozen", {"pid": os.getpid()})
        os.kill(os.getpid(), signal.SIGSTOP)

    with opened(url, World(file), how=Handling(inverse)) as so:
        so.undo_action(entry, by=ANN)


@pytest.mark.row("C24")
def test_a_frozen_process_that_comes_back_is_fenced_off(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    args = database_url, world.file, entry.id
    frozen = processes().Process(target=_frozen_in_its_undo, args=args)
    frozen.start()
    wait_until(lambda: world.get("frozen"), "it froze")
    with opened(database_url, world, ahead=timedelta(minutes=2)) as other:
        assert other.run_due() >= 1
        assert other.entry(entry.id).state is EntryState.UNDONE
    assert frozen.pid is not None
    os.kill(frozen.pid, signal.SIGCONT)
    frozen.join(60)
    ended = so.entry(entry.id)
    assert (ended.state, ended.undo_attempt) == (EntryState.UNDONE, 2)
    assert world.count("inverse") == 1
    with so.store.reading() as reading:
        kinds = [event.fact.kind for event in reading.events("t1")]
    assert kinds.count("undone") == 1
    assert "late_undo" in kinds


@pytest.mark.row("C24")
def test_a_handler_that_hangs_is_given_up_and_what_it_says_late_is_noted(
    so: Signoff, world: World
) -> None:
    entry, free = renamed(so, world), threading.Event()

    def hangs(world: World, effect: Effect) -> None:
        free.wait(30)
        raise ConnectionError("reset by \0 \ud800")

    register(so, world, Handling(hangs, timeout="0.2s"))
    failed = so.undo_action(entry.id, by=ANN)
    assert failed.state is EntryState.UNDO_FAILED
    assert "did not answer" in (failed.undo_summary or "")
    free.set()

    def late() -> bool:
        with so.store.reading() as reading:
            return any(e.fact.kind == "late_undo" for e in reading.events("t1"))

    wait_until(late, "the late end is noted")
    assert so.entry(entry.id).state is EntryState.UNDO_FAILED


@pytest.mark.row("C21")
def test_what_passed_while_nobody_ran_is_done_at_the_start(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    with opened(database_url, world, ahead=timedelta(days=3)) as later:
        assert later.next_due() == 0
        assert later.run_due() >= 1
        assert later.entry(entry.id).state is EntryState.FINAL
