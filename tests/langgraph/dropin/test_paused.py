"""The kill switch in drop-in mode: an answer is recorded, and the call waits on."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Interrupt

from signoff import Approve, Signoff, Status
from tests.langgraph.agents import MARIA, OTTO, call, said, turn
from tests.langgraph.conftest import Closing
from tests.langgraph.dropin.conftest import BOTH, NO, PAY, SYNC, TWO, YES, MakeMoved
from tests.langgraph.dropin.moved import ANA, moved_agent, pauses


def held(waiting: list[Interrupt]) -> list[str]:
    """The pauses of the kill switch for which a thread waits, one for each call."""
    return [one.value["signoff"]["pause"] for one in waiting]


async def test_an_approved_call_waits_and_then_runs_once(moved: MakeMoved) -> None:
    agent = moved()
    await agent.start()
    made = agent.so.pause(by=MARIA, tool="p*", reason="strange invoices")
    waiting = pauses(await agent.answer(YES))
    assert held(waiting) == [made.id]
    assert "strange invoices" in waiting[0].value["description"]
    (request,) = agent.requests()
    assert (request.status, request.settled_by) == (Status.APPROVED, ANA.id)
    again = pauses(await agent.invoke(None))
    assert held(again) == [made.id]
    assert agent.effects.done == []
    agent.so.lift(made.id, by=OTTO)
    done = await agent.invoke(None)
    assert said(done["messages"][-1]) == "done"
    assert agent.effects.of("pay") == [{"amount": 10.0, "to": "ana"}]
    assert agent.so.audit().holds


async def test_an_answer_that_meets_the_kill_switch_decides_nothing(
    moved: MakeMoved, mode: str
) -> None:
    agent = moved()
    await agent.start()
    made = agent.so.pause(by=MARIA)
    await agent.answer(YES)
    for said_now in (YES, NO):
        assert held(pauses(await agent.answer(said_now))) == [made.id]
    assert agent.effects.done == []
    (vote,) = agent.so.votes(agent.requests()[0].id)
    assert vote.kind == "approve"
    agent.so.lift(made.id, by=OTTO)
    await agent.invoke(None)
    assert len(agent.effects.of("pay")) == 1


async def test_only_the_paused_tool_waits(moved: MakeMoved) -> None:
    agent = moved(TWO)
    await agent.start()
    made = agent.so.pause(by=MARIA, tool="wire")
    assert held(pauses(await agent.answer(YES, YES))) == [made.id]
    assert [name for name, _ in agent.effects.done] == ["pay"]
    agent.so.lift(made.id, by=OTTO)
    await agent.invoke(None)
    assert [name for name, _ in agent.effects.done] == ["pay", "wire"]


async def test_a_call_that_nobody_is_asked_about_waits_too(moved: MakeMoved) -> None:
    agent = moved([turn(call("look", "c1", what="a"))])
    made = agent.so.pause(by=MARIA, thread="t1")
    assert held(await agent.start()) == [made.id]
    assert agent.effects.done == []
    agent.so.lift(made.id, by=OTTO)
    await agent.invoke(None)
    assert agent.effects.of("look") == [{"what": "a"}]
    assert agent.requests() == []


@SYNC
async def test_without_resume_as_nobody_is_asked_before_it_is_lifted(
    database_url: str, saver: BaseCheckpointSaver[Any], closing: Closing
) -> None:
    so = closing(Signoff(database_url))
    agent = moved_agent(so, saver, PAY, interrupt_on=BOTH, mode="per_call")
    made = so.pause(by=MARIA)
    assert held(await agent.start()) == [made.id]
    assert agent.requests() == []
    so.lift(made.id, by=OTTO)
    (asked,) = pauses(await agent.invoke(None))
    (request,) = agent.requests()
    assert asked.value["signoff"]["request_id"] == request.id
    so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
    await agent.invoke(None)
    assert len(agent.effects.of("pay")) == 1
