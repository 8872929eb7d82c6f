"""Row C12: what needs what, and several undos at once."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from signoff import (
    Approve,
    Signoff,
    allow,
    reversible,
    review,
)
from signoff.domain.errors import (
    DependentsInTheWay,
    NotReversible,
)
from signoff.domain.journal import EntryState
from signoff.domain.undoing import Effect
from signoff.service.propose import Asked
from signoff.storage import SqlStore
from tests.conformance.outside import (
    ANN,
    BOB,
    World,
    action,
    begun,
    created,
    opened,
)


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
        for count in (20, 40, 80):
            for number in range(count):
                created(so, world, count * 10 + number, f"{count}-{number}")
            sent.clear()
            assert len(so.undo_thread("t1", by=ANN).done) == count
            counts.append(len(sent))
    assert counts[2] - counts[1] <= 2.2 * (counts[1] - counts[0])
