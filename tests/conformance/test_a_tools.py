"""What tools and graphs may be like: the gate stands before all of them alike."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import (
    BaseTool,
    InjectedToolCallId,
    StructuredTool,
    ToolException,
    tool,
)
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command

from signoff import Approve, NotApplied, Request, Signoff, review
from signoff.domain.errors import StorageUnavailable
from signoff.domain.journal import EntryState
from signoff.langgraph import SignoffMiddleware, guard_tools
from tests.conformance.harness import GO, Place, asking, at, stage, tools
from tests.conformance.ours import Ours, OursByHand
from tests.langgraph.agents import MARIA, Scripted, call, turn

BOTH = pytest.mark.parametrize("system", [Ours, OursByHand], ids=lambda one: one.name)


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Place:
    """Both databases."""
    return Place(database_url, tmp_path)


@pytest.fixture
def so(database_url: str) -> Iterator[Signoff]:
    """A store that asks about everything."""
    opened = Signoff(database_url, policy=[review("*")])
    yield opened
    opened.close()


def approve(so: Signoff) -> Request:
    """Approve the only request that waits."""
    (request,) = so.pending().requests
    return so.decide(request.id, Approve(), by=MARIA, digest=request.digest)


def told(graph: Any, thread: str = "t1") -> list[ToolMessage]:  # noqa: ANN401 - a compiled graph
    """What the model was told about its calls."""
    messages = graph.get_state(at(thread)).values["messages"]
    return [message for message in messages if isinstance(message, ToolMessage)]


def one_call(name: str, **args: Any) -> Scripted:  # noqa: ANN401 - JSON values
    """A model that calls one tool once."""
    return Scripted(turns=[turn(call(name, "c1", **args))])


@BOTH
@pytest.mark.row("A16", "A18")
def test_a_command_of_a_tool_is_applied_once_and_kept(
    system: type[Ours], place: Place
) -> None:
    ran: list[int] = []

    @tool
    def note(amount: int, tool_call_id: Annotated[str, InjectedToolCallId]) -> Any:  # noqa: ANN401 - LangGraph's Command
        """Note an amount."""
        ran.append(amount)
        noted = ToolMessage(f"noted {amount}", tool_call_id=tool_call_id)
        return Command(update={"messages": [noted]})

    with stage(system, place) as (one, saver, _):
        assert isinstance(one, Ours)
        graph = one.agent(one_call("note", amount=3), [note], saver)
        graph.invoke(GO, at("t1"))
        graph.invoke(one.answer(graph, at("t1"), {3: {"amount": 4}}), at("t1"))
        (entry,) = one.so.journal()
        assert entry.state is EntryState.DONE
        assert entry.summary is not None
        assert "noted 4" in entry.summary
        history = graph.get_state_history(at("t1"))
        before = next(s for s in history if s.next == ("tools",))
        graph.invoke(None, before.config)
        assert ran == [4]
        (answer,) = told(graph)
        assert "a reviewer changed this call" in str(answer.content)
        assert str(answer.content).endswith("noted 4")


@BOTH
async def test_an_async_only_tool_waits_like_any_other(
    system: type[Ours], sqlite_url: str, tmp_path: Path
) -> None:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    place = Place(sqlite_url, tmp_path)

    @tool
    async def pay(amount: int) -> str:
        """Pay an amount."""
        place.tally.add(f"pay {amount}")
        return f"paid {amount}"

    one = system(place)
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "t.db")) as saver:
        graph = one.agent(asking(10), [pay], saver)
        await graph.ainvoke(GO, at("t1"))
        assert place.tally.lines == []
        approve(one.so)
        await graph.ainvoke(None, at("t1"))
        assert place.tally.lines == ["pay 10"]
    one.close()


class Ledgered(MessagesState):
    """A state with something for tools."""

    account: str


def test_what_a_tool_is_given_by_the_graph_is_neither_asked_nor_lost(
    so: Signoff, place: Place
) -> None:
    got: list[Any] = []

    @tool
    def transfer(
        amount: int,
        state: Annotated[dict[str, Any], InjectedState],
        store: Annotated[BaseStore, InjectedStore()],
        runtime: ToolRuntime,
    ) -> str:
        """Transfer an amount from the account of the conversation."""
        store.put(("paid",), runtime.tool_call_id or "", {"amount": amount})
        got.append((amount, state["account"], runtime.tool_call_id))
        return "transferred"

    model, shared = one_call("transfer", amount=5), InMemoryStore()
    builder = StateGraph(Ledgered)
    builder.add_node("model", lambda s: {"messages": [model.invoke(s["messages"])]})
    builder.add_node("tools", guard_tools(so, [transfer]))
    builder.add_edge(START, "model")
    builder.add_edge("model", "tools")
    with place.saver() as saver:
        graph = builder.compile(checkpointer=saver, store=shared)
        graph.invoke({**GO, "account": "ana"}, at("t1"))  # type: ignore[call-overload]  # LangGraph's types want the class
        (request,) = so.pending().requests
        assert request.args == {"amount": 5}
        assert request.schema is not None
        assert set(request.schema["properties"]) == {"amount"}
        approve(so)
        graph.invoke(None, at("t1"))
    assert got == [(5, "ana", "c1")]
    found = shared.get(("paid",), "c1")
    assert found is not None
    assert found.value == {"amount": 5}


@BOTH
def test_a_tool_of_a_json_schema_is_shown_with_it(
    system: type[Ours], place: Place
) -> None:
    """As MCP servers describe theirs."""
    schema = {
        "title": "pay",
        "type": "object",
        "properties": {"amount": {"type": "integer"}},
        "required": ["amount"],
    }

    def pay(amount: int) -> str:
        place.tally.add(f"pay {amount}")
        return "paid"

    described = StructuredTool(
        name="pay", description="Pay an amount.", args_schema=schema, func=pay
    )
    with stage(system, place) as (one, saver, tally):
        assert isinstance(one, Ours)
        graph = one.agent(asking(10), [described], saver)
        graph.invoke(GO, at("t1"))
        request = one.asked(at("t1"))[10]
        assert request.schema is not None
        assert request.schema["required"] == ["amount"]
        graph.invoke(one.answer(graph, at("t1"), {10: {"amount": 9}}), at("t1"))
        assert tally.lines == ["pay 9"]


@BOTH
@pytest.mark.row("B17")
def test_a_tool_that_the_agent_does_not_have_is_held_and_never_runs(
    system: type[Ours], place: Place
) -> None:
    with stage(system, place) as (one, saver, tally):
        assert isinstance(one, Ours)
        model = one_call("drop_table", amount=1)
        graph = one.agent(model, tools(tally), saver)
        graph.invoke(GO, at("t1"))
        request = one.asked(at("t1"))[1]
        assert request.note is not None
        assert "no tool of this name" in request.note
        graph.invoke(one.answer(graph, at("t1"), {1: "approve"}), at("t1"))
        (answer,) = told(graph)
        assert answer.status == "error"
        assert "drop_table is not a valid tool" in str(answer.content)


class Bare(TypedDict):
    """Messages as they come: nothing gives them ids."""

    messages: Annotated[list[AnyMessage], operator.add]


def test_messages_without_ids_are_told_apart_by_their_place(
    so: Signoff, place: Place
) -> None:
    """Two turns call the same with the same id: two actions, each asked about."""
    same = [turn(call("pay", "c1", amount=5)), turn(call("pay", "c1", amount=5))]
    model, own = Scripted(turns=same), tools(place.tally)

    def think(state: Bare) -> Bare:
        said = model.invoke(state["messages"])
        said.id = None
        return {"messages": [said]}

    def route(state: Bare) -> str:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else "end"

    builder = StateGraph(Bare)
    builder.add_node("model", think)
    builder.add_node("tools", guard_tools(so, own))
    builder.add_node("end", lambda _: {"messages": []})
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route, ["tools", "end"])
    builder.add_edge("tools", "model")
    with place.saver() as saver:
        graph = builder.compile(checkpointer=saver)
        graph.invoke({"messages": [HumanMessage("go")]}, at("t1"))
        for turns in (1, 2):
            assert len(place.tally.lines) == turns - 1
            approve(so)
            graph.invoke(None, at("t1"))
            assert place.tally.lines == ["pay 5"] * turns
    first, second = so.thread("t1")
    assert first.action_id != second.action_id


@BOTH
@pytest.mark.row("C13")
def test_a_call_id_that_is_used_again_in_a_later_turn_is_another_call(
    system: type[Ours], place: Place
) -> None:
    same = [turn(call("pay", "c1", amount=5)), turn(call("pay", "c1", amount=5))]
    with stage(system, place) as (one, saver, tally):
        assert isinstance(one, Ours)
        graph = one.agent(Scripted(turns=same), tools(tally), saver)
        graph.invoke(GO, at("t1"))
        for turns in (1, 2):
            assert len(tally.lines) == turns - 1
            graph.invoke(one.answer(graph, at("t1"), {5: "approve"}), at("t1"))
            assert tally.lines == ["pay 5"] * turns


@BOTH
@pytest.mark.row("C16")
@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"amount": 2**53 + 1}, "beyond 2^53"),
        ({"amount": 1, "weight": float("nan")}, "nan is not a JSON number"),
        ({"amount": 1, "weight": float("inf")}, "inf is not a JSON number"),
    ],
    ids=["integer", "nan", "infinity"],
)
def test_a_number_that_cannot_be_shown_exactly_is_not_run_and_the_model_is_told(
    system: type[Ours], place: Place, args: dict[str, Any], reason: str
) -> None:
    @tool
    def pay(amount: int, weight: float = 0.0) -> str:
        """Pay an amount."""
        place.tally.add(f"pay {amount} {weight}")
        return "paid"

    with stage(system, place) as (one, saver, tally):
        assert isinstance(one, Ours)
        graph = one.agent(one_call("pay", **args), [pay], saver)
        graph.invoke(GO, at("t1"))
        (answer,) = told(graph)
        assert answer.status == "error"
        assert reason in str(answer.content)
        assert tally.lines == []
        assert list(one.so.thread("t1")) == []


def by_hand(
    so: Signoff,
    own: list[BaseTool],
    saver: Any,  # noqa: ANN401 - any checkpointer
    **options: Any,  # noqa: ANN401 - ToolNode's
) -> Any:  # noqa: ANN401 - a compiled graph
    """A tools node with options of its own, after a model that pays 10."""
    model = one_call(own[0].name, amount=10)
    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda s: {"messages": [model.invoke(s["messages"])]})
    builder.add_node("tools", guard_tools(so, own, **options))
    builder.add_edge(START, "model")
    builder.add_edge("model", "tools")
    return builder.compile(checkpointer=saver)


@pytest.mark.row("A13")
def test_a_node_that_handles_errors_does_not_swallow_the_pause(
    so: Signoff, place: Place
) -> None:
    with place.saver() as saver:
        graph = by_hand(so, tools(place.tally), saver, handle_tool_errors=True)
        assert len(graph.invoke(GO, at("t1"))["__interrupt__"]) == 1
        assert place.tally.lines == []
        approve(so)
        graph.invoke(None, at("t1"))
        assert place.tally.lines == ["pay 10"]


@pytest.mark.row("A13", "C23")
def test_what_is_wrong_with_the_store_is_not_told_to_the_model(
    so: Signoff,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And a call that can't be recorded doesn't run, whoever handles the errors."""
    with place.saver() as saver:
        graph = by_hand(so, tools(place.tally), saver, handle_tool_errors=True)
        graph.invoke(GO, at("t1"))
        approve(so)

        def down(*_: object, **__: object) -> None:
            raise StorageUnavailable("postgresql://user@db.internal/x", "no route")

        with monkeypatch.context() as broken:
            broken.setattr(so.store, "writing", down)
            error = attempt_of(graph)
        assert "could not be recorded, so it was not run" in error
        assert "db.internal" not in error
        assert "db.internal" in caplog.text
        assert place.tally.lines == []


