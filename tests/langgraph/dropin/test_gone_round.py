"""What goes round LangChain's own gate, and does not go round this one."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents.middleware import (
    AgentMiddleware,
    ToolCallRequest,
    hook_config,
)
from langchain_core.messages import AIMessage, HumanMessage

from tests.langgraph.agents import (
    call,
    said,
    turn,
)
from tests.langgraph.dropin.conftest import (
    BATCHED,
    NO,
    TWO,
    YES,
    MakeMoved,
)
from tests.langgraph.dropin.moved import (
    pauses,
)


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
