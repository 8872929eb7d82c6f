"""A7, A14: agents as tools, tools that ask by themselves, one agent twice at once."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool, tool
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from signoff import Approve
from signoff.domain.journal import EntryState
from signoff.langgraph import Runner, gate
from tests.conformance.harness import (
    GO,
    Open,
    Place,
    Tally,
    asking,
    at,
    stage,
    tools,
    waiting,
)
from tests.conformance.ours import Ours, OursByHand
from tests.langgraph.agents import MARIA, Scripted, call, turn

BOTH = pytest.mark.parametrize("system", [Ours, OursByHand], ids=lambda one: one.name)
ASK_TWICE = turn(call("survey", "s1", amount=1), call("pay", "c2", amount=2))


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Place:
    """Both databases."""
    return Place(database_url, tmp_path)


def survey(tally: Tally) -> BaseTool:
    """A tool that itself asks two questions, and does its work after both."""

    @tool("survey")
    def ask(amount: int) -> str:
        """Ask for a colour and a size."""
        colour, size = interrupt("colour?"), interrupt("size?")
        tally.add(f"survey {amount} {colour} {size}")
        return f"{colour} {size}"

    return ask


def questions(graph: Any, thread: str) -> dict[str, str]:  # noqa: ANN401 - a compiled graph
    """The ids of the questions that aren't signoff's, by their text."""
    pauses = graph.get_state(at(thread)).interrupts
    return {one.value: one.id for one in pauses if isinstance(one.value, str)}


@BOTH
@pytest.mark.row("A7")
@pytest.mark.parametrize("wakes", [0, 2])
def test_what_woke_the_thread_does_not_answer_the_tools_own_question(
    system: type[Ours], place: Place, wakes: int
) -> None:
    with stage(system, place) as (one, saver, tally):
        assert isinstance(one, Ours)
        model = Scripted(turns=[turn(call("survey", "s1", amount=1))])
        graph = one.agent(model, [survey(tally)], saver)
        graph.invoke(GO, at("t1"))
        for _ in range(wakes):
            pauses = graph.get_state(at("t1")).interrupts
            graph.invoke(Command(resume={p.id: "blue" for p in pauses}), at("t1"))
        graph.invoke(one.answer(graph, at("t1"), {1: "approve"}), at("t1"))
        for question, answer in (("colour?", "red"), ("size?", "small")):
            assert set(questions(graph, "t1")) == {question}
            assert tally.lines == []
            resume = {questions(graph, "t1")[question]: answer}
            graph.invoke(Command(resume=resume), at("t1"))
        assert tally.lines == ["survey 1 red small"]
        assert waiting(graph, at("t1")) == 0
        (entry,) = one.so.journal()
        assert (entry.state, entry.attempt) == (EntryState.DONE, 1)


@BOTH
@pytest.mark.row("A7")
def test_an_answer_without_an_id_is_not_kept_for_the_tools_own_question(
    system: type[Ours], place: Place
) -> None:
    with stage(system, place) as (one, saver, tally):
        model = Scripted(turns=[turn(call("survey", "s1", amount=1))])
        graph = one.agent(model, [survey(tally)], saver)
        graph.invoke(GO, at("t1"))
        one.answer(graph, at("t1"), {1: "approve"})
        graph.invoke(Command(resume="blue"), at("t1"))
        assert set(questions(graph, "t1")) == {"colour?"}
        assert tally.lines == []


@pytest.mark.row("A7", "A14")
def test_beside_a_tool_that_asks_another_call_waits_on_its_own(place: Place) -> None:
    with stage(Ours, place) as (one, saver, tally):
        own = [survey(tally), *tools(tally)]
        graph = one.agent(Scripted(turns=[ASK_TWICE]), own, saver)
        graph.invoke(GO, at("t1"))
        graph.invoke(one.answer(graph, at("t1"), {1: "approve"}), at("t1"))
        resume = {questions(graph, "t1")["colour?"]: "red"}
        graph.invoke(Command(resume=resume), at("t1"))
        graph.invoke(one.answer(graph, at("t1"), {2: "approve"}), at("t1"))
        assert tally.lines == ["pay 2"]
        resume = {questions(graph, "t1")["size?"]: "small"}
        graph.invoke(Command(resume=resume), at("t1"))
        assert tally.lines == ["pay 2", "survey 1 red small"]


def delegating(inner: Any) -> BaseTool:  # noqa: ANN401 - a compiled graph
    """An agent as a tool."""

    @tool
    def delegate(amount: int) -> str:
        """Hand work to another agent."""
        told = inner.invoke({"messages": [HumanMessage("pay")]})
        return str(told["messages"][-1].content)

    return delegate


@pytest.mark.row("A14")
@pytest.mark.parametrize("inside", [Ours, OursByHand], ids=lambda one: one.name)
@BOTH
def test_an_agent_that_is_a_tool_asks_for_its_own_calls(
    system: Open, inside: Open, place: Place
) -> None:
    with stage(system, place) as (one, saver, tally):
        assert isinstance(one, Ours)
        nested = inside(place)
        assert isinstance(nested, Ours)
        inner = nested.agent(asking(2, 3), tools(tally), None)
        model = Scripted(turns=[turn(call("delegate", "d1", amount=1))])
        graph = one.agent(model, [delegating(inner)], saver)
        graph.invoke(GO, at("t1"))
        for amount in (1, 2, 3):
            assert set(one.asked(at("t1"))) == {amount}
            graph.invoke(one.answer(graph, at("t1"), {amount: "approve"}), at("t1"))
        assert tally.lines == ["pay 2", "pay 3"]
        told = graph.get_state(at("t1")).values["messages"]
        assert [m.content for m in told[-2:]] == ["done", "done"]
        states = {entry.tool: entry.state for entry in one.so.journal()}
        assert states == {"delegate": EntryState.DONE, "pay": EntryState.DONE}
        assert one.so.audit().holds
        nested.close()


@pytest.mark.row("A14")
def test_beside_an_agent_that_is_a_tool_a_call_waits_in_the_same_node(
    place: Place,
) -> None:
    """The nested agent's pause is not put on the account of the outer tools node."""
    with stage(OursByHand, place) as (one, saver, tally):
        assert isinstance(one, Ours)
        inner = one.agent(asking(2), tools(tally), None)
        both = turn(call("delegate", "d1", amount=1), call("pay", "p1", amount=7))
        own = [delegating(inner), *tools(tally)]
        graph = one.agent(Scripted(turns=[both]), own, saver)
        graph.invoke(GO, at("t1"))
        assert set(one.asked(at("t1"))) == {1, 7}
        graph.invoke(one.answer(graph, at("t1"), {1: "approve"}), at("t1"))
        assert set(one.asked(at("t1"))) == {2, 7}
        graph.invoke(one.answer(graph, at("t1"), {7: "approve"}), at("t1"))
        graph.invoke(one.answer(graph, at("t1"), {2: "approve"}), at("t1"))
        graph.invoke(None, at("t1"))
        assert sorted(tally.lines) == ["pay 2", "pay 7"]
        assert waiting(graph, at("t1")) == 0
        told = graph.get_state(at("t1")).values["messages"]
        assert [m.content for m in told[-3:]] == ["done", "paid 7", "done"]


