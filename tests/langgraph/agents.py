"""Agents for tests: a model that follows a script, real tools, real checkpoints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.pregel import Pregel
from pydantic import Field

from signoff import Approve, Principal, Request, Signoff
from signoff.domain.requests import Decision
from signoff.langgraph import (
    Outcome,
    Runner,
    SignoffMiddleware,
    guard_tools,
    heal,
    notices,
)

ONE_KIND = pytest.mark.parametrize("kind", ["create_agent"], indirect=True)
BY_HAND = pytest.mark.parametrize("kind", ["guard_tools"], indirect=True)
SYNC = pytest.mark.parametrize("colour", ["sync"], indirect=True)
ASYNC = pytest.mark.parametrize("colour", ["async"], indirect=True)

MARIA = Principal(id="maria@example.com", groups=frozenset({"finance"}))
OTTO = Principal(id="otto@example.com", groups=frozenset({"finance", "ops"}))


def call(name: str, call_id: str, **args: Any) -> ToolCall:  # noqa: ANN401 - JSON values
    """A tool call of the model."""
    return ToolCall(name=name, args=args, id=call_id, type="tool_call")


def turn(*calls: ToolCall) -> AIMessage:
    """A message of the model that calls tools."""
    return AIMessage("", tool_calls=list(calls))


class Scripted(BaseChatModel):
    """Says its next turn, which it finds from the conversation and not from a counter.

    Attributes:
        turns: What it says first, second, ...; after the last one, "done".
        heard: Every conversation that it was given.
        broken: Whether it raises instead, as a provider that is down.
    """

    turns: list[AIMessage]
    broken: bool = False
    heard: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Scripted:  # noqa: ANN401 - LangChain's
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **_: Any,  # noqa: ANN401 - LangChain's
    ) -> ChatResult:
        if self.broken:
            raise ConnectionError("the provider is down")
        self.heard.append(list(messages))
        said = sum(isinstance(message, AIMessage) for message in messages)
        answer = self.turns[said] if said < len(self.turns) else AIMessage("done")
        return ChatResult(generations=[ChatGeneration(message=answer.model_copy())])


@dataclass
class Effects:
    """What the tools did, in order, as `(tool, arguments)`."""

    done: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def of(self, name: str) -> list[dict[str, Any]]:
        """The arguments of every time that one tool ran."""
        return [args for tool_name, args in self.done if tool_name == name]

    def tools(self) -> list[BaseTool]:
        """Tools that note what they do; `look` alone changes nothing."""
        done = self.done

        @tool
        def pay(amount: float, to: str = "ana") -> str:
            """Pay an amount."""
            done.append(("pay", {"amount": amount, "to": to}))
            return f"paid {amount} to {to}"

        @tool
        def wire(amount: int, to: str = "ana") -> str:
            """Pay an amount abroad."""
            done.append(("wire", {"amount": amount, "to": to}))
            return f"wired {amount} to {to}"

        @tool
        def look(what: str) -> str:
            """Look something up."""
            done.append(("look", {"what": what}))
            return f"found {what}"

        @tool
        def store(record: dict[str, Any]) -> str:
            """Store a record."""
            done.append(("store", {"record": record}))
            return "stored"

        @tool
        def fail(how: str) -> str:
            """Raise an error after half of the work."""
            done.append(("fail", {"how": how}))
            raise ConnectionError(how)

        return [pay, wire, look, store, fail]


@dataclass
class Bench:
    """One agent under test, driven from sync or from async code through one surface."""

    so: Signoff
    graph: Pregel[Any]
    runner: Runner
    model: Scripted
    effects: Effects
    colour: str

    async def start(
        self,
        thread: str = "t1",
        text: str = "go",
        *,
        user: str | None = None,
        team: str | None = None,
    ) -> Outcome:
        """Send a user's message and run until the thread rests."""
        message = {"messages": [HumanMessage(text)]}
        if self.colour == "async":
            return await self.runner.astart(
                message, thread_id=thread, user=user, team=team
            )
        return await asyncio.to_thread(
            self.runner.start, message, thread_id=thread, user=user, team=team
        )

    async def resume(self, thread: str = "t1") -> Outcome:
        """Let the thread go on with whatever the store says."""
        if self.colour == "async":
            return await self.runner.aresume(thread)
        return await asyncio.to_thread(self.runner.resume, thread)

    async def invoke(self, value: Any, thread: str = "t1") -> Any:  # noqa: ANN401 - LangGraph's
        """Invoke the bare graph, without the runner's care."""
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        if self.colour == "async":
            return await self.graph.ainvoke(value, config)
        return await asyncio.to_thread(self.graph.invoke, value, config)

    def asked(self, thread: str = "t1") -> list[Request]:
        """The requests of a thread that wait, in the order of their tool calls."""
        page = self.so.pending()
        found = [request for request in page.requests if request.thread == thread]
        return sorted(found, key=lambda request: str(request.proposed))

    def one(self, thread: str = "t1") -> Request:
        """The only request that waits in a thread."""
        (request,) = self.asked(thread)
        return request

    def decide(
        self,
        decision: Decision,
        request: Request | None = None,
        by: Principal = MARIA,
    ) -> Request:
        """Decide as a person who saw exactly what is asked now."""
        seen = self.one() if request is None else request
        return self.so.decide(seen.id, decision, by=by, digest=seen.digest)

    async def approved(self, request: Request | None = None) -> Outcome:
        """Approve and let the thread go on."""
        seen = self.decide(Approve(), request)
        return await self.resume(seen.thread)


