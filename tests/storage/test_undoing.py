"""Windows, holds and undos: every arrow once, in time, and with one winner."""

import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from signoff.clock import Clock
from signoff.domain.journal import TRANSITIONS, Entry, EntryKind, EntryState
from signoff.domain.ledger import Fact
from signoff.domain.undoing import AgentNotice, Dependence, Dependency
from signoff.ports import Writing
from signoff.storage import SqlStore, open_store, rows
from signoff.storage import tables as t

SECOND = 1_000_000
WINDOW = 600 * SECOND
Move = Callable[[Writing, Entry], bool]
HOUR = Clock(offset=timedelta(hours=1))


def entry(number: int = 1, **changes: Any) -> Entry:  # noqa: ANN401 - fields
    made = Entry(
        id=f"ent_{number}",
        action_id=f"act_{number}",
        request_id=None,
        thread="t",
        tool="tag",
        key=f"act_{number}",
        state=EntryState.RUNNING,
        attempt=1,
        attempts=1,
        idempotent=False,
        worker="w",
        lease_until=0,
        started_at=1,
        kind=EntryKind.REVERSIBLE,
        args={"id": 7},
        intent="i",
        undo_terms={"window": WINDOW},
        captured={"was": "a"},
        before={"title": "a"},
        undo_version=1,
    )
    return replace(made, **changes)


def started(made: Entry) -> Fact:
    return Fact(kind="started", subject=made.id, body={})


def added(store: SqlStore, made: Entry) -> Entry:
    with store.writing(made.thread) as tx:
        place = tx.place()
        assert tx.add_entry(made, request=None, told=started(made))
    assert now(store, made).seq == place
    return now(store, made)


def now(store: SqlStore, made: Entry) -> Entry:
    with store.reading() as reading:
        found = reading.entry(made.id)
    assert found is not None
    return found


def move(store: SqlStore, made: Entry, way: Move) -> bool:
    with store.writing(made.thread) as tx:
        return way(tx, made)


def finish(tx: Writing, made: Entry) -> bool:
    return tx.end_reversible(made, "finish", result=b"r", summary="s", way=WAY)


WAY: Mapping[str, Any] = {"output": {"id": 9}, "after": {"title": "b"}, "bound": {}}


def undo(tx: Writing, made: Entry) -> bool:
    return tx.admit_undo(made, by="ann", reason="typo", forced=False)


def claim(tx: Writing, made: Entry) -> bool:
    return tx.claim_undo(made, worker="w", lease=SECOND)


def ends(move: str) -> Move:
    return lambda tx, made: tx.end_undo(made, move, summary=move)


def close(tx: Writing, made: Entry) -> bool:
    return tx.finalize(made)


def release(tx: Writing, made: Entry) -> bool:
    return tx.release_held(made, worker="w", lease=SECOND, early=True)


def cancel(tx: Writing, made: Entry) -> bool:
    return tx.cancel_held(made, by="ann", reason=None)


UNDOING, DONE = EntryState.UNDOING, EntryState.DONE
ARROWS: dict[tuple[EntryState, str], Move] = {
    (DONE, "undo"): undo,
    (DONE, "finalize"): close,
    (UNDOING, "claim"): claim,
    (UNDOING, "verify"): ends("verify"),
    (UNDOING, "undo_fail"): ends("undo_fail"),
    (UNDOING, "doubt"): ends("doubt"),
    (UNDOING, "conflict"): ends("conflict"),
    (EntryState.UNDO_FAILED, "undo"): undo,
    (EntryState.UNDO_UNVERIFIED, "undo"): undo,
    (EntryState.HELD, "release"): release,
    (EntryState.HELD, "cancel"): cancel,
}


