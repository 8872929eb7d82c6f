"""Calls that nobody approved, and calls whose outcome nobody knows."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import Command

from signoff import Approve, NotApplied, Status, allow, review
from signoff.clock import Clock
from signoff.domain.journal import EntryState
from tests.langgraph.agents import (
    BY_HAND,
    MARIA,
    ONE_KIND,
    SYNC,
    answers,
    call,
    said,
    turn,
)
from tests.langgraph.conftest import MakeBench

RULES = [allow("look"), review("*", expires_in="4h")]
PAY = [turn(call("pay", "c1", amount=10))]
FAIL = [turn(call("fail", "c1", how="the line broke"))]


async def test_silence_is_no_and_the_model_is_told(bench: MakeBench) -> None:
    clock = Clock()
    agent = await bench(RULES, PAY, clock=clock)
    await agent.start()
    assert agent.so.expire_due() == 0
    clock.offset = timedelta(hours=5)
    assert agent.so.expire_due() == 1
    finished = await agent.resume()
    assert finished.finished
    assert agent.effects.done == []
    assert "Nobody approved" in said(answers(finished)[0])


@SYNC
@pytest.mark.row("I11")
async def test_an_approval_by_silence_runs_and_the_model_is_told(
    bench: MakeBench,
) -> None:
    clock = Clock()
    rule = review("pay", risk="low", on_expiry="approve", expires_in="1h")
    agent = await bench([allow("look"), rule], PAY, clock=clock)
    await agent.start()
    clock.offset = timedelta(minutes=59)
    assert not agent.so.sweep()
    assert not (await agent.resume()).finished
    clock.offset = timedelta(minutes=61)
    assert agent.so.sweep().settled == 1
    finished = await agent.resume()
    assert finished.finished
    assert len(agent.effects.done) == 1
    assert "no person looked at it" in said(answers(finished)[0])
    assert agent.so.audit().holds


@SYNC
@pytest.mark.row("I11")
async def test_the_model_is_told_to_whom_it_was_escalated(bench: MakeBench) -> None:
    clock = Clock()
    rule = review("*", expires_in="4h", escalate_to=["cfo"], escalate_after="2h")
    agent = await bench([rule], PAY, clock=clock)
    await agent.start()
    clock.offset = timedelta(hours=5)
    assert agent.runner.run_due() == 1
    finished = await agent.resume()
    assert agent.effects.done == []
    assert "in time, not even after it was escalated to cfo." in said(
        answers(finished)[0]
    )


@SYNC
async def test_a_cancelled_call_is_told_why(bench: MakeBench) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    agent.so.cancel(agent.one().id, by=MARIA, reason="the order was withdrawn")
    finished = await agent.resume()
    assert finished.finished
    assert agent.effects.done == []
    (answer,) = answers(finished)
    assert "cancelled" in said(answer)
    assert "the order was withdrawn" in said(answer)


@pytest.mark.parametrize("happened", [True, False])
async def test_an_error_leaves_the_outcome_unknown_until_a_person_settles_it(
    bench: MakeBench, *, happened: bool
) -> None:
    agent = await bench(RULES, FAIL)
    await agent.start()
    with pytest.raises(ConnectionError, match="the line broke"):
        await agent.approved()
    (entry,) = agent.so.journal()
    assert entry.state is EntryState.UNKNOWN
    assert entry.summary == "ConnectionError: the line broke"
    agent.so.settle(entry.id, happened=happened, note="asked the bank", by=MARIA)
    finished = await agent.resume()
    assert finished.finished
    assert len(agent.effects.of("fail")) == 1
    (answer,) = answers(finished)
    assert "asked the bank" in said(answer)
    assert answer.status == ("success" if happened else "error")


@SYNC
async def test_a_tool_that_knows_that_nothing_happened_says_so(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, FAIL)
    tools = agent.effects.tools()
    failing = tools[-1]

    def refused(how: str) -> str:
        raise NotApplied(how)

    object.__setattr__(failing, "func", refused)
    honest = await bench(RULES, FAIL, tools=tools)
    await honest.start()
    with pytest.raises(NotApplied):
        await honest.approved()
    (entry,) = honest.so.journal()
    assert entry.state is EntryState.FAILED
    finished = await honest.resume()
    assert finished.finished
    assert "had no effect" in said(answers(finished)[0])


@SYNC
async def test_a_failing_node_after_the_call_does_not_run_it_again(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    agent.decide(Approve())
    agent.model.broken = True
    with pytest.raises(ConnectionError):
        await agent.resume()
    assert len(agent.effects.done) == 1
    agent.model.broken = False
    finished = await agent.resume()
    assert finished.finished
    assert len(agent.effects.done) == 1
    assert said(answers(finished)[0]) == "paid 10.0 to ana"


async def test_a_message_that_comes_while_a_call_waits_cancels_it(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    request = agent.one()
    finished = await agent.start(text="never mind")
    assert finished.finished
    assert agent.effects.done == []
    assert agent.so.get(request.id).status is Status.CANCELLED
    kinds = [message.type for message in finished.values["messages"]]
    assert kinds == ["human", "ai", "tool", "human", "ai"]
    assert [message.type for message in agent.model.heard[-1]] == kinds[:-1]
    assert "was not run" in said(answers(finished)[0])


@SYNC
async def test_a_message_that_comes_after_a_call_ran_keeps_its_result(
    bench: MakeBench,
) -> None:
    turns = [turn(call("pay", "c1", amount=1), call("pay", "c2", amount=2))]
    agent = await bench(RULES, turns)
    await agent.start()
    first, second = agent.asked()
    await agent.approved(first)
    finished = await agent.start(text="leave the other")
    assert finished.finished
    assert [args["amount"] for args in agent.effects.of("pay")] == [1]
    assert agent.so.get(second.id).status is Status.CANCELLED
    told = answers(finished)
    assert [message.tool_call_id for message in told] == ["c1", "c2"]
    assert said(told[0]) == "paid 1.0 to ana"
    assert "was not run" in said(told[1])


@SYNC
async def test_an_approval_that_no_resume_took_is_not_run_after_a_new_message(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    agent.decide(Approve())
    finished = await agent.start(text="something else")
    assert finished.finished
    assert agent.effects.done == []
    assert "its request is approved" in said(answers(finished)[0])


@SYNC
@ONE_KIND
async def test_a_thread_without_dangling_calls_is_left_as_it_is(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    finished = await agent.approved()
    before = [message.id for message in finished.values["messages"]]
    again = await agent.start(text="thanks")
    assert [message.id for message in again.values["messages"]][: len(before)] == before


@BY_HAND
async def test_a_bare_resume_wakes_the_thread_and_decides_nothing(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    values: list[Any] = ["approve", True, {"decisions": [{"type": "approve"}]}, []]
    for value in values:
        await agent.invoke(Command(resume=value))
        assert agent.effects.done == []
    assert agent.one().status is Status.PENDING
    agent.decide(Approve())
    await agent.invoke(Command(resume={"type": "reject"}))
    assert len(agent.effects.done) == 1


async def test_two_threads_of_one_agent_do_not_mix(bench: MakeBench) -> None:
    agent = await bench(RULES, PAY)
    if agent.colour == "async":
        await asyncio.gather(agent.start("t1"), agent.start("t2"))
    else:
        await agent.start("t1")
        await agent.start("t2")
    agent.decide(Approve(), agent.one("t2"))
    assert not (await agent.resume("t1")).finished
    assert agent.effects.done == []
    assert (await agent.resume("t2")).finished
    assert len(agent.effects.done) == 1
    assert agent.one("t1").thread == "t1"
    assert isinstance(agent.model.heard[0][0], HumanMessage)


@pytest.mark.parametrize("attempts", [1, 3])
@SYNC
async def test_a_wake_up_is_no_retry_while_the_outcome_is_unknown(
    bench: MakeBench, attempts: int
) -> None:
    agent = await bench([review("*", attempts=attempts)], FAIL)
    await agent.start()
    with pytest.raises(ConnectionError):
        await agent.approved()
    outcome = await agent.resume()
    (pause,) = outcome.waiting
    (entry,) = agent.so.journal()
    assert pause["type"] == "unknown_outcome"
    assert pause["signoff"]["entry_id"] == entry.id
    assert len(agent.effects.of("fail")) == 1
    agent.so.settle(entry.id, happened=True, note="it went through", by=MARIA)
    finished = await agent.resume()
    assert finished.finished
    assert "it went through" in said(answers(finished)[0])
    assert len(agent.effects.of("fail")) == 1
