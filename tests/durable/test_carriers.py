"""What every carrier of wake-ups promises, told to each on its databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from signoff import Approve, Reject, Request, Signoff, review
from signoff.domain.errors import LostRace
from signoff.domain.ledger import Fact
from signoff.durable.jobs import JobCarrier, install_jobs, schema_name
from signoff.langgraph import Runner
from signoff.ports import Carrier
from signoff.service.loop import Loop
from signoff.service.turns import Turns
from signoff.storage import SqlStore
from signoff.testing import MovableClock
from tests.conformance.harness import GO, Place, together
from tests.langgraph.agents import (
    MARIA,
    Effects,
    Scripted,
    call,
    turn,
    with_create_agent,
)
from tests.support import wait_until

KINDS = ["loop-sqlite", "loop-postgresql", "jobs-postgresql"]
CONCURRENCY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One process's share: an agent, its store, and a carrier that runs it."""

    kind: str
    so: Signoff
    runner: Runner
    model: Scripted
    effects: Effects
    turns: Turns
    address: str
    clock: MovableClock

    @contextmanager
    def carried(self) -> Iterator[Carrier]:
        """With the carrier at work."""
        carrier = self.carrier()
        self.turns.enlist([self.runner.agent], CONCURRENCY)
        thread = threading.Thread(target=carrier.run, daemon=True)
        thread.start()
        try:
            yield carrier
        finally:
            carrier.stop()
            thread.join(30)
            self.turns.dismiss()
            assert not thread.is_alive()

    def carrier(self) -> Carrier:
        if self.kind.startswith("loop"):
            return Loop(self.so, [self.runner], concurrency=CONCURRENCY)
        install_jobs(self.address)
        return JobCarrier(
            self.so, [self.runner], address=self.address, concurrency=CONCURRENCY
        )

    def ask(self, thread: str = "t1") -> Request:
        self.runner.start(GO, thread_id=thread)
        return self.asked(thread)

    def asked(self, thread: str = "t1") -> Request:
        (request,) = [r for r in self.so.thread(thread) if r.status.value == "pending"]
        return request

    def approve(self, request: Request) -> None:
        self.so.decide(request.id, Approve(), by=MARIA, digest=request.digest)

    def at_rest(self, count: int = 0, timeout: float = 30) -> None:
        """Wait until nothing is to be woken, and so many payments were made."""
        wait_until(lambda: self.so.wakeups() == [], "nothing waits", timeout)
        assert len(self.effects.done) == count


MakeSite = Callable[..., Site]


@pytest.fixture(params=KINDS)
def make_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeSite]:
    kind: str = request.param
    database = "sqlite_url" if kind.endswith("sqlite") else "postgres_url"
    url: str = request.getfixturevalue(database)
    with ExitStack() as stack:
        clock = MovableClock()

        def make(agent: str = "payer", amounts: tuple[int, ...] = (10,)) -> Site:
            so = Signoff(url, policy=[review("*")], clock=clock)
            stack.callback(so.close)
            saver = stack.enter_context(Place(url, tmp_path).saver())
            turns = [turn(call("pay", f"c{one}", amount=one)) for one in amounts]
            model, effects = Scripted(turns=turns), Effects()
            graph = with_create_agent(so, model, effects.tools(), saver)
            own = Turns(so.store)
            return Site(
                kind=kind,
                so=so,
                runner=Runner(so, graph, agent=agent, turns=own),
                model=model,
                effects=effects,
                turns=own,
                address=url,
                clock=clock,
            )

        yield make


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site()


def test_what_is_decided_goes_on_and_nothing_else(site: Site) -> None:
    first, second, third = (site.ask(f"t{number}") for number in range(3))
    with site.carried():
        site.approve(first)
        site.at_rest(1)
        site.so.decide(second.id, Reject(reason="no"), by=MARIA, digest=second.digest)
        site.at_rest(1)
    assert [r.id for r in site.so.pending().requests] == [third.id]


def test_what_was_decided_before_it_started_goes_on(site: Site) -> None:
    for request in [site.ask(f"t{number}") for number in range(5)]:
        site.approve(request)
    with site.carried():
        site.at_rest(5)


def test_one_decision_after_another_of_one_thread(make_site: MakeSite) -> None:
    site = make_site(amounts=(1, 2, 3, 4, 5))
    site.ask()
    with site.carried():
        for number in range(1, 6):
            wait_until(lambda: site.so.count() == 1, "it asks", timeout=30)
            site.approve(site.asked())
            wait_until(lambda n=number: len(site.effects.done) == n, "paid", 30)  # type: ignore[misc]
        site.at_rest(5)
    assert [args["amount"] for args in site.effects.of("pay")] == [1, 2, 3, 4, 5]


def test_a_decision_that_is_rolled_back_wakes_nobody(site: Site) -> None:
    site.ask()
    with site.carried():
        with pytest.raises(RuntimeError):
            wake(site.so, "t1", fail=True)
        other = site.ask("t2")
        site.approve(other)
        site.at_rest(1)
    assert site.so.workforce().waiting == ()


def test_threads_of_other_agents_are_left_alone(make_site: MakeSite) -> None:
    ours, theirs = make_site("ours"), make_site("theirs")
    request, other = ours.ask("t1"), theirs.ask("t2")
    with ours.carried():
        ours.approve(other)
        ours.approve(request)
        wait_until(lambda: len(ours.so.wakeups()) == 1, "ours went on", timeout=30)
    assert [w.agent for w in ours.so.wakeups()] == ["theirs"]
    assert (len(ours.effects.done), theirs.effects.done) == (1, [])