def attempt_of(graph: Any) -> str:  # noqa: ANN401 - a compiled graph
    """What comes of a resume: an error's text, or what the model is told."""
    try:
        graph.invoke(None, at("t1"))
    except Exception as error:  # noqa: BLE001 - told to the caller
        return str(error)
    return str(told(graph)[-1].content)


@pytest.mark.row("A17", "C22")
@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ToolException("half done"), EntryState.UNKNOWN),
        (NotApplied("refused by the bank"), EntryState.FAILED),
    ],
    ids=["raised", "not applied"],
)
def test_an_error_that_the_node_handles_is_journaled_as_what_it_is(
    so: Signoff, place: Place, error: Exception, state: EntryState
) -> None:
    @tool
    def pay(amount: int) -> str:
        """Pay an amount."""
        place.tally.add(f"pay {amount}")
        raise error

    with place.saver() as saver:
        graph = by_hand(so, [pay], saver, handle_tool_errors=True)
        graph.invoke(GO, at("t1"))
        approve(so)
        graph.invoke(None, at("t1"))
        (entry,) = so.journal()
        assert entry.state is state
        assert str(error) in (entry.summary or "")
        assert place.tally.lines == ["pay 10"]
        assert graph.get_state(at("t1")).interrupts == ()
        assert str(error) in str(told(graph)[-1].content)


