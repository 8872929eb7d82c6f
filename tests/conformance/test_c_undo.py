"""Rows C4 to C15 and C25: one inverse, in time, verified, and honest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import anyio.to_thread
import pytest

from signoff import Approve, Principal, Signoff, allow, reversible, review
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
from signoff.service.propose import Asked
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


def _killed_while_undoing(url: str, file: Path, entry: str, after: bool) -> None:  # noqa: FBT001
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
    entry = begun(so, action("rename", 3, id="7", title="see issue-9", issue="issue-9"))
    world.set("7", title="see issue-9")
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
    took = []
    with opened(database_url, world) as so:
        for count in (200, 400):
            for number in range(count):
                created(so, world, count * 10 + number, f"{count}-{number}")
            start = time.monotonic()
            run = so.undo_thread("t1", by=ANN)
            assert len(run.done) == count
            took.append(time.monotonic() - start)
    assert took[1] < 4 * took[0] + 1


@pytest.mark.row("C16")
@pytest.mark.parametrize(
    ("captured", "told"),
    [
        (float("nan"), "not a JSON number"),
        (2**53, "beyond 2^53"),
        ({"a": b"x"}, "bytes is not JSON"),
        ("x" * 10_000_001, "of 10,000,000 bytes"),
    ],
)
def test_what_cannot_be_kept_is_asked_before_the_effect(
    so: Signoff, captured: object, told: str
) -> None:
    @so.undo("read", capture=lambda _args: captured)
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
