"""A1, A4-A8, A12, A15, A16, A19, A20: pausing, and what a resume value can't do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from signoff import (
    Approve,
    Edit,
    Filter,
    Principal,
    Reject,
    Request,
    Signoff,
    Status,
    allow,
    review,
)
from signoff.domain.errors import (
    AlreadyDecided,
    DigestMismatch,
    NoCheckpointer,
    UnknownThread,
)
from signoff.langgraph import Runner, SignoffMiddleware, gate, guard_tools
from tests.langgraph.agents import (
    MARIA,
    ONE_KIND,
    OTTO,
    SYNC,
    Effects,
    Scripted,
    answers,
    call,
    said,
    turn,
)
from tests.langgraph.conftest import MakeBench

RULES = [review("*")]
PAY = [turn(call("pay", "c1", amount=10))]
CONFIG: RunnableConfig = {"configurable": {"thread_id": "t1"}}

MALFORMED: list[Any] = [
    "approve",
    {"decisions": "approve"},
    [],
    {"decisions": [{"type": "approve"}] * 5},
    {"decisions": []},
    {"decisions": [{"type": "maybe"}]},
    {"decisions": [{}]},
    True,
    [{"type": "approve"}],
    {"type": "approve"},
    {"decisions": [{"type": "edit"}]},
    {"decisions": [{"type": "respond"}]},
    0,
]


class Stage(TypedDict):
    """The state of a staged graph."""

    plan: Any


@pytest.fixture
def so(database_url: str) -> Any:  # noqa: ANN401 - closes what it yields
    """A store that asks about everything."""
    opened = Signoff(database_url, policy=RULES)
    yield opened
    opened.close()


def only(so: Signoff) -> Request:
    """The only request that waits."""
    (request,) = so.pending().requests
    return request


def approve(so: Signoff, request: Request) -> None:
    """Approve what is shown now."""
    so.decide(request.id, Approve(), by=MARIA, digest=request.digest)


@pytest.mark.row("A1")
def test_a_stage_makes_its_plan_once_and_gets_the_approved_one(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    made: list[int] = []

    def plan() -> dict[str, int]:
        made.append(len(made) + 1)
        return {"plan": len(made)}

    def stage(_: Stage) -> Stage:
        passed = gate(so, "plan_review", plan, question="Approve the plan?")
        return {"plan": passed.value}

    builder: Any = StateGraph(Stage)
    builder.add_node("stage", stage)
    builder.add_edge(START, "stage")
    graph = builder.compile(checkpointer=kept)
    (pause,) = graph.invoke({}, CONFIG)["__interrupt__"]
    assert pause.value["payload"] == {"plan": 1}
    for _ in range(3):
        graph.invoke(None, CONFIG)
    approve(so, only(so))
    assert graph.invoke(Command(resume={pause.id: "x"}), CONFIG)["plan"] == {"plan": 1}
    assert made == [1]


@pytest.mark.row("A1")
def test_an_edited_plan_is_the_one_that_goes_on(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    def stage(_: Stage) -> Stage:
        return {"plan": gate(so, "plan_review", {"steps": 3}).value}

    builder: Any = StateGraph(Stage)
    builder.add_node("stage", stage)
    builder.add_edge(START, "stage")
    graph = builder.compile(checkpointer=kept)
    graph.invoke({}, CONFIG)
    request = only(so)
    edit = Edit(args={"value": {"steps": 2}})
    so.decide(request.id, edit, by=MARIA, digest=request.digest)
    assert graph.invoke(None, CONFIG)["plan"] == {"steps": 2}


@pytest.mark.row("A1")
def test_a_task_before_the_pause_is_not_made_again(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    made: list[int] = []

    @task
    def draft() -> int:
        made.append(1)
        return len(made)

    @entrypoint(checkpointer=kept)
    def work(_: dict[str, Any]) -> Any:  # noqa: ANN401 - what was approved
        return gate(so, "draft", draft().result()).value

    work.invoke({}, CONFIG)
    approve(so, only(so))
    assert work.invoke(Command(resume="x"), CONFIG) == 1
    assert made == [1]


@pytest.mark.row("A20")
def test_every_gate_of_a_node_is_shown_in_its_turn(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    def stage(_: Stage) -> Stage:
        values = [gate(so, f"page {n}", n).value for n in range(3)]
        return {"plan": values}

    builder: Any = StateGraph(Stage)
    builder.add_node("stage", stage)
    builder.add_edge(START, "stage")
    graph = builder.compile(checkpointer=kept)
    runner = Runner(so, graph, agent="a")
    outcome = runner.start({}, thread_id="t1")
    shown = []
    while not outcome.finished:
        shown.append(outcome.waiting[0]["name"])
        approve(so, only(so))
        outcome = runner.resume("t1")
    assert shown == ["page 0", "page 1", "page 2"]
    assert outcome.values["plan"] == [0, 1, 2]


@pytest.mark.row("A20", "A10")
async def test_all_calls_of_a_turn_are_shown_at_once(bench: MakeBench) -> None:
    calls = [call("pay", f"c{n}", amount=n) for n in range(1, 5)]
    agent = await bench(RULES, [turn(*calls)])
    await agent.start()
    assert [r.args["amount"] for r in agent.asked()] == [1, 2, 3, 4]


@pytest.mark.row("A4")
@SYNC
async def test_of_approve_and_reject_at_once_one_wins_and_the_other_is_told(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    for round_ in range(10):
        thread = f"t{round_}"
        await agent.start(thread)
        request = agent.one(thread)
        told: list[AlreadyDecided] = []
        both = threading.Barrier(2)

        def say(
            decision: Approve | Reject,
            by: Principal,
            *,
            request: Request = request,
            both: threading.Barrier = both,
            told: list[AlreadyDecided] = told,
        ) -> None:
            both.wait()
            try:
                agent.so.decide(request.id, decision, by=by, digest=request.digest)
            except AlreadyDecided as error:
                told.append(error)

        _together(partial(say, Approve(), MARIA), partial(say, Reject(), OTTO))
        outcome = await agent.resume(thread)
        settled = agent.so.get(request.id)
        assert outcome.finished
        assert [(e.by, e.outcome) for e in told] == [
            (settled.settled_by, settled.status.value)
        ]
    paid = len(agent.effects.done)
    approved = [r for r in _all(agent.so) if r.status is Status.APPROVED]
    assert paid == len(approved)


@pytest.mark.row("A5")
@pytest.mark.parametrize("value", MALFORMED, ids=repr)
@SYNC
async def test_a_malformed_resume_changes_nothing(
    bench: MakeBench, value: object
) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    request = agent.one()
    await agent.invoke(Command(resume=value))
    pauses = agent.graph.get_state(CONFIG).interrupts
    await agent.invoke(Command(resume={pauses[0].id: value}))
    assert agent.effects.done == []
    assert agent.one() == request
    outcome = await agent.approved(request)
    assert outcome.finished
    assert len(agent.effects.done) == 1


@pytest.mark.row("A6")
@SYNC
async def test_a_late_answer_does_not_approve_a_bigger_call(bench: MakeBench) -> None:
    turns = [*PAY, turn(call("pay", "c2", amount=10000))]
    agent = await bench(RULES, turns)
    await agent.start()
    small = agent.one()
    agent.decide(Reject(reason="not now"), small)
    await agent.resume()
    big = agent.one()
    assert big.args["amount"] == 10000
    await agent.invoke(Command(resume={"type": "approve"}))
    with pytest.raises(AlreadyDecided):
        agent.so.decide(small.id, Approve(), by=OTTO, digest=small.digest)
    with pytest.raises(DigestMismatch):
        agent.so.decide(big.id, Approve(), by=OTTO, digest=small.digest)
    assert agent.effects.done == []
    assert agent.one() == big


@pytest.mark.row("A7")
@SYNC
async def test_an_answer_sent_twice_leaves_the_next_question_open(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, [*PAY, turn(call("pay", "c2", amount=20))])
    await agent.start()
    (pause,) = agent.graph.get_state(CONFIG).interrupts
    first = agent.one()
    approve(agent.so, first)
    for _ in range(2):
        await agent.invoke(Command(resume={pause.id: "x"}))
        await agent.invoke(None)
        approve(agent.so, first)
    assert agent.effects.of("pay") == [{"amount": 10, "to": "ana"}]
    assert agent.one().args["amount"] == 20


@pytest.mark.row("A8")
@ONE_KIND
async def test_a_resume_of_an_unknown_thread_starts_nothing(bench: MakeBench) -> None:
    agent = await bench(RULES, PAY)
    with pytest.raises(UnknownThread):
        await agent.invoke(Command(resume="approve"), "never seen")
    with pytest.raises(UnknownThread):
        await agent.resume("never seen")
    assert agent.model.heard == []


@pytest.mark.row("A12")
@SYNC
async def test_a_condition_that_flips_does_not_run_a_rejected_call(
    bench: MakeBench,
) -> None:
    risky = [True]
    agent = await bench(
        [review("*", when=lambda _: risky[0]), allow("*")],
        PAY,
    )
    await agent.start()
    request = agent.one()
    risky[0] = False
    agent.decide(Reject(reason="no"), request)
    outcome = await agent.resume()
    assert outcome.finished
    assert agent.effects.done == []
    assert "no" in said(answers(outcome)[0])


@pytest.mark.row("A15")
async def test_a_message_while_it_waits_keeps_the_thread_valid(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    request = agent.one()
    outcome = await agent.start(text="never mind, what is the weather?")
    assert outcome.finished
    settled = agent.so.get(request.id)
    assert settled.status is Status.CANCELLED
    messages = outcome.values["messages"]
    kinds = [type(message) for message in messages]
    assert kinds == [HumanMessage, AIMessage, ToolMessage, HumanMessage, AIMessage]
    assert "cancelled" in said(messages[2])
    heard = agent.model.heard[-1]
    assert [type(message) for message in heard] == kinds[:-1]
    with pytest.raises(AlreadyDecided):
        approve(agent.so, request)
    assert agent.effects.done == []


@pytest.mark.row("A16")
async def test_an_approval_outlives_a_run_that_fails_before_the_effect(
    database_url: str, kept: BaseCheckpointSaver[Any]
) -> None:
    broken, effects = [True], Effects()

    class Fails(AgentMiddleware):
        def wrap_tool_call(self, request: Any, handler: Any) -> Any:  # noqa: ANN401 - LangChain's
            if broken[0] and request.runtime.config["configurable"].get(
                "__pregel_resuming"
            ):
                raise ConnectionError("the network is down")
            return handler(request)

    so = Signoff(database_url, policy=RULES)
    graph = create_agent(
        Scripted(turns=list(PAY)),
        effects.tools(),
        middleware=[Fails(), SignoffMiddleware(so)],
        checkpointer=kept,
    )
    runner = Runner(so, graph, agent="a")
    runner.start({"messages": [HumanMessage("go")]}, thread_id="t1")
    approve(so, only(so))
    with pytest.raises(ConnectionError):
        runner.resume("t1")
    assert effects.done == []
    broken[0] = False
    assert runner.resume("t1").finished
    assert len(effects.done) == 1
    so.close()


@pytest.mark.row("A19")
def test_a_graph_without_a_checkpointer_is_refused_with_the_cure(so: Signoff) -> None:
    effects, model = Effects(), Scripted(turns=list(PAY))
    agent = create_agent(model, effects.tools(), middleware=[SignoffMiddleware(so)])
    message: Any = {"messages": [HumanMessage("go")]}
    with pytest.raises(NoCheckpointer, match="checkpointer="):
        agent.invoke(message, CONFIG)
    assert model.heard == []
    assert effects.done == []


@pytest.mark.row("A19")
def test_a_gate_without_a_checkpointer_is_refused_with_the_cure(so: Signoff) -> None:
    builder: Any = StateGraph(Stage)
    builder.add_node("stage", lambda _: {"plan": gate(so, "plan", 1).value})
    builder.add_edge(START, "stage")
    with pytest.raises(NoCheckpointer, match="checkpointer="):
        builder.compile().invoke({}, CONFIG)


@pytest.mark.row("A19")
def test_a_tools_node_without_a_checkpointer_is_refused(so: Signoff) -> None:
    effects = Effects()
    builder: Any = StateGraph(MessagesState)
    builder.add_node("tools", guard_tools(so, effects.tools()))
    builder.add_edge(START, "tools")
    graph = builder.compile()
    with pytest.raises(NoCheckpointer):
        graph.invoke({"messages": [turn(call("pay", "c1", amount=1))]}, CONFIG)
    assert effects.done == []
    assert so.pending().requests == ()


def _all(so: Signoff) -> list[Request]:
    wanted = Filter(status=None, order="newest", limit=200)
    return list(so.pending(wanted).requests)


def _together(*jobs: Callable[[], None]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
