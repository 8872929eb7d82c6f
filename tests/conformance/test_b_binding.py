"""B9, B10, B13: an approval is for one call, in its time."""

import time
from datetime import timedelta

import pytest
from langgraph.types import Command

from signoff import Approve, Status, review
from signoff.clock import Clock
from signoff.domain.errors import (
    AlreadyDecided,
    DigestMismatch,
    RequestNotFound,
    UnknownThread,
)
from tests.langgraph.agents import MARIA, ONE_KIND, SYNC, answers, call, said, turn
from tests.langgraph.conftest import MakeBench

HOUR = 3_600_000_000
RULES = [review("*", expires_in="4h")]
SAME = call("pay", "c1", amount=10)


@pytest.mark.row("B9")
async def test_the_same_call_in_a_later_turn_is_asked_about_again(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, [turn(SAME), turn(SAME)])
    await agent.start()
    first = agent.one()
    outcome = await agent.approved(first)
    assert not outcome.finished
    second = agent.one()
    assert second.id != first.id
    assert second.args == first.args
    assert len(agent.effects.done) == 1
    assert (await agent.approved(second)).finished
    assert len(agent.effects.done) == 2


@pytest.mark.row("B9")
async def test_a_retried_run_asks_again(bench: MakeBench) -> None:
    """The user sends the message again while an approval lies unused."""
    agent = await bench(RULES, [turn(SAME), turn(SAME)])
    await agent.start()
    first = agent.decide(Approve())
    outcome = await agent.start(text="go")
    assert not outcome.finished
    assert agent.effects.done == []
    second = agent.one()
    assert second.id != first.id
    assert (await agent.approved(second)).finished
    assert len(agent.effects.done) == 1


@pytest.mark.row("B9")
async def test_the_same_call_in_another_thread_is_another_call(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, [turn(SAME)])
    await agent.start("t1")
    await agent.start("t2")
    agent.decide(Approve(), agent.one("t1"))
    assert not (await agent.resume("t2")).finished
    assert agent.effects.done == []
    assert agent.one("t2").status is Status.PENDING


@SYNC
@pytest.mark.row("B9")
async def test_a_digest_of_one_request_decides_no_other(bench: MakeBench) -> None:
    agent = await bench(
        RULES, [turn(call("pay", "c1", amount=10), call("pay", "c2", amount=10))]
    )
    await agent.start()
    one, two = agent.asked()
    for seen in (two.digest, "", None, one.digest.upper()):
        with pytest.raises(DigestMismatch):
            agent.so.decide(one.id, Approve(), by=MARIA, digest=seen)
    await agent.resume()
    assert agent.effects.done == []


@pytest.mark.row("B10")
async def test_an_unknown_id_in_a_resume_map_changes_nothing(bench: MakeBench) -> None:
    agent = await bench(RULES, [turn(SAME)])
    await agent.start()
    before = agent.one()
    await agent.invoke(Command(resume={"0" * 32: {"type": "approve"}}))
    assert agent.effects.done == []
    assert agent.one() == before
    assert (await agent.approved()).finished


@pytest.mark.row("B10")
async def test_an_unknown_request_or_thread_is_an_error(bench: MakeBench) -> None:
    agent = await bench(RULES, [turn(SAME)])
    await agent.start()
    with pytest.raises(RequestNotFound, match="signoff list"):
        agent.so.decide("req_0", Approve(), by=MARIA, digest=agent.one().digest)
    with pytest.raises(UnknownThread):
        await agent.resume("t9")
    assert agent.effects.done == []
    assert agent.so.count() == 1


@pytest.mark.row("B13")
async def test_the_deadline_counts_from_the_ask_on_the_databases_clock(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, real_ns = time.time, time.time_ns  # noqa: TID251 - the clock that is wrong
    monkeypatch.setattr(time, "time", lambda: real() + 10 * 3600)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + 10 * HOUR * 1000)
    agent = await bench(RULES, [turn(SAME)])
    before = agent.so.now()
    await agent.start()
    request = agent.one()
    assert before <= request.asked_at <= agent.so.now()
    assert request.expires_at - request.asked_at == 4 * HOUR
    assert agent.so.expire_due() == 0
    assert (await agent.approved()).finished
    assert len(agent.effects.done) == 1


@pytest.mark.row("B13")
async def test_a_large_call_approved_in_time_stays_approved(bench: MakeBench) -> None:
    clock = Clock()
    big = call("store", "c1", record={"text": "x" * 1_000_000})
    agent = await bench(RULES, [turn(big)], clock=clock)
    await agent.start()
    clock.offset = timedelta(hours=3, minutes=59)
    assert agent.so.expire_due() == 0
    agent.decide(Approve())
    # The thread is woken long after the deadline: the answer came before it.
    clock.offset = timedelta(hours=9)
    assert agent.so.expire_due() == 0
    finished = await agent.resume()
    assert finished.finished
    (ran,) = agent.effects.of("store")
    assert len(ran["record"]["text"]) == 1_000_000
    assert said(answers(finished)[0]) == "stored"


@SYNC
@pytest.mark.row("B13")
async def test_an_approval_after_the_deadline_comes_too_late(bench: MakeBench) -> None:
    """Also when nothing has swept the request away yet."""
    clock = Clock()
    agent = await bench(RULES, [turn(SAME)], clock=clock)
    await agent.start()
    clock.offset = timedelta(hours=4, seconds=1)
    # Waking it changes nothing: the deadline is the store's to enforce.
    assert not (await agent.resume()).finished
    with pytest.raises(AlreadyDecided, match="expired by its deadline"):
        agent.decide(Approve())
    assert agent.runner.run_due() == 1
    assert agent.so.thread("t1")[0].status is Status.EXPIRED
    assert (await agent.resume()).finished
    assert agent.effects.done == []


@SYNC
@ONE_KIND
@pytest.mark.row("B13")
async def test_an_approval_that_waited_too_long_is_asked_again(
    bench: MakeBench,
) -> None:
    clock = Clock()
    agent = await bench([review("*", valid_for="10m")], [turn(SAME)], clock=clock)
    await agent.start()
    first = agent.decide(Approve())
    clock.offset = timedelta(minutes=11)
    assert not (await agent.resume()).finished
    assert agent.effects.done == []
    second = agent.one()
    assert (second.ask, second.id != first.id) == (2, True)
    assert (await agent.approved(second)).finished
    assert len(agent.effects.done) == 1
