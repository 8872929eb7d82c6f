"""Turns: one holder, a lapse, a fence; the checkpointer keeps nothing from a loser."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import current_thread
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from sqlalchemy import Connection, event

from signoff import Signoff, review
from signoff.domain.errors import TurnLost
from signoff.domain.journal import EntryState
from signoff.domain.ledger import Fact
from signoff.langgraph import Runner
from signoff.langgraph._fenced import FencedSaver
from signoff.service.turns import GRACE, HEARTBEAT, Turns
from signoff.storage import SqlStore
from signoff.storage.engine import readers
from signoff.testing import MovableClock
from tests.durable.conftest import MakeShop, Shop
from tests.forked import processes
from tests.service.making import running

AFTER: timedelta = HEARTBEAT + GRACE + timedelta(seconds=1)
LONG = timedelta(hours=1)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def so(database_url: str, clock: MovableClock) -> Any:  # noqa: ANN401 - a fixture
    one = Signoff(database_url, policy=[review("*")], clock=clock)
    yield one
    one.close()


def turns(so: Signoff) -> Turns:
    """One of several processes; it never beats on its own during a test."""
    return Turns(so.store, heartbeat=HEARTBEAT, trusted=timedelta(0))


def test_a_turn_has_one_holder_until_it_ends(so: Signoff) -> None:
    one, two = turns(so), turns(so)
    turn = one.take("t1", "payer")
    assert turn is not None
    assert two.take("t1", "payer") is None
    assert one.take("t1", "payer") is None
    one.check(turn)
    one.end(turn)
    with pytest.raises(TurnLost):
        one.check(turn)
    again = two.take("t1", "payer")
    assert again is not None
    assert again.fence == turn.fence + 1


@pytest.mark.row("A3")
def test_many_threads_take_a_turn_and_one_gets_it(so: Signoff) -> None:
    for number in range(20):
        everybody = [turns(so) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda t, n=number: t.take(f"t{n}", "a"), everybody))
        assert sum(turn is not None for turn in got) == 1


def take_them(url: str, count: int, wins: Any) -> None:  # noqa: ANN401 - a queue
    """Take what nobody has; runs in a process of its own."""
    so = Signoff(url)
    mine = turns(so)
    for number in range(count):
        if mine.take(f"t{number}", "a") is not None:
            wins.put(number)
    so.close()


@pytest.mark.row("A3")
def test_many_processes_take_turns_and_one_gets_each(database_url: str) -> None:
    context = processes()
    wins = context.SimpleQueue()
    racers = [
        context.Process(target=take_them, args=(database_url, 30, wins))
        for _ in range(4)
    ]
    for racer in racers:
        racer.start()
    won = Counter[int](wins.get() for _ in range(30))
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0] * 4
    assert won == Counter(range(30))
    assert wins.empty()


def test_a_silent_worker_loses_its_turn_and_the_thread_is_woken(
    so: Signoff, clock: MovableClock
) -> None:
    one, two = turns(so), turns(so)
    turn = one.take("t1", "payer")
    assert turn is not None
    assert so.lose_turns() == 0
    clock.advance(AFTER)
    assert so.lose_turns() == 1
    assert so.lose_turns() == 0
    assert [wakeup.thread for wakeup in so.wakeups("payer", ready=True)] == ["t1"]
    with pytest.raises(TurnLost, match="lost its turn on thread 't1'"):
        one.check(turn)
    so.store.keep_turns(one.worker, one.lease)  # it thaws, and says it is alive
    with pytest.raises(TurnLost):
        one.check(turn)
    assert two.take("t1", "payer") is not None
    assert so.audit().holds


def test_a_worker_that_is_heard_in_time_keeps_its_turn(
    so: Signoff, clock: MovableClock
) -> None:
    one = turns(so)
    turn = one.take("t1", "payer")
    assert turn is not None
    for _ in range(3):
        clock.advance(HEARTBEAT + timedelta(seconds=1))
        so.store.keep_turns(one.worker, one.lease)
        assert so.lose_turns() == 0
    one.check(turn)
    assert so.wakeups() == []


def test_whoever_wants_a_lapsed_turn_ends_it_first(
    so: Signoff, clock: MovableClock
) -> None:
    one, two = turns(so), turns(so)
    assert one.take("t1", "payer") is not None
    clock.advance(AFTER)
    assert two.take("t1", "payer") is not None
    with so.store.reading() as reading:
        kinds = [event.fact.kind for event in reading.events("t1")]
    assert kinds == ["turn_lost"]


@pytest.mark.row("A2")
def test_what_a_lost_worker_ran_is_unknown_at_once_and_nothing_else_is(
    so: Signoff, clock: MovableClock
) -> None:
    one = turns(so)
    assert one.take("thread-1", "clerk") is not None
    entry = running(so)
    clock.advance(AFTER)
    assert so.lose_turns() == 1
    (lost,) = so.journal(state=EntryState.UNKNOWN)
    assert lost.id == entry.id
    assert not so.finish(entry, "finish", result=b"late", summary="late")
    assert so.audit().holds


def test_giving_up_ends_every_turn_for_others_to_take_over(so: Signoff) -> None:
    one, two = turns(so), turns(so)
    held = [one.take(f"t{number}", "payer") for number in range(3)]
    entry_thread = running(so).thread
    assert one.take(entry_thread, "payer") is not None
    assert len(one.abandon()) == len(held) + 1
    assert len(so.journal(state=EntryState.UNKNOWN)) == 1
    assert len(so.wakeups("payer", ready=True)) == len(held) + 1
    assert two.take("t0", "payer") is not None


@pytest.mark.row("C24")
@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("nested", [False, True], ids=["graph", "subgraph"])
async def test_a_run_that_lost_its_turn_keeps_nothing_more(
    so: Signoff, colour: str, *, nested: bool
) -> None:
    saver, lose = InMemorySaver(), list[Callable[[], object]]()

    def first(state: MessagesState) -> dict[str, Any]:
        lose[0]()
        return {"messages": [("user", "from the frozen one")]}

    inner = StateGraph(MessagesState)
    inner.add_node("first", first)
    inner.add_node("second", lambda _: {"messages": [("user", "never kept")]})
    inner.add_edge(START, "first")
    inner.add_edge("first", "second")
    graph: Any = inner.compile(checkpointer=None if nested else saver)
    if nested:
        outer = StateGraph(MessagesState)
        outer.add_node("inner", graph)
        outer.add_edge(START, "inner")
        graph = outer.compile(checkpointer=saver)
    runner = Runner(so, graph, agent="payer")
    lose.append(runner.turns.abandon)
    to_thread: Any = asyncio.to_thread
    run = runner.astart if colour == "async" else partial(to_thread, runner.start)
    with pytest.raises(TurnLost):
        await run({"messages": []}, thread_id="t1")
    kept = [(one.checkpoint, one.pending_writes) for one in saver.list(None)]
    assert kept != []
    assert "from the frozen one" not in repr(kept)
    assert "never kept" not in repr(kept)


def test_every_method_of_a_checkpointer_reaches_the_real_one() -> None:
    """A new version of LangGraph may add one; it must not answer for itself."""
    convenience = {"get", "aget"}  # they call get_tuple
    unused = {  # LangGraph's runs never call these; they are for operators
        *("delete_for_runs", "adelete_for_runs", "copy_thread", "acopy_thread"),
        *("prune", "aprune"),
    }
    public = {name for name in vars(BaseCheckpointSaver) if not name.startswith("_")}
    assert public - convenience - unused - {"serde"} <= set(vars(FencedSaver))


@pytest.mark.row("A3")
async def test_two_runners_of_two_processes_never_run_one_thread_together(
    make_shop: MakeShop,
) -> None:
    one, two = make_shop(), make_shop()
    requests = [one.ask(f"t{number}") for number in range(5)]
    for request in requests:
        one.approve(request)
    threads = [request.thread for request in requests]

    def resume(place: Shop) -> None:
        for thread in threads:
            place.runner.resume(thread)

    await asyncio.gather(*(asyncio.to_thread(resume, place) for place in (one, two)))
    assert all(one.finished(thread) for thread in threads)
    assert len(one.did("begun")) == len(one.did("paid")) == len(threads)
    with one.so.store.reading() as reading:
        assert all(reading.turn(thread) is None for thread in threads)


@pytest.mark.row("A18")
def test_a_fork_of_an_executed_call_under_turns_does_not_run_it_again(
    shop: Shop,
) -> None:
    shop.approve(shop.ask())
    assert shop.runner.resume("t1").finished
    config: Any = {"configurable": {"thread_id": "t1"}}
    history = list(shop.runner.graph.get_state_history(config))
    before = next(one for one in history if one.next == ("tools",))
    shop.runner.graph.invoke(None, before.config)
    assert len(shop.did("paid")) == 1


def test_a_resume_is_four_commits(shop: Shop) -> None:
    """The turn, the claim, the result, the wake-up that is over; docs/benchmarks.md.

    On PostgreSQL the first and the last are statements that commit by themselves.
    """
    shop.approve(shop.ask())
    assert isinstance(shop.so.store, SqlStore)
    commits = list[str]()

    def note(_: object) -> None:
        commits.append(current_thread().name)

    event.listen(shop.so.store.engine, "commit", note)
    assert shop.runner.wake("t1")
    event.remove(shop.so.store.engine, "commit", note)
    own = [name for name in commits if not name.startswith("signoff-")]
    assert len(own) == (4 if shop.url.startswith("sqlite") else 2)
    assert shop.finished("t1")


def test_only_the_end_of_a_wake_up_is_not_waited_for_on_the_disk(
    postgres_url: str,
) -> None:
    so = Signoff(f"{postgres_url}&options=-c%20synchronous_commit%3Don")
    store, seen = so.store, list[str]()
    assert isinstance(store, SqlStore)

    def look(connection: Connection) -> None:
        found = connection.exec_driver_sql("SHOW synchronous_commit").scalar()
        seen.append(str(found))

    mine = turns(so)
    with store.writing("t1") as tx:
        tx.record(Fact(kind="asked", subject="req_1", body={}))
        tx.wake("payer")
    taken = mine.take_to_wake("t1", "payer")
    assert taken is not None
    turn, wakeup = taken
    assert wakeup is not None
    assert mine.end_waking(turn, wakeup) is None
    for engine in (store.engine, readers(store.engine)):
        with engine.connect() as connection:
            look(connection)
    so.close()
    assert seen == ["on", "on"]
