"""Workers as processes: shared, killed, frozen, told to end; nothing is lost."""

from __future__ import annotations

import json
import signal
import time
from functools import partial

import pytest

from signoff import Approve, Reject
from signoff.cli.exits import ExitCode
from signoff.domain.journal import EntryState
from signoff.storage import SqlStore
from signoff.storage import tables as t
from tests.durable.conftest import HEARTBEAT, Shop, StartWorker
from tests.forked import run_forked
from tests.langgraph.agents import MARIA
from tests.support import wait_until

pytestmark = pytest.mark.slow

TAKE_OVER_S = 5 + float(HEARTBEAT.removesuffix("s"))
"""The promise: within the heartbeat and five seconds."""
SLOW_S = 30


def kinds(shop: Shop, thread: str = "t1") -> list[str]:
    """What a thread's ledger tells, in order."""
    with shop.so.store.reading() as reading:
        return [event.fact.kind for event in reading.events(thread)]


@pytest.mark.row("A3")
def test_two_workers_share_and_run_everything_once(
    shop: Shop, start_worker: StartWorker
) -> None:
    requests = [shop.ask(f"t{number}") for number in range(10)]
    for one in [start_worker() for _ in range(2)]:
        one.ready()
    for request in requests:
        shop.approve(request)
    wait_until(lambda: shop.so.wakeups() == [], "all were woken", timeout=60)
    assert len(shop.did("paid")) == len(shop.did("begun")) == 10
    assert all(shop.finished(f"t{number}") for number in range(10))
    assert shop.so.audit().holds


@pytest.mark.row("C21")
def test_a_deadline_that_passed_while_nothing_ran_is_settled_at_the_start(
    shop: Shop, start_worker: StartWorker
) -> None:
    late, kept = shop.ask("t1"), shop.ask("t2")
    assert isinstance(shop.so.store, SqlStore)
    long_ago = t.requests.update().where(t.requests.c.id == late.id)
    with shop.so.store.engine.begin() as connection:
        connection.execute(long_ago.values(expires_at=1, due_at=1))
    start_worker().ready()
    wait_until(lambda: shop.so.get(late.id).status.value == "expired", "it expired")
    wait_until(lambda: shop.finished("t1"), "its thread was told", timeout=SLOW_S)
    assert shop.so.get(kept.id).status.value == "pending"
    assert shop.did("begun") == []


@pytest.mark.row("A2")
@pytest.mark.row("A16")
def test_a_worker_killed_in_the_middle_of_an_effect_is_taken_over(
    shop: Shop, start_worker: StartWorker
) -> None:
    request = shop.ask()
    shop.hold.touch()
    first, second = start_worker().ready(), start_worker().ready()
    shop.approve(request)
    wait_until(lambda: len(shop.did("begun")) == 1, "a payment began", timeout=SLOW_S)
    (began,) = shop.did("begun")
    one = first if first.process.pid == began["pid"] else second
    one.send(signal.SIGKILL)
    one.end()
    killed = time.monotonic()
    wait_until(
        lambda: shop.so.journal(state=EntryState.UNKNOWN) != [], "it is unknown", 20
    )
    (entry,) = shop.so.journal(state=EntryState.UNKNOWN)
    wait_until(lambda: shop.so.wakeups() == [], "another worker went on", timeout=20)
    assert time.monotonic() - killed < TAKE_OVER_S
    shop.hold.unlink()
    assert (len(shop.did("begun")), shop.did("paid")) == (1, [])
    shop.so.settle(entry.id, happened=True, note="it is on the account", by=MARIA)
    wait_until(lambda: shop.finished("t1"), "the thread went on", timeout=SLOW_S)
    assert len(shop.did("begun")) == 1
    assert "turn_lost" in kinds(shop)
    assert shop.so.audit().holds


@pytest.mark.row("C24")
def test_a_frozen_worker_that_thaws_is_fenced_off(
    shop: Shop, start_worker: StartWorker
) -> None:
    request = shop.ask()
    shop.hold.touch()
    frozen = start_worker().ready()
    shop.approve(request)
    wait_until(lambda: len(shop.did("begun")) == 1, "a payment began", timeout=SLOW_S)
    frozen.send(signal.SIGSTOP)
    start_worker().ready()
    wait_until(
        lambda: shop.so.journal(state=EntryState.UNKNOWN) != [], "it is unknown", 20
    )
    (entry,) = shop.so.journal(state=EntryState.UNKNOWN)
    shop.so.settle(entry.id, happened=False, note="nothing on the account", by=MARIA)
    # The state has what a step wrote before its checkpoint is there.
    wait_until(lambda: shop.so.wakeups() == [], "another went on", timeout=SLOW_S)
    assert shop.finished("t1")
    before = shop.runner.graph.get_state({"configurable": {"thread_id": "t1"}})
    shop.hold.unlink()
    frozen.send(signal.SIGCONT)
    wait_until(lambda: "late_result" in kinds(shop), "its result came late", SLOW_S)
    wait_until(lambda: "lost its turn" in frozen.said, "its run was stopped", SLOW_S)
    after = shop.runner.graph.get_state({"configurable": {"thread_id": "t1"}})
    assert after.config == before.config
    assert len(shop.did("begun")) == 1
    assert shop.so.audit().holds
    next_one = shop.ask("t2")  # the thawed one works on as if nothing had been
    shop.approve(next_one)
    wait_until(lambda: shop.finished("t2"), "work goes on", timeout=SLOW_S)


