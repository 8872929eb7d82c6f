"""Rows C8 to C11, C13, C14, C16, C18, C25: one inverse, verified, and honest."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import anyio.to_thread
import pytest
from sqlalchemy import event

from signoff import (
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
    EntryNotFound,
    ForceNeedsReason,
    NotAllowed,
    NotReversible,
    UndoConflict,
)
from signoff.domain.journal import EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.undoing import Effect
from signoff.service.propose import Asked
from signoff.service.undos import LARGEST
from signoff.storage import SqlStore
from tests.conformance.outside import (
    ANN,
    BOB,
    Handling,
    World,
    action,
    begun,
    created,
    opened,
    register,
    rename_back,
    renamed,
)

BOT = Principal(id="clerk", kind=PrincipalKind.AGENT)


@pytest.mark.row("I8")
def test_what_was_done_is_taken_back_and_said(so: Signoff, world: World) -> None:
    entry = renamed(so, world)
    assert so.undo_plan(entry.id).steps[0].conflict == ()
    undone = so.undo_action(entry.id, by=ANN, reason="typo")
    assert (undone.state, undone.undo_by) == (EntryState.UNDONE, "ann")
    assert world.get("7") == {"title": "old", "owner": "eve"}
    assert [notice.kind for notice in so.agent_notices("t1")] == ["undone"]


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


@pytest.mark.row("C25")
def test_an_undo_is_not_undone(so: Signoff, world: World) -> None:
    entry = renamed(so, world)
    so.undo_action(entry.id, by=ANN)
    with pytest.raises(AlreadyUndone, match="new action"):
        so.undo_action(entry.id, by=BOB)
    again = so.propose(action("rename", 2, id="7", title="new"), Asked())
    assert again.request is not None
    assert entry.id in (again.request.note or "")


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
