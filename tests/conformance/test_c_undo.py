"""Rows C4 to C15 and C25: one inverse, in time, verified, and honest."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import anyio.to_thread
import pytest
from sqlalchemy import event

from signoff import (
    Approve,
    Principal,
    Signoff,
    Verdict,
    allow,
    deny,
    reversible,
    review,
)
from signoff.domain.errors import (
    AlreadyUndone,
    DependentsInTheWay,
    EntryNotFound,
    ForceNeedsReason,
    NotAllowed,
    NotReversible,
    UndoConflict,
    UndoHandlerMissing,
    UndoInProgress,
    WindowClosed,
)
from signoff.domain.journal import EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.undoing import Effect
from signoff.service.loop import look_for_orphans
from signoff.service.propose import Asked
from signoff.service.undos import LARGEST
from signoff.storage import SqlStore
from tests.conformance.harness import attempt, in_process, together
from tests.conformance.outside import (
    ANN,
    BOB,
    Handling,
    World,
    action,
    begun,
    created,
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
BOT = Principal(id="clerk", kind=PrincipalKind.AGENT)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "world.db")
    made.set("7", title="old", owner="eve")
    return made


@pytest.fixture
def so(database_url: str, world: World) -> Iterator[Signoff]:
    with opened(database_url, world) as one:
        yield one
        assert one.audit().holds


@pytest.mark.row("I8")
def test_what_was_done_is_taken_back_and_said(so: Signoff, world: World) -> None:
    entry = renamed(so, world)
    assert so.undo_plan(entry.id).steps[0].conflict == ()
    undone = so.undo_action(entry.id, by=ANN, reason="typo")
    assert (undone.state, undone.undo_by) == (EntryState.UNDONE, "ann")
    assert world.get("7") == {"title": "old", "owner": "eve"}
    assert [notice.kind for notice in so.agent_notices("t1")] == ["undone"]


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


@pytest.mark.row("C8")
def test_a_multi_step_inverse_goes_on_where_it_failed(
    so: Signoff, world: World
) -> None:
    entry = renamed(so, world)
    broken = [True]

    def steps(world: World, effect: Effect) -> None:
        first = effect.step("owner", lambda: world.set("7", "first", owner="nobody"))
        assert first is None
        if broken:
            broken.clear()
            raise ConnectionError("half way")
        effect.step("owner back", lambda: world.set("7", "second", owner="eve"))
        rename_back(world, effect)

    register(so, world, Handling(steps))
    failed = so.undo_action(entry.id, by=ANN)
    assert failed.state is EntryState.UNDO_FAILED
    assert "half way" in (failed.undo_summary or "")
    assert dict(failed.steps) == {"owner": None}
    assert so.undo_action(entry.id, by=BOB).state is EntryState.UNDONE
    assert (world.count("first"), world.count("second")) == (1, 1)


def _lies(_world: World, _effect: Effect) -> None:
    """Says that all is well."""


@pytest.mark.row("C9", "I8")
def test_an_inverse_that_lies_is_not_believed(so: Signoff, world: World) -> None:
    entry = renamed(so, world)
    register(so, world, Handling(_lies))
    ended = so.undo_action(entry.id, by=ANN)
    assert ended.state is EntryState.UNDO_UNVERIFIED
    assert ended.diff == [
        {"path": "title", "before": "old", "after": "new", "now": "new"}
    ]
    assert so.agent_notices("t1") == []
    register(so, world)
    assert so.undo_action(entry.id, by=ANN).state is EntryState.UNDONE


@pytest.mark.row("C10", "I8")
def test_what_others_changed_since_is_not_overwritten(
    so: Signoff, world: World
) -> None:
    entry = renamed(so, world)
    world.set("7", title="of a colleague")
    (step,) = so.undo_plan(entry.id).steps
    assert step.conflict is not None
    assert [change.now for change in step.conflict] == ["of a colleague"]
    with pytest.raises(UndoConflict) as refused:
        so.undo_action(entry.id, by=ANN)
    assert refused.value.diff[0]["now"] == "of a colleague"
    assert (world.get("7") or {})["title"] == "of a colleague"
    kept = so.entry(entry.id)
    assert kept.state is EntryState.DONE
    assert kept.diff is not None
    with pytest.raises(NotAllowed, match="forced by"):
        so.undo_action(entry.id, by=ANN, reason="mine", force=True)
    with pytest.raises(ForceNeedsReason):
        so.undo_action(entry.id, by=BOB, force=True)
    forced = so.undo_action(entry.id, by=BOB, reason="agreed with them", force=True)
    assert (forced.state, forced.undo_forced) == (EntryState.UNDONE, True)
    assert (world.get("7") or {})["title"] == "old"


@pytest.mark.row("C10")
def test_what_the_action_left_alone_does_not_block(so: Signoff, world: World) -> None:
    entry = renamed(so, world)
    world.set("7", owner="somebody else")
    assert so.undo_action(entry.id, by=ANN).state is EntryState.UNDONE
    assert world.get("7") == {"title": "old", "owner": "somebody else"}


@pytest.mark.row("C11")
def test_an_id_that_was_used_again_is_a_conflict(so: Signoff, world: World) -> None:
    entry = created(so, world, 1, "9")
    world.put("9", None)
    world.put("9", {"uid": 99})
    with pytest.raises(UndoConflict):
        so.undo_action(entry.id, by=ANN)
    assert world.get("9") == {"uid": 99}
    assert world.count("deleted") == 0


def test_what_is_as_before_already_is_left_alone(so: Signoff, world: World) -> None:
    entry = created(so, world, 1, "9")
    world.put("9", None)
    undone = so.undo_action(entry.id, by=ANN)
    assert undone.state is EntryState.UNDONE
    assert "nothing was done" in (undone.undo_summary or "")
    assert world.count("deleted") == 0


@pytest.mark.row("C12")
def test_what_a_later_one_needs_is_refused_or_cascades(
    so: Signoff, world: World
) -> None:
    first = created(so, world, 1, "issue-9")
    other = created(so, world, 2, "issue-10")
    world.set("7", title="old")
    entry = begun(so, action("rename", 3, id="7", title="x", issue="made-issue-9"))
    world.set("7", title="x")
    so.finish(entry, "finish", result=b"", summary="", output={})
    with pytest.raises(DependentsInTheWay) as refused:
        so.undo_action(first.id, by=ANN)
    assert refused.value.dependents == ((entry.id, "probable"),)
    assert [one.entry.id for one in so.dependents(first.id)] == [entry.id]
    plan = so.undo_plan(since=first.id, only_dependents=True)
    assert [step.entry.id for step in plan.steps] == [entry.id, first.id]
    assert len(plan.reach) == 2
    run = so.undo_since(first.id, by=ANN, only_dependents=True)
    assert [one.id for one in run.done] == [entry.id, first.id]
    assert world.get("issue-9") is None
    assert so.entry(other.id).state is EntryState.DONE


@pytest.mark.row("C12")
@pytest.mark.parametrize(
    ("output", "args", "needed"),
    [
        ({"id": 7}, {"issue_id": 7}, True),
        ({"id": 7}, {"issue_ids": ["7"]}, True),
        ({"issueId": "T-77"}, {"text": ["about", "T-77"]}, True),
        ([{"key": "abcd"}], {"where": {"then": "abcd"}}, True),
        ({"id": 7}, {"amount": 7}, False),
        ({"id": "7"}, {"text": "7"}, False),
        ({"count": 7}, {"issue_id": 7}, False),
        ({"id": True}, {"issue_id": True}, False),
        ({"id": "given"}, {"issue_id": "given"}, False),
        ("made 7", {"issue_id": 7}, False),
    ],
)
def test_a_need_is_inferred_from_ids_that_were_made(
    so: Signoff, output: object, args: dict[str, object], *, needed: bool
) -> None:
    first = begun(so, action("read", 1, what="given"))
    so.finish(first, "finish", result=b"", summary="", output=output)
    later = begun(so, action("read", 2, **args))
    so.finish(later, "finish", result=b"", summary="", output=None)
    found = [one.entry.id for one in so.dependents(first.id)]
    assert found == ([later.id] if needed else [])
    plan = so.undo_plan(since=first.id, only_dependents=True)
    assert len(plan.steps) == 1 + needed


@pytest.mark.row("C12")
def test_a_declared_dependence_stands_without_ids(so: Signoff, world: World) -> None:
    first = created(so, world, 1, "9")

    @so.undo("read", depends_on=lambda _args: [first.id])
    def read(effect: Effect) -> None:
        """Nothing to take back."""

    entry = begun(so, action("read", 2, what="all"))
    so.finish(entry, "finish", result=b"", summary="", output=None)
    with pytest.raises(DependentsInTheWay, match="declared"):
        so.undo_action(first.id, by=ANN)


@pytest.mark.row("C12")
def test_what_cannot_be_undone_is_a_barrier_that_says_so(
    database_url: str, world: World
) -> None:
    rules = review("pay"), allow("look"), reversible("*", window="10m")
    with opened(database_url, world, *rules) as so:
        first = created(so, world, 1, "9")
        request = so.propose(action("pay", 2, amount=1), Asked()).request
        assert request is not None
        so.decide(request.id, Approve(), by=BOB, digest=request.digest)
        paid = so.begin(so.get(request.id))
        assert paid is not None
        so.finish(paid, "finish", result=b"", summary="paid")
        last = created(so, world, 3, "10")
        plan = so.undo_plan(thread="t1")
        assert [step.entry.id for step in plan.steps] == [last.id, paid.id, first.id]
        assert [step.entry.id for step in plan.barriers] == [paid.id]
        run = so.undo_thread("t1", by=ANN)
        assert [one.id for one in run.done] == [last.id]
        assert run.stopped_at is not None
        assert run.stopped_at.id == paid.id
        assert "no way back" in (run.why or "")
        assert [one.id for one in run.left] == [first.id]
        assert world.get("9") == {"uid": 1}
        with pytest.raises(NotReversible):
            so.undo_action(paid.id, by=ANN)
        assert so.audit().holds


def test_several_stop_at_what_fails_and_keep_what_is_done(
    so: Signoff, world: World
) -> None:
    made = [created(so, world, number, f"n{number}") for number in range(4)]
    world.put("n1", {"uid": "changed"})
    run = so.undo_since(made[0].id, by=ANN)
    assert [one.id for one in run.done] == [made[3].id, made[2].id]
    assert run.stopped_at is not None
    assert run.stopped_at.id == made[1].id
    assert [one.id for one in run.left] == [made[0].id]


@pytest.mark.row("C13")
def test_two_equal_calls_are_both_undoable(so: Signoff, world: World) -> None:
    first, second = renamed(so, world, 1), renamed(so, world, 2)
    assert first.id != second.id
    assert so.undo_action(second.id, by=ANN).state is EntryState.UNDONE
    assert so.undo_action(first.id, by=ANN).state is EntryState.UNDONE


@pytest.mark.row("C14")
def test_an_applications_clock_changes_nothing(
    so: Signoff, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = renamed(so, world)
    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    late = datetime(2030, 3, 31, 2, 30, tzinfo=UTC)
    monkeypatch.setattr(time, "time", late.timestamp)
    try:
        assert so.run_due() >= 0
        assert so.undo_action(entry.id, by=ANN).state is EntryState.UNDONE
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.row("C15")
def test_after_a_deploy_without_the_undo_a_person_decides(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    bare = Signoff(database_url, policy=[allow("*")])
    (orphan,) = bare.orphans()
    assert (orphan.tool, orphan.version, orphan.count) == ("rename", 1, 1)
    assert bare.hold_orphans(["other"]) == 0
    assert bare.hold_orphans(["clerk"]) == 1
    bare.close()
    with opened(database_url, world, how=Handling(version=2), ahead=HOUR) as newer:
        newer.run_due()
        held = newer.entry(entry.id)
        assert (held.state, held.held_open) == (EntryState.DONE, "no_handler")
        with pytest.raises(UndoHandlerMissing, match="version 1"):
            newer.undo_action(entry.id, by=ANN)
        assert newer.entry(entry.id) == held
        newer.undos.register(
            "rename",
            version=2,
            fingerprint=lambda effect: world.get(effect.args["id"]) or {},
            upcast=lambda row, _version: {**row, "args": {"id": row["args"]["id"]}},
        )(lambda effect: rename_back(world, effect))
        assert newer.undo_action(entry.id, by=ANN).state is EntryState.UNDONE
    assert so.audit().holds


@pytest.mark.row("C15")
def test_a_deploy_that_lost_its_only_undo_closes_no_window(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    bare = Signoff(database_url, policy=[allow("*")])
    look_for_orphans(bare, ["clerk"])
    bare.close()
    assert so.entry(entry.id).held_open == "no_handler"


@pytest.mark.row("C15")
def test_a_person_lets_an_orphan_be(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    bare = Signoff(database_url)
    assert bare.hold_orphans(["clerk"]) == 1
    with pytest.raises(NotAllowed):
        bare.close_window(entry.id, by=BOT)
    closed = bare.close_window(entry.id, by=ANN, reason="fine as it is")
    assert (closed.state, closed.held_open) == (EntryState.FINAL, None)
    with pytest.raises(NotReversible):
        bare.close_window(entry.id, by=ANN)
    bare.close()


@pytest.mark.row("C15")
def test_a_window_closes_again_once_its_undo_is_back(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    bare = Signoff(database_url)
    assert bare.hold_orphans(["clerk"]) == 1
    bare.close()
    with opened(database_url, world, ahead=HOUR) as later:
        later.run_due()
        back = later.entry(entry.id)
        assert (back.held_open, back.state) == (None, EntryState.DONE)
        assert back.undo_until is not None
        assert back.undo_until > later.now()
        assert later.audit().holds


@pytest.mark.row("C25")
def test_an_undo_is_not_undone(so: Signoff, world: World) -> None:
    entry = renamed(so, world)
    so.undo_action(entry.id, by=ANN)
    with pytest.raises(AlreadyUndone, match="new action"):
        so.undo_action(entry.id, by=BOB)
    again = so.propose(action("rename", 2, id="7", title="new"), Asked())
    assert again.request is not None
    assert entry.id in (again.request.note or "")


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


def test_journaling_is_two_commits(so: Signoff, world: World) -> None:
    commits = list[object]()
    assert isinstance(so.store, SqlStore)
    event.listen(so.store.engine, "commit", commits.append)
    renamed(so, world)
    assert len(commits) == 2


@pytest.mark.row("C18")
def test_what_was_undone_asks_whatever_the_policy_says(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    so.undo_action(entry.id, by=ANN)
    again = action("rename", 2, id="7", title="another")
    other = action("rename", 3, id="8", title="new")
    with opened(database_url, world, allow("*")) as freer:
        request = freer.propose(again, Asked()).request
        assert request is not None
        assert "took the same back" in (request.note or "")
        assert freer.propose(other, Asked()).request is None
    with opened(database_url, world, deny("*")) as stricter:
        denied = stricter.propose(action("rename", 4, id="7", title="x"), Asked())
        assert denied.verdict is Verdict.DENY
    kinds = [event.fact.kind for event in so.history(entry.id)]
    assert kinds == [
        "started",
        "finished",
        "undo_admitted",
        "undo_started",
        "undone",
    ]


@pytest.mark.row("C24")
def test_a_handler_that_hangs_is_given_up_and_what_it_says_late_is_noted(
    so: Signoff, world: World
) -> None:
    entry, free = renamed(so, world), threading.Event()

    def hangs(world: World, effect: Effect) -> None:
        free.wait(30)

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


def test_what_cannot_be_bound_was_never_reversible(so: Signoff, world: World) -> None:
    @so.undo("create", bind=lambda effect: {"id": effect.result["id"]})
    def create(effect: Effect) -> None:
        raise AssertionError("it must not be offered")

    entry = created(so, world, 1, "9")
    assert entry.undo_until is None
    assert "KeyError" in (entry.not_undoable or "")
    with pytest.raises(NotReversible, match="KeyError"):
        so.undo_action(entry.id, by=ANN)


def test_bad_input_has_one_clear_answer(so: Signoff, world: World) -> None:
    with pytest.raises(EntryNotFound):
        so.undo_action("ent_none", by=ANN)
    entry = begun(so, action("rename", 1, id="7", title="new"))
    with pytest.raises(NotReversible, match="still runs"):
        so.undo_action(entry.id, by=ANN)
    so.finish(entry, "fail", result=None, summary="refused")
    with pytest.raises(NotReversible, match="no effect"):
        so.undo_action(entry.id, by=ANN)
    done = renamed(so, world, 2)
    with pytest.raises(NotAllowed, match="people"):
        so.undo_action(done.id, by=BOT)


def test_who_may_undo_is_the_rules_to_say(database_url: str, world: World) -> None:
    rule = reversible("*", window="10m", undoers=["admin", "clerk"])
    with opened(database_url, world, rule) as so:
        entry = renamed(so, world)
        with pytest.raises(NotAllowed, match="undone by: admin"):
            so.undo_action(entry.id, by=ANN)
        assert so.undo_action(entry.id, by=BOT).state is EntryState.UNDONE


def test_without_a_fingerprint_nobody_says_that_it_worked(so: Signoff) -> None:
    @so.undo("read")
    def read(effect: Effect) -> None:
        """Nobody can tell whether it did anything."""

    entry = begun(so, action("read", 1, what="x"))
    so.finish(entry, "finish", result=b"", summary="", output=None)
    ended = so.undo_action(entry.id, by=ANN)
    assert ended.state is EntryState.UNDO_UNVERIFIED
    assert "fingerprint=" in (ended.undo_summary or "")


@pytest.mark.slow
def test_undoing_a_thread_grows_linearly(database_url: str, world: World) -> None:
    """In statements; none of them reads more than an entry and what needs it."""
    sent = []
    with opened(database_url, world) as so:
        assert isinstance(so.store, SqlStore)
        event.listen(
            so.store.engine, "before_cursor_execute", lambda *_: sent.append(1)
        )
        counts = []
        for count in (50, 100, 200):
            for number in range(count):
                created(so, world, count * 10 + number, f"{count}-{number}")
            sent.clear()
            assert len(so.undo_thread("t1", by=ANN).done) == count
            counts.append(len(sent))
    assert counts[2] - counts[1] <= 2.2 * (counts[1] - counts[0])


@pytest.mark.row("C16")
@pytest.mark.parametrize(
    ("captured", "told"),
    [
        (float("nan"), "not a JSON number"),
        (2**53, "beyond 2^53"),
        ({"a": b"x"}, "bytes is not JSON"),
        (LARGEST, f"of {LARGEST:,} bytes"),
    ],
)
def test_what_cannot_be_kept_is_asked_before_the_effect(
    so: Signoff, captured: object, told: str
) -> None:
    kept = "x" * LARGEST if captured == LARGEST else captured

    @so.undo("read", capture=lambda _args: kept)
    def read(effect: Effect) -> None:
        raise AssertionError("it must not be offered")

    one = action("read", 1, what="x")
    assert so.propose(one, Asked()).request is None
    assert so.begin_reversible(one, Asked()) is None
    request = so.propose(one, Asked()).request
    assert request is not None
    assert told in (request.note or "")
    assert so.journal(thread="t1") == []


@pytest.mark.row("C21")
def test_what_passed_while_nobody_ran_is_done_at_the_start(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    with opened(database_url, world, ahead=timedelta(days=3)) as later:
        assert later.next_due() == 0
        assert later.run_due() >= 1
        assert later.entry(entry.id).state is EntryState.FINAL


async def test_every_function_may_be_async(so: Signoff, world: World) -> None:
    async def seen(effect: Effect) -> dict[str, object]:
        return world.get(effect.args["id"]) or {}

    async def before(args: dict[str, str]) -> object:
        return world.get(args["id"])

    @so.undo("rename", capture=before, fingerprint=seen)
    async def restore(effect: Effect) -> None:
        rename_back(world, effect)

    entry = await anyio.to_thread.run_sync(renamed, so, world)
    undone = await so.aio.undo_action(entry.id, by=ANN)
    assert undone.state is EntryState.UNDONE


def test_a_request_shows_what_the_call_would_do(
    database_url: str, world: World
) -> None:
    with opened(database_url, world, review("*")) as so:

        @so.undo("read", preview=lambda args: {"reads": args["what"]})
        def read(effect: Effect) -> None:
            """Nothing to take back."""

        request = so.propose(action("read", 1, what="x"), Asked()).request
        assert request is not None
        assert '"reads": "x"' in request.description