def answers(outcome: Outcome) -> list[ToolMessage]:
    """What the model was told about its calls."""
    found: list[BaseMessage] = outcome.values["messages"]
    return [message for message in found if isinstance(message, ToolMessage)]


def said(message: BaseMessage) -> str:
    """A message's text."""
    assert isinstance(message.content, str)
    return message.content


Build = Callable[[Signoff, Scripted, list[BaseTool], Any], Pregel[Any]]


def with_create_agent(
    so: Signoff,
    model: Scripted,
    tools: list[BaseTool],
    saver: Any,  # noqa: ANN401 - any checkpointer
) -> Pregel[Any]:
    """LangChain's agent with signoff as its middleware."""
    graph: Pregel[Any] = create_agent(
        model, tools, middleware=[SignoffMiddleware(so)], checkpointer=saver
    )
    return graph


def with_guard_tools(
    so: Signoff,
    model: Scripted,
    tools: list[BaseTool],
    saver: Any,  # noqa: ANN401 - any checkpointer
) -> Pregel[Any]:
    """A graph built by hand, with a guarded tools node."""

    def think(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        healed = heal(so, state["messages"], config)
        if healed is None:
            news = notices(so).invoke(state, config)["messages"]
            return {"messages": [*news, model.invoke([*state["messages"], *news])]}
        everything = RemoveMessage(id=REMOVE_ALL_MESSAGES)
        return {"messages": [everything, *healed, model.invoke(healed)]}

    def route(state: MessagesState) -> str:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else "__end__"

    builder = StateGraph(MessagesState)
    builder.add_node("model", think)
    builder.add_node("tools", guard_tools(so, tools))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route, ["tools", "__end__"])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


BUILDS: dict[str, Build] = {
    "create_agent": with_create_agent,
    "guard_tools": with_guard_tools,
}


@asynccontextmanager
async def open_saver(
    colour: str, url: str, folder: Path
) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """A real checkpointer beside the store, for the colour that drives the graph."""
    file = str(folder / "threads.db")
    if url.startswith("sqlite") and colour == "async":
        async with AsyncSqliteSaver.from_conn_string(file) as one:
            await one.setup()
            yield one
    elif url.startswith("sqlite"):
        with SqliteSaver.from_conn_string(file) as two:
            two.setup()
            yield two
    elif colour == "async":
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

        async with AsyncPostgresSaver.from_conn_string(url) as three:
            await three.setup()
            yield three
    else:
        from langgraph.checkpoint.postgres import PostgresSaver

        with PostgresSaver.from_conn_string(url) as four:
            four.setup()
            yield four
