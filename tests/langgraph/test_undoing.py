"""Reversible calls in a real agent: they run at once, and the agent learns of undos."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import tools_condition

from signoff import Approve, Edit, Signoff, reversible, review
from signoff.domain.errors import NotReversible
from signoff.domain.journal import Entry, EntryKind, EntryState
from signoff.domain.undoing import Effect, Happened
from signoff.langgraph import guard_tools, notices
from signoff.testing import MovableClock
from tests.langgraph.agents import MARIA, Bench, Scripted, call, said, turn
from tests.langgraph.conftest import MakeBench


@dataclass
class Desk:
    """Tickets that a tool changes; `meanwhile` happens while the tool runs."""

    titles: dict[str, str] = field(default_factory=lambda: {"7": "old", "8": "old"})
    ran: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None
    broken: bool = False

    def tools(self) -> list[BaseTool]:
        @tool
        def rename(ticket: str, title: str) -> dict[str, Any]:
            """Rename a ticket."""
            self.titles[ticket] = title
            self.ran.append(title)
            if self.broken:
                raise ConnectionError("lost the line")
            return {"id": ticket, "title": title}

        @tool
        def pay(amount: int) -> str:
            """Pay."""
            self.meanwhile()
            return f"paid {amount}"

        return [rename, pay]

    def on(self, so: Signoff, *, probe: bool = False) -> None:
        def seen(effect: Effect) -> object:
            title = self.titles[effect.args["ticket"]]
            wanted = effect.args["title"]
            return Happened({"id": effect.args["ticket"]}) if title == wanted else False

        @so.undo(
            "rename",
            capture=lambda args: self.titles[args["ticket"]],
            fingerprint=lambda effect: {"title": self.titles[effect.args["ticket"]]},
            probe=seen if probe else None,
            resource=("ticket",),
        )
        def restore(effect: Effect) -> None:
            self.titles[effect.args["ticket"]] = effect.bound["captured"]


RULES = [reversible("rename", window="10m"), review("pay")]


def renamed_to(title: str) -> dict[str, str]:
    return {"ticket": "7", "title": title}


RENAME = call("rename", "c1", ticket="7", title="new")


def entries(bench: Bench) -> list[Entry]:
    return [*bench.so.journal(thread="t1")]


def notes(conversation: list[BaseMessage]) -> list[BaseMessage]:
    return [m for m in conversation if m.name == "signoff_notice"]


def in_order(conversation: list[BaseMessage]) -> bool:
    """Whether each call is answered before anybody else speaks."""
    waiting = set[str]()
    for message in conversation:
        if isinstance(message, ToolMessage):
            waiting.discard(message.tool_call_id)
        elif waiting:
            return False
        if isinstance(message, AIMessage):
            waiting = {str(one["id"]) for one in message.tool_calls}
    return True


async def test_a_reversible_call_runs_at_once_and_is_journaled(
    bench: MakeBench,
) -> None:
    desk = Desk()
    agent = await bench(RULES, [turn(RENAME)], tools=desk.tools())
    desk.on(agent.so)
    outcome = await agent.start()
    assert outcome.values["messages"][-1].content == "done"
    assert desk.titles["7"] == "new"
    (entry,) = entries(agent)
    assert entry.state is EntryState.DONE
    assert entry.output == {"id": "7", "title": "new"}
    assert (entry.before, entry.after) == ({"title": "old"}, {"title": "new"})
    assert entry.undo_until is not None
    assert agent.so.audit().holds


async def test_without_an_undo_it_is_asked(bench: MakeBench) -> None:
    desk = Desk()
    agent = await bench(RULES, [turn(RENAME)], tools=desk.tools())
    await agent.start()
    assert desk.ran == []
    assert "no undo is registered" in (agent.one().note or "")
    await agent.approved()
    assert desk.ran == ["new"]


async def test_a_capture_that_fails_asks(bench: MakeBench) -> None:
    desk = Desk(titles={})
    agent = await bench(RULES, [turn(RENAME)], tools=desk.tools())
    desk.on(agent.so)
    await agent.start()
    assert desk.ran == []
    assert "KeyError" in (agent.one().note or "")


@pytest.mark.row("C19", "I9")
async def test_a_finished_thread_is_told_on_its_next_turn(bench: MakeBench) -> None:
    desk = Desk()
    agent = await bench(RULES, [turn(RENAME)], tools=desk.tools())
    desk.on(agent.so)
    await agent.start()
    (entry,) = entries(agent)
    undone = agent.so.undo_action(entry.id, by=MARIA, reason="a typo")
    assert undone.state is EntryState.UNDONE
    assert desk.titles["7"] == "old"
    outcome = await agent.start(text="and now?")
    for _ in range(2):
        conversation = outcome.values["messages"]
        (note,) = notes(conversation)
        assert isinstance(note, HumanMessage)
        assert "maria@example.com took back" in said(note)
        assert "a typo" in said(note)
        assert in_order(conversation)
        assert len(notes(agent.model.heard[-1])) == 1
        outcome = await agent.start(text="and then?")
    assert agent.so.agent_notices("t1") == []


@pytest.mark.row("C19", "I9")
async def test_a_paused_thread_keeps_its_pause_and_is_told(bench: MakeBench) -> None:
    desk = Desk()
    turns = [turn(RENAME), turn(call("pay", "c2", amount=5))]
    agent = await bench(RULES, turns, tools=desk.tools())
    desk.on(agent.so)
    await agent.start()
    waiting = agent.one()
    (entry,) = entries(agent)
    agent.so.undo_action(entry.id, by=MARIA)
    assert agent.one() == waiting
    outcome = await agent.approved()
    conversation = outcome.values["messages"]
    assert len(notes(conversation)) == 1
    assert in_order(conversation)
    assert conversation[-1].content == "done"


@pytest.mark.row("C19", "I9")
async def test_a_running_thread_is_told(bench: MakeBench) -> None:
    desk = Desk()
    turns = [turn(RENAME), turn(call("pay", "c2", amount=5))]
    agent = await bench(RULES, turns, tools=desk.tools())
    desk.on(agent.so)

    def undo() -> None:
        entry = next(e for e in entries(agent) if e.tool == "rename")
        agent.so.undo_action(entry.id, by=MARIA)

    desk.meanwhile = undo
    await agent.start()
    outcome = await agent.approved()
    assert len(notes(outcome.values["messages"])) == 1
    assert in_order(outcome.values["messages"])


@pytest.mark.row("C18")
@pytest.mark.parametrize("title", ["new", "newer"])
async def test_what_was_undone_is_asked_about_when_done_again(
    bench: MakeBench, title: str
) -> None:
    desk = Desk()
    again = call("rename", "c2", ticket="7", title=title)
    other = call("rename", "c3", ticket="8", title="x")
    agent = await bench(
        RULES,
        [turn(RENAME), AIMessage("ok"), turn(again), turn(other)],
        tools=desk.tools(),
    )
    desk.on(agent.so)
    await agent.start()
    (entry,) = entries(agent)
    agent.so.undo_action(entry.id, by=MARIA)
    await agent.start(text="go on")
    assert desk.ran == ["new"]
    assert "took the same back" in (agent.one().note or "")
    await agent.approved()
    assert desk.ran == ["new", title, "x"]


@pytest.mark.row("C13")
async def test_two_equal_calls_are_two_and_each_is_undoable(bench: MakeBench) -> None:
    desk = Desk()
    twin = call("rename", "c2", ticket="7", title="new")
    agent = await bench(RULES, [turn(RENAME), turn(twin)], tools=desk.tools())
    desk.on(agent.so)
    await agent.start()
    assert desk.ran == ["new", "new"]
    assert len(entries(agent)) == 2
    run = agent.so.undo_thread("t1", by=MARIA)
    assert [one.state for one in run.done] == [EntryState.UNDONE] * 2


@pytest.mark.row("C22")
async def test_a_tool_that_raises_is_unknown_and_a_probe_tells(
    bench: MakeBench,
) -> None:
    desk = Desk(broken=True)
    agent = await bench(RULES, [turn(RENAME)], tools=desk.tools(), clock=MovableClock())
    desk.on(agent.so, probe=True)
    with pytest.raises(ConnectionError):
        await agent.start()
    (entry,) = entries(agent)
    assert entry.state is EntryState.UNKNOWN
    outcome = await agent.resume()
    (entry,) = entries(agent)
    assert entry.state is EntryState.DONE
    assert desk.ran == ["new"]
    assert outcome.values["messages"][-1].content == "done"
    assert agent.so.undo_action(entry.id, by=MARIA).state is EntryState.UNDONE
    assert agent.so.audit().holds


@pytest.mark.row("C18")
@pytest.mark.parametrize("title", ["new", "newer"])
async def test_an_approved_repetition_has_its_window_too(
    bench: MakeBench, title: str
) -> None:
    desk = Desk()
    again = call("rename", "c2", ticket="7", title="new")
    agent = await bench(
        RULES, [turn(RENAME), AIMessage("ok"), turn(again)], tools=desk.tools()
    )
    desk.on(agent.so)
    await agent.start()
    (entry,) = entries(agent)
    agent.so.undo_action(entry.id, by=MARIA)
    await agent.start(text="go on")
    agent.decide(Approve() if title == "new" else Edit(args=renamed_to(title)))
    await agent.resume()
    assert desk.titles["7"] == title
    _, ran = entries(agent)
    (asked,) = agent.so.thread("t1")
    assert (ran.kind, ran.request_id) == (EntryKind.REVERSIBLE, asked.id)
    assert (ran.before, ran.after) == ({"title": "old"}, {"title": title})
    assert agent.so.audit().holds
    undone = agent.so.undo_action(ran.id, by=MARIA)
    assert (undone.state, desk.titles["7"]) == (EntryState.UNDONE, "old")
    assert agent.so.audit().holds


async def test_what_people_approved_runs_though_it_cannot_be_taken_back(
    bench: MakeBench,
) -> None:
    desk = Desk(titles={})
    agent = await bench(RULES, [turn(RENAME)], tools=desk.tools())
    desk.on(agent.so)
    await agent.start()
    await agent.approved()
    (entry,) = entries(agent)
    assert (entry.kind, entry.undo_until) == (EntryKind.PLAIN, None)
    assert desk.ran == ["new"]
    with pytest.raises(NotReversible):
        agent.so.undo_action(entry.id, by=MARIA)


@pytest.mark.row("C19", "I9")
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_node_tells_a_graph_that_was_built_by_hand(
    database_url: str, *, is_async: bool
) -> None:
    desk, model = Desk(), Scripted(turns=[turn(RENAME)])
    with closing(Signoff(database_url, policy=RULES)) as so:
        desk.on(so)

        def think(state: MessagesState) -> dict[str, Any]:
            return {"messages": [model.invoke(state["messages"])]}

        builder = StateGraph(MessagesState)
        builder.add_node("notices", notices(so))
        builder.add_node("model", think)
        builder.add_node("tools", guard_tools(so, desk.tools()))
        builder.add_edge(START, "notices")
        builder.add_edge("notices", "model")
        builder.add_conditional_edges("model", tools_condition)
        builder.add_edge("tools", "notices")
        graph = builder.compile(checkpointer=InMemorySaver())
        config: RunnableConfig = {"configurable": {"thread_id": "t1"}}

        async def say(text: str) -> list[BaseMessage]:
            sent: Any = {"messages": [HumanMessage(text)]}
            if is_async:
                outcome = await graph.ainvoke(sent, config)
            else:
                outcome = await asyncio.to_thread(graph.invoke, sent, config)
            found: list[BaseMessage] = outcome["messages"]
            return found

        await say("go")
        (entry,) = so.journal(thread="t1")
        so.undo_action(entry.id, by=MARIA)
        for _ in range(2):
            conversation = await say("and now?")
            assert len(notes(conversation)) == 1
            assert in_order(conversation)
        assert so.agent_notices("t1") == []