@pytest.mark.row("A16")
def test_a_thread_that_fails_keeps_its_decision_and_is_tried_again(
    site: Site,
) -> None:
    request = site.ask()
    site.model.broken = True
    with site.carried():
        site.approve(request)
        wait_until(lambda: _failing(site) == 1, "it failed once", timeout=30)
        site.model.broken = False
        site.at_rest(1)
    assert site.so.get(request.id).status.value == "approved"


def _failing(site: Site) -> int:
    return sum(waiting.failing for waiting in site.so.workforce().waiting)


@pytest.mark.row("C21")
def test_a_deadline_is_seen_within_a_second(site: Site) -> None:
    request = site.ask()
    with site.carried():
        site.clock.advance(timedelta(days=30))
        expired = "expired"
        wait_until(lambda: site.so.get(request.id).status.value == expired, expired, 10)
        site.at_rest(0)


@pytest.mark.row("A3")
def test_the_same_decision_many_times_over_is_one(site: Site) -> None:
    request = site.ask()
    with site.carried():
        ends = together(*[lambda: site.approve(request)] * 10)
        assert all(end is None or isinstance(end, LostRace) for end in ends)
        site.at_rest(1)


@pytest.mark.row("A3")
def test_two_of_them_share_and_run_everything_once(make_site: MakeSite) -> None:
    one, two = make_site(), make_site()
    requests = [one.ask(f"t{number}") for number in range(12)]
    with one.carried(), two.carried():
        for request in requests:
            one.approve(request)
        wait_until(lambda: one.so.wakeups() == [], "nothing waits", timeout=60)
    assert len(one.effects.done) + len(two.effects.done) == 12
    assert one.so.audit().holds


def test_it_stops_at_once_while_threads_wait_for_people(site: Site) -> None:
    site.ask()
    with site.carried():
        pass
    assert site.turns.held == []


def test_a_thread_that_runs_elsewhere_is_taken_when_its_turn_ends(
    make_site: MakeSite,
) -> None:
    site, elsewhere = make_site(), make_site()
    request = site.ask()
    with site.carried():
        held = elsewhere.turns.take("t1", "payer")
        assert held is not None
        site.approve(request)
        other = site.ask("t2")
        site.approve(other)
        waits = ["t1"]
        wait_until(lambda: _to_wake(site) == waits, "the other one went on", 30)
        assert len(site.effects.done) == 1
        elsewhere.turns.end(held)
        site.at_rest(2)


def _to_wake(site: Site) -> list[str]:
    return [wakeup.thread for wakeup in site.so.wakeups()]


@pytest.fixture
def queue(postgres_url: str, tmp_path: Path) -> Any:  # noqa: ANN401 - a store's engine
    """A store whose decisions make jobs; nobody fetches them."""
    install_jobs(postgres_url)
    so = Signoff(postgres_url, policy=[review("*")])
    assert isinstance(so.store, SqlStore)
    yield so
    so.close()


def jobs(so: Signoff) -> list[Any]:
    """What is queued: lock, queueing lock, arguments, state."""
    assert isinstance(so.store, SqlStore)
    table = f"{schema_name()}.procrastinate_jobs"
    columns = "lock, queueing_lock, args, status, scheduled_at IS NULL AS now"
    with so.store.engine.connect() as connection:
        return list(connection.execute(text(f"SELECT {columns} FROM {table}")))  # noqa: S608 - ours


def wake(so: Signoff, thread: str, *, fail: bool = False) -> None:
    """A reason for a thread to go on, in one transaction."""
    with so.store.writing(thread) as tx:
        tx.record(Fact(kind="test", subject=thread, body={}))
        tx.wake("payer")
        if fail:
            raise RuntimeError


def test_a_job_is_in_the_transaction_of_its_wake_up(queue: Signoff) -> None:
    turns = Turns(queue.store)
    wake(queue, "before there was a worker")
    assert jobs(queue) == []
    turns.enlist(["payer"], 1)
    wake(queue, "t1")
    with pytest.raises(RuntimeError):
        wake(queue, "t2", fail=True)
    (job,) = jobs(queue)
    assert (job.lock, job.args, job.now) == ("t1", {"thread": "t1"}, True)
    turns.dismiss()


def test_a_second_reason_makes_a_job_that_waits_for_the_first(queue: Signoff) -> None:
    turns = Turns(queue.store)
    turns.enlist(["payer"], 1)
    wake(queue, "t1")
    wake(queue, "t1")
    assert [job.lock for job in jobs(queue)] == ["t1", "t1"]
    (wakeup,) = queue.wakeups()
    queue.put_off(wakeup, "the provider is down")
    *_, again = jobs(queue)
    assert again.queueing_lock == f"t1:{wakeup.version}:1"
    assert not again.now
    turns.dismiss()


def test_four_at_once_install_the_jobs_once(postgres_url: str) -> None:
    ends = together(*[lambda: install_jobs(postgres_url)] * 4)
    assert ends == [None] * 4


def test_a_queue_that_is_broken_stops_no_decision(queue: Signoff) -> None:
    turns = Turns(queue.store)
    turns.enlist(["payer"], 1)
    assert isinstance(queue.store, SqlStore)
    with queue.store.engine.begin() as connection:
        drop = f"ALTER TABLE {schema_name()}.procrastinate_jobs RENAME TO gone"
        connection.exec_driver_sql(drop)
    wake(queue, "t1")
    assert [wakeup.thread for wakeup in queue.wakeups()] == ["t1"]
