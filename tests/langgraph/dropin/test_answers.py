"""Answers to a moved agent that are wrong, late, doubled or lost."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.types import Command, interrupt
from pydantic import ValidationError

from signoff import Approve, Reject
from signoff.domain.errors import (
    AlreadyDecided,
    InvalidEdit,
)
from signoff.domain.journal import EntryState
from signoff.domain.requests import Status
from tests.langgraph.agents import (
    MARIA,
    call,
    said,
    turn,
)
from tests.langgraph.dropin.conftest import (
    BATCHED,
    BY_ID,
    ONCE,
    SYNC,
    TWO,
    YES,
    MakeMoved,
)
from tests.langgraph.dropin.crash import paying
from tests.langgraph.dropin.moved import (
    ANA,
    pauses,
)
from tests.support import ROOT, run_python

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