def in_state(store: SqlStore, state: EntryState, *, window: int = WINDOW) -> Entry:
    """An entry that got there by its own moves."""
    if state is EntryState.HELD:
        return added(store, entry(state=state, commit_at=1))
    made = added(store, entry(undo_terms={"window": window}))
    way: list[Move] = [finish]
    if state is not DONE:
        way.append(undo)
    if state in {EntryState.UNDO_FAILED, EntryState.UNDO_UNVERIFIED}:
        failed = state is EntryState.UNDO_FAILED
        way += [claim, ends("undo_fail" if failed else "doubt")]
    for one in way:
        assert move(store, made, one)
        made = now(store, made)
    assert made.state is state
    return made


@pytest.mark.row("I4")
@pytest.mark.parametrize(("state", "arrow"), ARROWS)
def test_an_arrow_is_taken_once(store: SqlStore, state: EntryState, arrow: str) -> None:
    window = 0 if arrow == "finalize" else WINDOW
    made = in_state(store, state, window=window)
    assert move(store, made, ARROWS[state, arrow])
    after = now(store, made)
    assert after.state is TRANSITIONS[state][arrow]
    assert not move(store, made, ARROWS[state, arrow])
    assert now(store, made) == after


def test_what_an_entry_carries_comes_back(store: SqlStore) -> None:
    made = added(store, entry(probe_at=0, steps={"a": [1.0, None]}, label="exact"))
    assert made.seq > 0
    assert replace(made, seq=0) == entry(
        probe_at=0, steps={"a": [1.0, None]}, label="exact"
    )
    assert move(store, made, finish)
    done = now(store, made)
    assert (done.output, done.after, done.bound) == ({"id": 9}, {"title": "b"}, {})
    assert done.finished_at is not None
    assert done.undo_until == done.finished_at + WINDOW


def test_entries_of_a_thread_are_in_order(store: SqlStore) -> None:
    made = [added(store, entry(number, started_at=1)) for number in (3, 1, 2)]
    with store.writing("t") as tx:
        assert tx.add_entry(entry(5), request=None, told=started(entry(5)))
    with store.reading() as reading:
        later = reading.entries_after("t", made[0].seq)
        assert [one.id for one in later] == ["ent_1", "ent_2", "ent_5"]
        assert next(iter(reading.entries_of_thread("t"))).id == "ent_3"


def test_what_has_no_way_back_has_no_window(store: SqlStore) -> None:
    made = added(store, entry())
    way = {"not_undoable": "bind failed"}
    with store.writing("t") as tx:
        assert tx.end_reversible(made, "finish", result=None, summary="", way=way)
    done = now(store, made)
    assert (done.undo_until, done.not_undoable) == (None, "bind failed")
    assert not move(store, done, undo)
    assert not move(store, done, close)


@pytest.mark.row("I7")
def test_a_window_is_judged_by_the_databases_clock(
    store: SqlStore, database_url: str
) -> None:
    made = in_state(store, DONE)
    later = open_store(database_url, clock=HOUR)
    assert not move(store, made, close)
    assert not move(later, made, undo)
    with later.reading() as reading:
        assert [one.id for one in reading.closing(10)] == [made.id]
    with store.reading() as reading:
        assert reading.closing(10) == []
        assert [one.id for one in reading.open_windows(10)] == [made.id]
        assert 0 < (reading.next_due() or 0) <= WINDOW
    assert move(later, made, close)
    later.close()


@pytest.mark.row("C15")
def test_a_window_that_is_held_open_does_not_close(
    store: SqlStore, database_url: str
) -> None:
    made = in_state(store, DONE)
    assert move(store, made, lambda tx, e: tx.hold_open(e, "no_handler", None))
    later = open_store(database_url, clock=HOUR)
    held = now(store, made)
    assert held.held_open == "no_handler"
    assert not move(later, held, close)
    with later.reading() as reading:
        assert reading.closing(10) == []
        assert reading.held_open("no_handler", 10) == [held]
        assert reading.held_open(None, 10) == [held]
        assert reading.held_open("untold", 10) == []
    assert move(later, held, undo)
    later.close()


