"""With `resume_as`: a resume in LangChain's format decides, and is recorded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ToolCallRequest,
    hook_config,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.types import Command, interrupt
from pydantic import ValidationError

from signoff import Approve, Edit, Policy, Principal, Reject, deny
from signoff.domain.errors import (
    AlreadyDecided,
    InvalidEdit,
    InvalidSetting,
)
from signoff.domain.journal import EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Status
from signoff.langgraph import Runner
from tests.langgraph.agents import (
    MARIA,
    call,
    said,
    turn,
)
from tests.langgraph.dropin.conftest import BOTH, TWO, MakeMoved
from tests.langgraph.dropin.crash import paying
from tests.langgraph.dropin.moved import (
    ANA,
    EVE,
    PERSON,
    pauses,
    whoever_runs,
)
from tests.support import ROOT, run_python

YES = {"type": "approve"}
NO = {"type": "reject", "message": "not now"}


SYNC = pytest.mark.parametrize("colour", ["sync"], indirect=True)
BY_ID = pytest.mark.parametrize("addressed", ["by_id", "scalar"])
BATCHED = pytest.mark.parametrize("mode", ["batched"], indirect=True)
ONCE = [{"amount": 10.0, "to": "ana"}]


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


# Answers that are wrong, late, doubled or lost.

_SHAPES: dict[str, Any] = {
    "text": "approve",
    "decisions_text": {"decisions": "approve"},
    "list": [],
    "too_many": {"decisions": [YES, YES]},
    "too_few": {"decisions": []},
    "unknown_type": {"decisions": [{"type": "maybe"}]},
    "no_type": {"decisions": [{}]},
    "true": True,
    "bare_list": [YES],
    "bare_decision": YES,
    "edit_without_action": {"decisions": [{"type": "edit"}]},
    "respond_without_message": {"decisions": [{"type": "respond"}]},
    "not_offered": {"decisions": [{"type": "respond", "message": "x"}]},
}
_ONE_CALL: dict[str, Any] = {
    "text": "approve",
    "true": True,
    "list": [YES],
    "batched": {"decisions": [YES]},
    "unknown_type": {"type": "maybe"},
    "edit_without_action": {"type": "edit"},
    "not_offered": {"type": "respond", "message": "x"},
    "edit_of_another_tool": {
        "type": "edit",
        "edited_action": {"name": "wire", "args": {"amount": 1}},
    },
}


@pytest.mark.row("A5")
@BY_ID
async def test_a_malformed_answer_is_refused_and_the_thread_stays_answerable(
    moved: MakeMoved, mode: str, addressed: str
) -> None:
    offered = {"pay": {"allowed_decisions": ["approve", "edit", "reject"]}}
    agent = moved(interrupt_on=offered)
    (pause,) = await agent.start()
    for shape in (_SHAPES if mode == "batched" else _ONE_CALL).values():
        resume = {pause.id: shape} if addressed == "by_id" else shape
        with pytest.raises(ValidationError):
            await agent.invoke(Command(resume=resume))
        assert agent.effects.done == []
        assert [p.id for p in await agent.waiting()] == [pause.id]
    await agent.answer(YES, by_id=addressed == "by_id")
    assert agent.effects.of("pay") == ONCE


@BATCHED
async def test_the_wrong_number_of_answers_is_told_in_langchains_words(
    moved: MakeMoved,
) -> None:
    agent = moved(TWO)
    await agent.start()
    wrong = re.escape("(1) does not match number of hanging tool calls (2)")
    with pytest.raises(ValueError, match=wrong):
        await agent.answer(YES)
    assert [r.status for r in agent.requests()] == [Status.PENDING, Status.PENDING]


async def test_an_edit_that_the_tool_would_refuse_is_refused_before_it_counts(
    moved: MakeMoved,
) -> None:
    agent = moved()
    await agent.start()
    wrong = {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": "x"}}}
    with pytest.raises((InvalidEdit, ValidationError), match="amount"):
        await agent.answer(wrong)
    assert agent.requests()[0].status is Status.PENDING
    await agent.answer(YES)
    assert agent.effects.of("pay") == ONCE


@SYNC
@pytest.mark.row("A3")
async def test_two_resumes_at_once_run_the_tool_once(moved: MakeMoved) -> None:
    agent = moved()
    for round_number in range(10):
        thread = f"t{round_number}"
        (pause,) = await agent.start(thread)
        answer = {"decisions": [YES]} if agent.mode == "batched" else YES
        together = Barrier(2)

        def resume(thread: str, by_id: dict[str, Any], together: Barrier) -> None:
            config: RunnableConfig = {"configurable": {"thread_id": thread}}
            together.wait(timeout=30)
            agent.graph.invoke(Command(resume=by_id), config)

        work = [
            asyncio.to_thread(resume, thread, {pause.id: answer}, together)
            for _ in range(2)
        ]
        await asyncio.gather(*work)
        assert len(agent.effects.done) == round_number + 1
        (request,) = agent.requests(thread)
        entry = agent.so.entry_of(request)
        assert entry is not None
        assert (entry.state, entry.attempt) == (EntryState.DONE, 1)


@SYNC
@pytest.mark.row("A4")
async def test_who_loses_a_race_of_answers_is_told_who_won(moved: MakeMoved) -> None:
    agent = moved()
    await agent.start()
    (request,) = agent.requests()
    # Maria decides after the run has seen that the request waits.
    decide = agent.so.decide

    def late(*args: Any, **more: Any) -> Any:  # noqa: ANN401 - the use case's own
        vars(agent.so).pop("decide")
        decide(request.id, Reject(), by=MARIA, digest=request.digest)
        return decide(*args, **more)

    vars(agent.so)["decide"] = late
    with pytest.raises(AlreadyDecided, match=f"rejected by {MARIA.id}"):
        await agent.answer(YES)
    done = await agent.invoke(None)
    assert agent.effects.done == []
    assert "rejected" in said(agent.told(done)[0])


@SYNC
@BATCHED
@pytest.mark.row("A16")
async def test_an_answer_outlives_the_process_that_took_it(
    moved: MakeMoved, database_url: str, tmp_path: Path
) -> None:
    died = _die(database_url, tmp_path, "decided")
    assert died.returncode == 9, died.stderr
    assert not (tmp_path / "paid").exists()
    agent = moved(tools=[paying(tmp_path, fatal=False)])
    (request,) = agent.requests()
    assert (request.status, request.settled_by) == (Status.APPROVED, ANA.id)
    done = await agent.invoke(None)
    assert (tmp_path / "paid").read_text() == "10.0\n"
    assert said(agent.told(done)[0]) == "paid 10.0"


@SYNC
@BATCHED
@pytest.mark.row("A2")
async def test_a_crash_after_the_effect_never_repeats_it(
    moved: MakeMoved, database_url: str, tmp_path: Path
) -> None:
    died = _die(database_url, tmp_path, "paid")
    assert died.returncode == 9, died.stderr
    agent = moved(tools=[paying(tmp_path, fatal=False)])
    (pause,) = pauses(await agent.invoke(None))
    assert pause.value["type"] == "unknown_outcome"
    for resume in ({"decisions": [YES]}, {pause.id: {"decisions": [YES]}}):
        (again,) = pauses(await agent.invoke(Command(resume=resume)))
        assert again.value == pause.value
    entry = pause.value["signoff"]["entry_id"]
    agent.so.settle(entry, happened=True, note="the bank has it", by=MARIA)
    done = await agent.invoke(None)
    assert (tmp_path / "paid").read_text() == "10.0\n"
    assert "the bank has it" in said(agent.told(done)[0])


def _die(url: str, folder: Path, when: str) -> Any:  # noqa: ANN401 - what run_python returns
    script = ROOT / "tests" / "langgraph" / "dropin" / "crash.py"
    env = {"PYTHONPATH": str(ROOT)}
    return run_python(script, url, str(folder), when, env=env)


@tool
def order(item: str) -> str:
    """Order an item; asks for the colour."""
    return f"ordered a {interrupt('Which colour?')} {item}"


@pytest.mark.parametrize("in_between", [False, True], ids=["at_once", "decided_first"])
async def test_a_question_of_the_tool_itself_gets_its_own_answer(
    moved: MakeMoved,
    in_between: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    ask = [turn(call("order", "c1", item="car"))]
    agent = moved(ask, interrupt_on={"order": True}, tools=[order])
    await agent.start()
    if in_between:
        (request,) = agent.requests()
        agent.so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
        (question,) = pauses(await agent.invoke(None))
    else:
        (question,) = pauses(await agent.answer(YES))
    assert question.value == "Which colour?"
    done = await agent.invoke(Command(resume={question.id: "red"}))
    assert said(agent.told(done)[0]) == "ordered a red car"


# What goes round LangChain's own gate, and does not go round this one.


class _Jump(AgentMiddleware):
    @hook_config(can_jump_to=["tools"])
    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:  # noqa: ANN401 - LangChain's
        last = state["messages"][-1]
        calls = isinstance(last, AIMessage) and last.tool_calls
        return {"jump_to": "tools"} if calls else None

    async def aafter_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:  # noqa: ANN401 - LangChain's
        return self.after_model(state, runtime)


@pytest.mark.row("A11")
async def test_a_jump_past_the_gate_is_held_where_the_tool_runs(
    moved: MakeMoved,
) -> None:
    agent = moved(others=[_Jump()])
    (pause,) = await agent.start()
    assert agent.effects.done == []
    if agent.mode == "batched":
        assert [a["name"] for a in pause.value["action_requests"]] == ["pay"]
    done = await agent.answer(NO)
    assert agent.effects.done == []
    assert said(agent.told(done)[0]).endswith("with reason: not now")


@pytest.mark.row("A12")
async def test_a_condition_that_flips_does_not_undo_a_rejection(
    moved: MakeMoved,
) -> None:
    answers = [True]

    def when(_: ToolCallRequest) -> bool:
        return answers[0]

    gated = {"pay": {"allowed_decisions": ["approve", "reject"], "when": when}}
    agent = moved(interrupt_on=gated)
    await agent.start()
    answers[0] = False
    await agent.answer(NO)
    assert agent.effects.done == []


@BATCHED
@pytest.mark.row("A12")
async def test_a_condition_that_flips_does_not_shift_the_answers(
    moved: MakeMoved,
) -> None:
    answers = [False]

    def when(_: ToolCallRequest) -> bool:
        return answers[0]

    gated = {"pay": {"allowed_decisions": ["approve"], "when": when}, "wire": True}
    agent = moved(TWO, interrupt_on=gated)
    (pause,) = await agent.start()
    assert [a["name"] for a in pause.value["action_requests"]] == ["wire"]
    answers[0] = True
    done = await agent.answer(NO)
    # The rejection met the call that was shown; the other is asked where it runs.
    assert agent.effects.done == []
    (again,) = pauses(done)
    assert [a["name"] for a in again.value["action_requests"]] == ["pay"]
    await agent.answer(YES)
    assert [name for name, _ in agent.effects.done] == ["pay"]


@pytest.mark.row("B18")
async def test_a_condition_that_fails_asks(moved: MakeMoved) -> None:
    def when(request: ToolCallRequest) -> bool:
        return bool(request.tool_call["args"]["total"] > 1)

    gated = {"pay": {"allowed_decisions": ["approve"], "when": when}}
    agent = moved(interrupt_on=gated)
    await agent.start()
    (request,) = agent.requests()
    assert request.note is not None
    assert "'total'" in request.note


@pytest.mark.row("C16")
async def test_a_call_that_cannot_be_shown_exactly_is_never_asked_nor_run(
    moved: MakeMoved,
) -> None:
    agent = moved(
        [turn(call("store", "c1", record={"n": 2**60}))], interrupt_on={"store": True}
    )
    done = await agent.invoke({"messages": [HumanMessage("go")]})
    assert pauses(done) == []
    assert agent.effects.done == []
    assert "beyond 2^53" in said(agent.told(done)[0])
    assert agent.requests() == []


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