@pytest.mark.row("A2", "C22")
def test_a_run_that_fails_in_the_tool_goes_on_only_when_a_person_has_said_what_happened(
    so: Signoff, place: Place
) -> None:
    @tool
    def pay(amount: int) -> str:
        """Pay an amount."""
        place.tally.add(f"pay {amount}")
        raise ConnectionError("half done")

    with place.saver() as saver:
        graph: Any = create_agent(
            asking(10), [pay], middleware=[SignoffMiddleware(so)], checkpointer=saver
        )
        graph.invoke(GO, at("t1"))
        approve(so)
        with pytest.raises(ConnectionError):
            graph.invoke(None, at("t1"))
        for _ in range(2):
            graph.invoke(None, at("t1"))
            (pause,) = graph.get_state(at("t1")).interrupts
            assert pause.value["type"] == "unknown_outcome"
        (entry,) = so.journal()
        so.settle(entry.id, happened=True, note="seen at the bank", by=MARIA)
        graph.invoke(None, at("t1"))
        assert "seen at the bank" in str(told(graph)[-1].content)
        assert graph.get_state(at("t1")).values["messages"][-1].content == "done"
        assert place.tally.lines == ["pay 10"]


@pytest.mark.row("A14")
def test_two_agents_of_one_process_and_store_keep_their_calls_apart(
    so: Signoff, place: Place
) -> None:
    """Even where their models give the same ids to what they say and call."""
    same = AIMessage("", id="m1", tool_calls=[call("pay", "c1", amount=5)])
    with place.saver() as saver:
        graphs: dict[str, Any] = {}
        for name in ("north", "south"):
            graphs[name] = create_agent(
                Scripted(turns=[same]),
                tools(place.tally),
                middleware=[SignoffMiddleware(so, agent=name)],
                checkpointer=saver,
            )
            graphs[name].invoke(GO, at(name))
        asked = {request.agent: request for request in so.pending().requests}
        south = asked["south"]
        so.decide(south.id, Approve(), by=MARIA, digest=south.digest)
        for name, graph in graphs.items():
            graph.invoke(None, at(name))
        assert len(told(graphs["south"], "south")) == 1
        assert told(graphs["north"], "north") == []
    assert place.tally.lines == ["pay 5"]