def test_told_to_end_it_finishes_what_runs_and_takes_nothing_new(
    shop: Shop, start_worker: StartWorker
) -> None:
    running, waiting = shop.ask("t1"), shop.ask("t2")
    shop.hold.touch()
    worker = start_worker().ready()
    shop.approve(running)
    wait_until(lambda: len(shop.did("begun")) == 1, "a payment began", timeout=SLOW_S)
    worker.send(signal.SIGTERM)
    wait_until(lambda: "Stopping: no new thread; 1 running" in worker.said, "it heard")
    shop.approve(waiting)
    shop.hold.unlink()
    assert worker.end() == 0
    assert "nothing was left running" in worker.said
    assert shop.finished("t1")
    assert [wakeup.thread for wakeup in shop.so.wakeups()] == ["t2"]
    workforce = shop.so.workforce()
    assert (workforce.workers, workforce.others) == ((), {})


def test_what_runs_too_long_at_the_end_is_left_to_others_at_once(
    shop: Shop, start_worker: StartWorker
) -> None:
    request = shop.ask()
    shop.hold.touch()
    worker = start_worker("--drain", "1s").ready()
    shop.approve(request)
    wait_until(lambda: len(shop.did("begun")) == 1, "a payment began", timeout=SLOW_S)
    worker.send(signal.SIGTERM)
    assert worker.end() == 1
    assert "Gave up 1 running" in worker.said
    (entry,) = shop.so.journal(state=EntryState.UNKNOWN)
    assert [wakeup.thread for wakeup in shop.so.wakeups("payer", ready=True)] == ["t1"]
    assert shop.so.workforce().others == {}
    assert (len(shop.did("begun")), shop.did("paid"), entry.attempt) == (1, [], 1)
    assert shop.so.audit().holds


@pytest.mark.row("A4")
def test_approve_and_reject_at_once_have_one_winner(
    shop: Shop, start_worker: StartWorker
) -> None:
    from signoff.domain.errors import AlreadyDecided
    from tests.conformance.harness import together

    start_worker().ready()
    for number in range(5):
        request = shop.ask(f"t{number}")
        ends = together(
            *[
                lambda said=said, one=request: shop.so.decide(
                    one.id, said, by=MARIA, digest=one.digest
                )
                for said in (Approve(), Reject(reason="no"))
            ]
        )
        assert [type(end) for end in ends if end is not None] == [AlreadyDecided]
        wait_until(partial(shop.finished, f"t{number}"), "it went on", SLOW_S)
        status = shop.so.get(request.id).status.value
        paid = sum(_paid(shop, f"t{one}") for one in range(number + 1))
        assert (status == "approved") == _paid(shop, f"t{number}")
        assert len(shop.did("paid")) == paid


def _paid(shop: Shop, thread: str) -> bool:
    return any(e.state is EntryState.DONE for e in shop.so.journal(thread=thread))


def test_the_status_says_who_runs_what_and_what_waits(
    shop: Shop, start_worker: StartWorker
) -> None:
    request = shop.ask("the thread")
    shop.hold.touch()
    worker = start_worker().ready()
    shop.approve(request)
    wait_until(lambda: len(shop.did("begun")) == 1, "a payment began", timeout=SLOW_S)

    def status(*more: str) -> str:
        command = ["signoff", "worker", "--status", *more, "--store", shop.url]
        done = run_forked(*command, env=shop.env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    document = json.loads(status("--json"))
    (one,) = document["workers"]
    assert (one["pid"], one["alive"]) == (worker.process.pid, True)
    assert (one["agents"], one["threads"]) == (["payer"], ["the thread"])
    (waiting,) = document["waiting"]
    assert (waiting["agent"], waiting["count"]) == ("payer", 1)
    assert waiting["lag"] > 0
    assert "the thread" in status()
    worker.send(signal.SIGKILL)
    worker.end()
    wait_until(lambda: "dead" in status(), "it counts as dead", timeout=SLOW_S)


def test_only_postgresql_needs_a_queue(shop: Shop, start_worker: StartWorker) -> None:
    """A worker on SQLite works where the extra `postgres` isn't installed."""
    lacking = ("procrastinate", "psycopg", "psycopg_pool")
    worker = start_worker(lacking=lacking)
    if shop.url.startswith("postgresql"):
        assert worker.end() == ExitCode.WORLD
        cure = "this needs procrastinate: pip install 'signoff[postgres]'."
        assert worker.said.strip().endswith(cure)
        return
    worker.ready()
    shop.approve(shop.ask())
    wait_until(lambda: shop.finished("t1"), "its call ran", timeout=SLOW_S)
    worker.send(signal.SIGTERM)
    assert worker.end() == 0
    assert len(shop.did("paid")) == 1


@pytest.mark.row("A19")
def test_a_graph_without_a_checkpointer_is_refused_and_its_wakeup_kept(
    shop: Shop, start_worker: StartWorker
) -> None:
    shop.approve(shop.ask())
    (kept,) = shop.so.wakeups()
    named = ("tests.durable.shop:graph", "--agent", "payer", "--store", shop.url)
    ran = run_forked("signoff", "worker", *named, env=shop.env)
    assert (ran.returncode, ran.stdout) == (ExitCode.USAGE, "")
    (said,) = ran.stderr.splitlines()
    assert said.startswith("error: This graph has no checkpointer")
    assert "--checkpointer" in said
    assert shop.so.wakeups() == [kept]
    start_worker().ready()
    wait_until(lambda: shop.finished("t1"), "its call ran", timeout=SLOW_S)
    assert len(shop.did("paid")) == 1