@pytest.mark.row("C5", "I7")
@pytest.mark.parametrize("where", ["before", "at", "after"])
def test_undo_and_expiry_at_the_boundary_have_one_winner(
    store: SqlStore, where: str
) -> None:
    """Two undoers and two finalizers, on a window that ends as they start."""
    rounds = 12
    offset = {"before": 60 * SECOND, "at": 5_000, "after": 0}[where]
    won = list[str]()
    for number in range(rounds):
        made = added(store, entry(number, undo_terms={"window": offset}))
        assert move(store, made, finish)
        done = now(store, made)
        results = race(store, done, [undo, close, undo, close])
        names = ["u", "f"] * 2
        winners = [name for name, hit in zip(names, results, strict=True) if hit]
        after = now(store, done)
        assert len(winners) <= 1
        expected = {"u": UNDOING, "f": EntryState.FINAL}
        assert after.state is (expected[winners[0]] if winners else DONE)
        won += winners
    assert set(won) <= ({"u"} if where == "before" else {"u", "f"})
    if where == "after":
        assert set(won) == {"f"}


def race(store: SqlStore, made: Entry, ways: list[Move]) -> list[bool]:
    barrier = threading.Barrier(len(ways))

    def one(way: Move) -> bool:
        barrier.wait()
        return move(store, made, way)

    with ThreadPoolExecutor(len(ways)) as pool:
        return list(pool.map(one, ways))


@pytest.mark.row("C4", "I4")
def test_one_of_many_undoers_is_admitted_and_one_process_claims(
    store: SqlStore,
) -> None:
    made = in_state(store, DONE)
    assert race(store, made, [undo] * 8).count(True) == 1
    admitted = now(store, made)
    assert race(store, admitted, [claim] * 8).count(True) == 1
    assert now(store, made).undo_attempt == 1


@pytest.mark.row("C6")
def test_release_and_cancel_have_one_winner(store: SqlStore) -> None:
    for number in range(10):
        made = added(store, entry(number, state=EntryState.HELD, commit_at=1))
        assert race(store, made, [release, cancel, release, cancel]).count(True) == 1


def test_a_hold_is_released_when_its_time_has_come(store: SqlStore) -> None:
    with store.reading() as reading:
        at = reading.now()
    made = added(store, entry(state=EntryState.HELD, commit_at=at + WINDOW))

    def due(tx: Writing, held: Entry) -> bool:
        return tx.release_held(held, worker="w", lease=1, early=False)

    assert not move(store, made, due)
    with store.reading() as reading:
        assert reading.releasable(None, 10) == []
    assert move(
        store, made, lambda tx, held: tx.rehold(held, replace(held, commit_at=at))
    )
    with store.reading() as reading:
        assert reading.releasable(None, 10) == [now(store, made)]
    assert move(store, now(store, made), due)


@pytest.mark.row("C7", "C24")
def test_an_undo_is_taken_over_once_its_process_is_silent(
    store: SqlStore, database_url: str
) -> None:
    made = in_state(store, UNDOING)
    assert move(store, made, claim)
    first = now(store, made)
    assert not move(store, first, claim)
    later = open_store(database_url, clock=HOUR)
    store.beat_undos([(first.id, first.undo_attempt)], 7200 * SECOND)
    assert not move(later, first, claim)
    store.beat_undos([(first.id, first.undo_attempt)], SECOND)
    with later.reading() as reading:
        assert reading.undos_due(["other"], 10) == []
        assert [one.id for one in reading.undos_due(["tag"], 10)] == [made.id]
    assert move(later, first, claim)
    second = now(store, first)
    assert not move(store, first, ends("verify"))  # fenced
    assert not move(store, first, lambda tx, e: tx.keep_step(e, {"a": 1}))
    assert move(store, second, lambda tx, e: tx.keep_step(e, {"a": 1}))
    assert move(store, second, ends("verify"))
    assert now(store, made).steps == {"a": 1}
    later.close()


def test_a_failed_undo_is_tried_again_after_the_window(
    store: SqlStore, database_url: str
) -> None:
    made = in_state(store, EntryState.UNDO_FAILED)
    later = open_store(database_url, clock=HOUR)
    assert move(later, made, undo)
    later.close()


