"""Storms: the same decision many times over, and a database that goes away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from signoff import Signoff, Status
from signoff.domain.errors import StorageUnavailable
from tests.conformance.harness import Place
from tests.crash import people
from tests.crash.people import Part
from tests.forked import processes
from tests.langgraph.agents import MARIA
from tests.postgres import Server, own_server
from tests.support import wait_until

AMOUNTS = (10,)
PROCESSES, TIMES = 8, 50


def deliver(part: Part, start: Barrier, times: int) -> None:
    """Deliver one decision again and again, as an impatient channel does."""
    so = Signoff(part.place.url)
    (request,) = so.thread(part.thread)
    start.wait(60)
    for _ in range(times):
        so.decide(
            request.id,
            people.decision("approve", request),
            by=MARIA,
            digest=request.digest,
        )
    so.close()


@pytest.mark.slow
@pytest.mark.row("A3", "B12", "I4")
def test_one_decision_delivered_fifty_times_by_eight_processes(
    database_url: str, tmp_path: Path
) -> None:
    part = Part(Place(database_url, tmp_path), "storm", AMOUNTS)
    people.start(part)
    start = processes().Barrier(PROCESSES)
    rounds = [TIMES // PROCESSES + (n < TIMES % PROCESSES) for n in range(PROCESSES)]
    assert sum(rounds) == TIMES
    senders = [
        processes().Process(target=deliver, args=(part, start, times))
        for times in rounds
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(100)
    assert [sender.exitcode for sender in senders] == [0] * PROCESSES
    workers = [processes().Process(target=people.work, args=(part,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    so = Signoff(database_url)
    (request,) = so.thread("storm")
    told = [event.fact.kind for event in so.history(request.id)]
    assert (told.count("voted"), told.count("approved")) == (1, 1)
    assert so.audit().holds
    so.close()
    assert part.place.tally.of("pay 10") == 1


@pytest.mark.slow
@pytest.mark.row("C14", "I7")
@pytest.mark.parametrize("fast", ["start", "work"])
def test_the_clock_of_one_process_is_an_hour_off(
    database_url: str, tmp_path: Path, fast: str
) -> None:
    """LangGraph orders checkpoints by ids that it makes from a process's clock."""
    part = Part(Place(database_url, tmp_path), "skewed", AMOUNTS)
    for doing in ("start", "work"):
        one = replace(part, skewed=doing == fast)
        runs = processes().Process(target=getattr(people, doing), args=(one,))
        runs.start()
        runs.join(100)
        assert runs.exitcode == 0
        people.decide(part, "approve")
    people.start(replace(part, again=True))
    with people.desk(part) as (so, runner):
        last = runner.resume("skewed").values["messages"][-1]
        assert last.content == "done"
        assert [request.status for request in so.thread("skewed")] == ["approved"]
    assert part.place.tally.of("pay 10") == 1


@pytest.fixture
def server() -> Iterator[Server]:
    """A PostgreSQL that may be stopped."""
    with own_server() as one:
        yield one


@pytest.mark.slow
def test_postgresql_is_restarted_in_the_middle(server: Server, tmp_path: Path) -> None:
    part = Part(Place(server.url, tmp_path), "restarted", AMOUNTS)
    people.start(part)
    so = Signoff(server.url)
    (request,) = so.thread("restarted")
    approve = people.decision("approve", request)
    server.stop()
    with pytest.raises(StorageUnavailable, match="can't be used"):
        so.decide(request.id, approve, by=MARIA, digest=request.digest)
    server.start()
    so.decide(request.id, approve, by=MARIA, digest=request.digest)

    worker = processes().Process(target=people.watch, args=(part,))
    worker.start()
    wait_until(lambda: part.place.tally.of("pay 10"), "it is paid", 60)
    server.stop()
    server.start()
    people.start(Part(part.place, "after", (20,)))
    (second,) = so.thread("after")
    so.decide(second.id, approve, by=MARIA, digest=second.digest)
    wait_until(lambda: part.place.tally.of("pay 20"), "the worker is back", 60)
    worker.terminate()
    worker.join(30)
    assert so.get(request.id).status is Status.APPROVED
    assert so.audit().holds
    so.close()
    assert [part.place.tally.of(f"pay {amount}") for amount in (10, 20)] == [1, 1]
