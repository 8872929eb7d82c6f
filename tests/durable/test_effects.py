"""Workers as processes do what the policy, the tools and the undos of a graph are for.

The store that `signoff worker` opens has none of them: the graph's own has.
"""

from __future__ import annotations

import signal
from contextlib import closing

import pytest

from signoff import Signoff
from signoff.client.waiting import followed
from signoff.domain.journal import Entry, EntryState
from tests.durable.conftest import MakeShop, Shop, StartWorker
from tests.durable.shop import GO
from tests.langgraph.agents import MARIA
from tests.support import wait_until

pytestmark = pytest.mark.slow

SLOW_S = 30


@pytest.fixture(name="shop")
def a_shop_with_a_rule(make_shop: MakeShop, request: pytest.FixtureRequest) -> Shop:
    """The shop, where payments aren't asked about."""
    return make_shop(rule=request.param)


def where(rule: str) -> pytest.MarkDecorator:
    """The rule for payments in the shop of a test."""
    return pytest.mark.parametrize("shop", [rule], indirect=True)


def queued(shop: Shop, thread: str) -> Entry:
    """An agent wants to pay, is told that it is queued, and comes to its end."""
    assert shop.runner.start(GO, thread_id=thread).finished
    (entry,) = shop.so.journal(thread=thread)
    assert entry.state is EntryState.HELD
    return entry


def until_ended(shop: Shop, entry: Entry, state: EntryState) -> Entry:
    wait_until(lambda: shop.so.entry(entry.id).state is state, str(state), SLOW_S)
    return shop.so.entry(entry.id)


@where("hold 2s")
@pytest.mark.row("C6", "C21")
def test_two_workers_send_what_is_due_once_and_not_before(
    shop: Shop, start_worker: StartWorker
) -> None:
    held = [queued(shop, f"t{number}") for number in range(6)]
    workers = [start_worker().ready() for _ in range(2)]
    for entry in held:
        ended = until_ended(shop, entry, EntryState.DONE)
        with shop.so.store.reading() as reading:
            (sent,) = [
                event.at
                for event in reading.events_about(entry.thread, [entry.id])
                if event.fact.kind == "released"
            ]
        assert entry.commit_at is not None
        assert sent >= entry.commit_at
        assert ended.attempt == 1
    assert len(shop.did("paid")) == len(shop.did("begun")) == len(held)
    pids = {worker.process.pid for worker in workers}
    assert {one["pid"] for one in shop.did("paid")} <= pids
    assert shop.so.audit().holds


@where("hold 2s")
@pytest.mark.row("C2", "C6")
def test_a_worker_killed_while_it_sends_leaves_a_question_and_sends_nothing_twice(
    shop: Shop, start_worker: StartWorker
) -> None:
    entry = queued(shop, "t1")
    shop.hold.touch()
    first = start_worker().ready()
    wait_until(lambda: len(shop.did("begun")) == 1, "it is being sent", SLOW_S)
    first.send(signal.SIGKILL)
    first.end()
    start_worker().ready()
    until_ended(shop, entry, EntryState.UNKNOWN)
    shop.hold.unlink()
    shop.so.settle(entry.id, happened=True, note="it is on the account", by=MARIA)
    until_ended(shop, entry, EntryState.DONE)
    assert (len(shop.did("begun")), shop.did("paid")) == (1, [])
    assert shop.so.audit().holds


@where("hold 1h")
@pytest.mark.row("C6")
def test_what_people_send_and_cancel_elsewhere_a_worker_heeds(
    shop: Shop, start_worker: StartWorker
) -> None:
    cancelled, sent = queued(shop, "t1"), queued(shop, "t2")
    worker = start_worker().ready()
    with closing(Signoff(shop.url)) as desk:
        desk.cancel_held(cancelled.id, by=MARIA, reason="not this one")
        assert desk.release(sent.id, by=MARIA).state is EntryState.HELD
    until_ended(shop, sent, EntryState.DONE)
    assert [one["pid"] for one in shop.did("paid")] == [worker.process.pid]
    assert shop.so.entry(cancelled.id).state is EntryState.CANCELLED
    assert shop.so.audit().holds


@where("reversible 1h")
@pytest.mark.row("C22")
def test_a_worker_has_the_undos_of_its_graph(
    shop: Shop, start_worker: StartWorker
) -> None:
    assert shop.runner.start(GO, thread_id="t1").finished
    assert [one["amount"] for one in shop.did("paid")] == [10, 20, 30]
    worker = start_worker().ready()
    with closing(Signoff(shop.url)) as desk:  # a server, a command: it has no undo
        run = followed(lambda: desk.undo_thread("t1", by=MARIA), desk.entry)
    assert (run.stopped_at, run.left) == (None, ())
    refunded = shop.did("refunded")
    assert [one["amount"] for one in refunded] == [30, 20, 10]
    assert {one["pid"] for one in refunded} == {worker.process.pid}
    states = {one.state for one in shop.so.journal(thread="t1")}
    assert states == {EntryState.UNDONE}
    assert "stay open" not in worker.said
    assert shop.so.audit().holds