def test_probes_are_due_for_those_who_have_them(store: SqlStore) -> None:
    made = added(store, entry(state=EntryState.UNKNOWN, probe_at=5))
    with store.reading() as reading:
        assert [one.id for one in reading.probes_due(["tag"], 10)] == [made.id]
        assert reading.probes_due(["pay"], 10) == []
        assert reading.next_due(["tag"]) == 0
        assert reading.next_due(["pay"]) is None
    assert move(store, made, lambda tx, e: tx.probe_later(e, None))
    assert not move(store, made, lambda tx, e: tx.probe_later(e, None))


def test_an_undone_intent_is_known(store: SqlStore) -> None:
    made = in_state(store, DONE)
    with store.reading() as reading:
        assert reading.undone_like("t", "i") is None
    assert move(store, made, undo)
    with store.reading() as reading:
        found = reading.undone_like("t", "i")
        assert found is not None
        assert found.id == made.id
        assert reading.undone_like("other", "i") is None


def test_dependencies(store: SqlStore) -> None:
    added(store, entry(1))
    added(store, entry(2))
    need = Dependency(entry_id="ent_2", on_entry_id="ent_1", how=Dependence.DECLARED)
    with store.writing("t") as tx:
        tx.add_dependencies([need])
        tx.add_dependencies([replace(need, how=Dependence.PROBABLE)])
        tx.add_dependencies([])
    with store.reading() as reading:
        assert reading.dependents("ent_1") == [need]
        assert reading.dependencies("ent_2") == [need]
        assert reading.dependencies_of_thread("t") == [need]
        assert reading.dependents("ent_2") == []


@pytest.mark.row("C19")
def test_an_agent_is_told_once(store: SqlStore) -> None:
    notice = AgentNotice(
        id="ntc_1", thread="t", entry_id="ent_1", kind="undone", body={"by": "ann"}
    )
    with store.writing("t") as tx:
        assert tx.tell_agent(notice)
        assert not tx.tell_agent(notice)
    with store.reading() as reading:
        (kept,) = reading.agent_notices("t")
        assert replace(kept, created_at=0) == notice
        assert reading.agent_notices("u") == []
    with store.writing("t") as tx:
        tx.see_notices(["ntc_1", "ntc_2"])
    with store.reading() as reading:
        assert reading.agent_notices("t") == []
        assert len(reading.agent_notices("t", unseen=False)) == 1


def test_what_is_due_is_one_indexed_look_up(store: SqlStore) -> None:
    made = [
        rows.entry_row(entry(n, state=DONE, undo_until=until, intent=f"i{n}"))
        for n, until in enumerate([*range(9), *range(10**17, 10**17 + 2991)])
    ]
    over = replace(entry(1, state=EntryState.FINAL), undo_until=1)
    made += [
        rows.entry_row(replace(over, id=f"ent_f{n}", action_id=f"act_f{n}"))
        for n in range(9000)
    ]
    with store.engine.begin() as connection:
        connection.execute(t.entries.insert(), made)
        connection.execute(text("ANALYZE"))
    plans = list[str]()

    def explain(
        connection: Connection,
        _cursor: object,
        statement: str,
        *values: Any,  # noqa: ANN401 - DBAPI's
    ) -> None:
        if "FROM entries" in statement:
            asked = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}
            cursor = connection.connection.cursor()
            cursor.execute(asked[connection.dialect.name] + statement, values[0])
            plans.append(" ".join(map(str, cursor.fetchall())))

    event.listen(store.engine, "before_cursor_execute", explain)
    with store.reading() as reading:
        assert reading.any_effects()
        assert len(reading.closing(5)) == 5
        assert reading.undone_like("t", "i7") is None
        assert reading.entry("ent_7") is not None
    assert len(plans) == 4
    used = ("closing", "closing", "by_intent", "entries")
    for plan, index in zip(plans, used, strict=True):
        assert index in plan
        assert not re.search(r"SCAN entries(?! USING)|Seq Scan", plan)