class Fan(TypedDict, total=False):
    """One message list for each branch, and what they paid."""

    messages: list[Any]
    said: Annotated[list[str], operator.add]


@pytest.mark.row("A14")
@BOTH
def test_one_agent_twice_at_once_is_two_agents(system: Open, place: Place) -> None:
    """Even where the model gives both messages and calls the same ids."""
    with stage(system, place) as (one, saver, tally):
        assert isinstance(one, Ours)
        same = AIMessage("", id="m1", tool_calls=[call("pay", "c1", amount=5)])
        inner = one.agent(Scripted(turns=[same]), tools(tally), None)
        builder = StateGraph(Fan)
        builder.add_node("pay", lambda state: {"said": [_last(inner, state)]})
        builder.add_conditional_edges(START, lambda _: [Send("pay", GO)] * 2, ["pay"])
        graph: Any = builder.compile(checkpointer=saver)
        graph.invoke({}, at("t1"))
        first, second = one.so.thread("t1")
        assert first.action_id != second.action_id
        one.answer(graph, at("t1"), {5: "approve"})
        graph.invoke(None, at("t1"))
        assert tally.lines == ["pay 5"]
        graph.invoke(one.answer(graph, at("t1"), {5: "approve"}), at("t1"))
        assert tally.lines == ["pay 5", "pay 5"]
        assert graph.get_state(at("t1")).values["said"] == ["done", "done"]


def _last(inner: Any, state: Fan) -> str:  # noqa: ANN401 - a compiled graph
    return str(inner.invoke({"messages": state["messages"]})["messages"][-1].content)


@pytest.mark.row("A7", "A20")
def test_a_gate_between_a_nodes_own_questions_leaves_each_its_own_answer(
    place: Place,
) -> None:
    with stage(Ours, place) as (one, saver, _):
        assert isinstance(one, Ours)
        so = one.so

        def node(_: Fan) -> Fan:
            before = interrupt("before?")
            passed = [gate(so, name, name).value for name in ("plan", "budget")]
            return {"said": [before, *passed, interrupt("after?")]}

        builder: Any = StateGraph(Fan)
        builder.add_node("node", node)
        builder.add_edge(START, "node")
        graph = builder.compile(checkpointer=saver)
        runner = Runner(so, graph, agent="a")
        runner.start({}, thread_id="t1")
        graph.invoke(Command(resume={questions(graph, "t1")["before?"]: "b"}), at("t1"))
        for name in ("plan", "budget"):
            runner.resume("t1")  # wakes it too early
            (request,) = so.pending().requests
            assert request.tool == name
            so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
            runner.resume("t1")
        assert set(questions(graph, "t1")) == {"after?"}
        runner.resume("t1")  # has nothing to wake
        assert set(questions(graph, "t1")) == {"after?"}
        graph.invoke(Command(resume={questions(graph, "t1")["after?"]: "a"}), at("t1"))
        said = graph.get_state(at("t1")).values["said"]
    assert said == ["b", "plan", "budget", "a"]
