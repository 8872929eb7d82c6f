"""With `resume_as`: a resume in LangChain's format decides, and is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
)
from langchain_core.runnables import RunnableConfig

from signoff import Approve, Edit, Policy, Principal, Reject, deny
from signoff.domain.errors import (
    InvalidSetting,
)
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Status
from signoff.langgraph import Runner
from tests.langgraph.agents import (
    MARIA,
    call,
    said,
    turn,
)
from tests.langgraph.dropin.conftest import (
    BOTH,
    BY_ID,
    NO,
    ONCE,
    SYNC,
    TWO,
    YES,
    MakeMoved,
)
from tests.langgraph.dropin.moved import (
    ANA,
    EVE,
    PERSON,
    whoever_runs,
)

# A resume decides, and is recorded.


async def test_an_answer_in_langchains_format_decides_and_is_recorded(
    moved: MakeMoved,
) -> None:
    agent = moved()
    (pause,) = await agent.start()
    assert "signoff" not in pause.value
    assert agent.effects.done == []
    done = await agent.answer(YES)
    assert said(done["messages"][-1]) == "done"
    assert agent.effects.of("pay") == ONCE
    (request,) = agent.requests()
    assert (request.status, request.settled_by) == (Status.APPROVED, ANA.id)
    kinds = [event.fact.kind for event in agent.so.history(request.id)]
    assert kinds == ["asked", "voted", "approved", "started", "finished"]
    assert agent.so.audit().holds


async def test_each_kind_of_answer_reaches_its_own_call(moved: MakeMoved) -> None:
    calls = [call("pay", f"c{n}", amount=n) for n in range(1, 5)]
    agent = moved([turn(*calls, call("look", "c5", what="it"))])
    await agent.start()
    edited = {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 22}}}
    respond = {"type": "respond", "message": "paid by hand"}
    done = await agent.answer(YES, edited, NO, respond)
    assert sorted(args["amount"] for args in agent.effects.of("pay")) == [1, 22]
    told = {m.tool_call_id: said(m) for m in agent.told(done)}
    assert told["c1"] == "paid 1.0 to ana"
    assert 'Executed instead: pay with arguments {"amount": 22}.' in told["c2"]
    assert told["c3"].endswith("with reason: not now")
    assert told["c4"] == "paid by hand"
    statuses = [request.status.value for request in agent.requests()]
    assert statuses == ["approved", "approved", "rejected", "responded"]
    agent.so.flush()
    assert agent.effects.of("look") == [{"what": "it"}]
    assert agent.so.audit().holds


async def test_the_policy_of_the_store_has_no_say(moved: MakeMoved) -> None:
    agent = moved(policy=Policy([deny("*", reason="never")]))
    await agent.start()
    await agent.answer(YES)
    assert agent.effects.of("pay") == ONCE


async def test_what_is_not_listed_runs_and_is_in_the_ledger(moved: MakeMoved) -> None:
    agent = moved(interrupt_on={"wire": True, "pay": False})
    assert await agent.start() == []
    assert agent.effects.of("pay") == ONCE
    agent.so.flush()
    with agent.so.store.reading() as reading:
        assert [e.fact.kind for e in reading.events("t1")] == ["allowed"]


async def test_a_decision_in_the_inbox_counts_as_well(moved: MakeMoved) -> None:
    agent = moved()
    await agent.start()
    (request,) = agent.requests()
    agent.so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
    done = await agent.invoke(None)
    assert agent.effects.of("pay") == ONCE
    assert said(done["messages"][-1]) == "done"
    assert agent.requests()[0].settled_by == MARIA.id


@SYNC
async def test_a_runner_wakes_a_thread_that_was_decided_in_the_inbox(
    moved: MakeMoved,
) -> None:
    agent = moved()
    await agent.start(signoff_agent="payer")
    (request,) = agent.requests()
    agent.so.decide(request.id, Reject(reason="no"), by=MARIA, digest=request.digest)
    runner = Runner(agent.so, agent.graph, agent="payer")
    assert await asyncio.to_thread(runner.run_due) == 1
    assert agent.effects.done == []
    assert await agent.waiting() == []


async def test_what_the_inbox_settled_stands_against_a_later_answer(
    moved: MakeMoved,
) -> None:
    agent = moved(TWO)
    await agent.start()
    pay, wire = agent.requests()
    agent.so.decide(pay.id, Reject(reason="no"), by=MARIA, digest=pay.digest)
    done = await agent.answer(YES, YES)
    assert [name for name, _ in agent.effects.done] == ["wire"]
    assert said(agent.told(done)[0]).endswith("with reason: no")
    settled = [(r.status.value, r.settled_by) for r in agent.requests()]
    assert settled == [("rejected", MARIA.id), ("approved", ANA.id)]
    assert wire.id == agent.requests()[1].id


async def test_an_edit_in_the_inbox_runs_as_edited(moved: MakeMoved) -> None:
    agent = moved()
    await agent.start()
    (request,) = agent.requests()
    edit = Edit(args={"amount": 3})
    agent.so.decide(request.id, edit, by=MARIA, digest=request.digest)
    done = await agent.invoke(None)
    assert agent.effects.of("pay") == [{"amount": 3.0, "to": "ana"}]
    assert "Executed instead: pay" in said(agent.told(done)[0])


# Who answers.


@pytest.mark.row("B5")
@BY_ID
async def test_an_answer_of_nobody_is_refused_and_never_becomes_anothers(
    moved: MakeMoved, addressed: str
) -> None:
    def known(config: RunnableConfig) -> Any:  # noqa: ANN401 - what a careless one returns
        return config["configurable"].get(PERSON)

    agent = moved(resume_as=known)
    await agent.start()
    with pytest.raises(InvalidSetting, match="named nobody"):
        await agent.answer(YES, by_id=addressed == "by_id")
    assert agent.requests()[0].status is Status.PENDING
    await agent.answer(NO, by_id=addressed == "by_id", person=EVE)
    assert agent.effects.done == []
    (request,) = agent.requests()
    assert (request.status, request.settled_by) == (Status.REJECTED, EVE.id)


async def test_whoever_runs_the_resume_is_who_decided(moved: MakeMoved) -> None:
    agent = moved(resume_as=whoever_runs)
    await agent.start(person=ANA)
    await agent.answer(YES, person=EVE)
    assert agent.requests()[0].settled_by == EVE.id


@pytest.mark.row("B6")
async def test_an_agents_identity_does_not_decide(moved: MakeMoved) -> None:
    robot = Principal(id="robot", kind=PrincipalKind.AGENT)
    agent = moved(resume_as=robot)
    await agent.start()
    with pytest.raises(Exception, match="decisions are made by people"):
        await agent.answer(YES)
    assert agent.effects.done == []
    assert agent.requests()[0].status is Status.PENDING


# Moving over.


@pytest.mark.parametrize("answer", [YES, NO], ids=["approve", "reject"])
async def test_a_thread_that_paused_under_langchain_goes_on_here(
    moved: MakeMoved, mode: str, colour: str, answer: Mapping[str, Any]
) -> None:
    agent = moved()
    theirs: Any = HumanInTheLoopMiddleware(BOTH, interrupt_mode=mode)  # type: ignore[arg-type]  # a literal
    tools = agent.effects.tools()
    saver = agent.graph.checkpointer
    old = create_agent(agent.model, tools, middleware=[theirs], checkpointer=saver)
    before = replace(agent, graph=old)
    (asked,) = await before.start()
    done = await agent.answer(answer)
    assert said(done["messages"][-1]) == "done"
    assert agent.effects.of("pay") == (ONCE if answer == YES else [])
    assert agent.requests()[0].settled_by == ANA.id
    assert "action_requests" in asked.value or asked.value["type"] == "tool_approval"


async def test_the_pause_looks_exactly_as_in_langchain(
    moved: MakeMoved, mode: str
) -> None:
    agent = moved(TWO, description_prefix="Please look")
    theirs: Any = HumanInTheLoopMiddleware(
        BOTH,  # type: ignore[arg-type]  # a mapping of literals
        interrupt_mode=mode,  # type: ignore[arg-type]  # a literal
        description_prefix="Please look",
    )
    tools = agent.effects.tools()
    saver = agent.graph.checkpointer
    old = create_agent(agent.model, tools, middleware=[theirs], checkpointer=saver)
    before = replace(agent, graph=old)
    expected = [pause.value for pause in await before.start("theirs")]
    assert [pause.value for pause in await agent.start("ours")] == expected
    shown = [request.description for request in agent.requests("ours")]
    assert all(text.startswith("Please look\n\nTool: ") for text in shown)
