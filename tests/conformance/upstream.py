"""LangChain's middleware in both modes, and LangGraph's bare `interrupt()`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Literal

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from tests.conformance.harness import Decision, Place
from tests.langgraph.agents import Scripted


class PerCall:
    """`HumanInTheLoopMiddleware(interrupt_mode="per_call")`."""

    name: str = "HumanInTheLoopMiddleware, per_call"
    column: str = "LangChain, `per_call`"
    hand_built: bool = False
    mode: Literal["batched", "per_call"] = "per_call"
    on: ClassVar[Mapping[str, Any]] = {"pay": True}

    def __init__(self, place: Place, *, ahead: timedelta = timedelta()) -> None:
        """Keeps nothing of its own, so that neither place nor time counts."""

    def agent(
        self,
        model: Scripted,
        tools: Sequence[BaseTool],
        saver: BaseCheckpointSaver[Any] | None,
        *,
        outside: Sequence[Any] = (),
        inside: Sequence[Any] = (),
    ) -> Any:  # noqa: ANN401 - a compiled graph
        gate = HumanInTheLoopMiddleware(dict(self.on), interrupt_mode=self.mode)
        return create_agent(
            model,
            list(tools),
            middleware=[*outside, gate, *inside],
            checkpointer=saver,
        )

    def answer(
        self,
        graph: Any,  # noqa: ANN401 - a compiled graph
        config: RunnableConfig,
        said: Mapping[int, Decision],
    ) -> Command[Any]:
        pauses = graph.get_state(config).interrupts
        by_amount = {pause.value["args"]["amount"]: pause.id for pause in pauses}
        return Command(resume={by_amount[a]: _said(d) for a, d in said.items()})

    def bare_answer(self, decision: Decision) -> Command[Any]:
        return Command(resume=_said(decision))

    def close(self) -> None:
        """Holds nothing."""


class Batched(PerCall):
    """`HumanInTheLoopMiddleware(...)` as it is by default."""

    name = "HumanInTheLoopMiddleware, batched"
    column = "LangChain, `batched`"
    mode = "batched"

    def answer(
        self,
        graph: Any,  # noqa: ANN401 - a compiled graph
        config: RunnableConfig,
        said: Mapping[int, Decision],
    ) -> Command[Any]:
        (pause,) = graph.get_state(config).interrupts
        asked = [one["args"]["amount"] for one in pause.value["action_requests"]]
        decisions = [_said(said[amount]) for amount in asked if amount in said]
        return Command(resume={pause.id: {"decisions": decisions}})

    def bare_answer(self, decision: Decision) -> Command[Any]:
        return Command(resume={"decisions": [_said(decision)]})


class Bare(PerCall):
    """A graph built by hand; each payment asks with `interrupt()` in its tools node."""

    name = "interrupt() in a ToolNode"
    column = "LangGraph `interrupt()`"
    hand_built = True

    def agent(
        self,
        model: Scripted,
        tools: Sequence[BaseTool],
        saver: BaseCheckpointSaver[Any] | None,
        *,
        outside: Sequence[Any] = (),
        inside: Sequence[Any] = (),
    ) -> Any:  # noqa: ANN401 - a compiled graph
        assert not outside
        assert not inside

        def think(state: MessagesState) -> dict[str, Any]:
            return {"messages": [model.invoke(state["messages"])]}

        def route(state: MessagesState) -> str:
            last = state["messages"][-1]
            calls = isinstance(last, AIMessage) and last.tool_calls
            return "tools" if calls else "__end__"

        builder = StateGraph(MessagesState)
        builder.add_node("model", think)
        builder.add_node("tools", ToolNode(list(tools), wrap_tool_call=_asking))
        builder.add_edge(START, "model")
        builder.add_conditional_edges("model", route, ["tools", "__end__"])
        builder.add_edge("tools", "model")
        return builder.compile(checkpointer=saver)


def _asking(request: Any, handler: Any) -> Any:  # noqa: ANN401 - LangGraph's
    """Ask as LangGraph's guide does, then run or refuse."""
    asked = request.tool_call
    if asked["name"] != "pay":
        return handler(request)
    answer = interrupt({"name": asked["name"], "args": asked["args"]})
    if answer["type"] == "reject":
        return ToolMessage("rejected", tool_call_id=asked["id"])
    if answer["type"] == "edit":
        args = answer["edited_action"]["args"]
        request = request.override(tool_call={**asked, "args": args})
    return handler(request)


def _said(decision: Decision) -> dict[str, Any]:
    if isinstance(decision, str):
        return {"type": decision}
    edited = {"name": "pay", "args": dict(decision)}
    return {"type": "edit", "edited_action": edited}
