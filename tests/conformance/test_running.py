"""A2, A3, A9, A11, A13, A14, A17, A18: what runs, how often, and past which gate."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ToolRetryMiddleware,
    hook_config,
)
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Durability

from signoff import Approve, Edit, NotApplied, Reject, Request, Signoff, allow, review
from signoff.domain.journal import EntryState
from signoff.langgraph import Runner, SignoffMiddleware
from tests.conformance.killed import story
from tests.forked import Forked, forked
from tests.langgraph.agents import (
    MARIA,
    Effects,
    Scripted,
    answers,
    call,
    said,
    turn,
    with_guard_tools,
)

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t1"}}
GO: Any = {"messages": [HumanMessage("go")]}
PAY = [turn(call("pay", "c1", amount=10))]
TRIALS = 40  # the row itself is told 200 times in test_a_rows.py


@pytest.fixture
def so(database_url: str) -> Iterator[Signoff]:
    """A store that asks about everything but `look`."""
    opened = Signoff(database_url, policy=[allow("look"), review("*")])
    yield opened
    opened.close()


def approve(so: Signoff, request: Request) -> None:
    """Approve what is shown now."""
    so.decide(request.id, Approve(), by=MARIA, digest=request.digest)


def only(so: Signoff) -> Request:
    """The only request that waits."""
    (request,) = so.pending().requests
    return request


class Process:
    """The agent of `killed.py`, once for each step of a story."""

    def __init__(self, url: str, folder: Path, durability: Durability = "sync") -> None:
        self.url, self.folder, self.durability = url, folder, durability
        self.effects = folder / "effects"

    def popen(self, doing: str, point: str = "-", ahead: int = 0) -> Forked:
        """Start a step."""
        story = [doing, point, self.durability, str(ahead)]
        args = [self.url, str(self.folder), str(self.effects), *story]
        pipe = subprocess.PIPE
        return forked("tests.conformance.killed", *args, stdout=pipe, stderr=pipe)

    def run(self, doing: str, ahead: int = 0) -> dict[str, Any]:
        """Do a step that nobody dies in, here, and say where the thread rests."""
        return story(
            self.folder,
            self.url,
            str(self.effects),
            doing,
            durability=self.durability,
            ahead=ahead,
        )

    def die(self, point: str) -> None:
        """Resume and be killed at a step."""
        process = self.popen("resume", point)
        process.communicate(timeout=60)
        assert process.returncode == -9

    @property
    def paid(self) -> int:
        """How often the effect happened."""
        return self.effects.read_text().count("\n") if self.effects.exists() else 0


LOST = {"before effect": 0, "after effect": 1, "after record": 0}
KEPT = {"before record": 0, "after result": 1}


@pytest.mark.row("A2")
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("point", LOST)
def test_killed_between_record_and_result_a_person_says_what_happened(
    so: Signoff, database_url: str, tmp_path: Path, point: str, durability: Durability
) -> None:
    process = Process(database_url, tmp_path, durability)
    process.run("start")
    approve(so, only(so))
    process.die(point)
    assert process.paid == LOST[point]
    rest = process.run("resume", ahead=3600)
    assert rest["waiting"][0]["type"] == "unknown_outcome"
    assert process.paid == LOST[point]
    (entry,) = so.journal(state=EntryState.UNKNOWN)
    happened = process.paid == 1
    so.settle(entry.id, happened=happened, note="looked it up", by=MARIA)
    rest = process.run("resume", ahead=3600)
    assert rest == {"waiting": [], "last": "done"}
    assert process.paid == LOST[point]


@pytest.mark.row("A2")
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("point", KEPT)
def test_killed_before_the_record_or_after_the_result_it_just_goes_on(
    so: Signoff, database_url: str, tmp_path: Path, point: str, durability: Durability
) -> None:
    process = Process(database_url, tmp_path, durability)
    process.run("start")
    approve(so, only(so))
    process.die(point)
    assert process.paid == KEPT[point]
    rest = process.run("resume")
    assert rest == {"waiting": [], "last": "done"}
    assert process.paid == 1


@pytest.mark.row("A3")
def test_two_processes_that_resume_at_once_run_it_once(
    so: Signoff, database_url: str, tmp_path: Path
) -> None:
    process = Process(database_url, tmp_path)
    process.run("start")
    approve(so, only(so))
    both = [process.popen("resume") for _ in range(3)]
    outs = [one.communicate(timeout=60) for one in both]
    assert any(one.returncode == 0 for one in both), outs
    assert process.paid == 1
    assert process.run("resume") == {"waiting": [], "last": "done"}
    assert process.paid == 1


@pytest.mark.row("A3")
def test_two_threads_that_resume_at_once_run_it_once(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    for round_ in range(20):
        effects = Effects()
        graph: Any = create_agent(
            Scripted(turns=list(PAY)),
            effects.tools(),
            middleware=[SignoffMiddleware(so)],
            checkpointer=kept,
        )
        config: RunnableConfig = {"configurable": {"thread_id": f"r{round_}"}}
        (pause,) = graph.invoke(GO, config)["__interrupt__"]
        approve(so, only(so))
        start = threading.Barrier(2)

        def resume(
            *,
            graph: Any = graph,  # noqa: ANN401 - a compiled graph
            config: RunnableConfig = config,
            pause: str = pause.id,
            start: threading.Barrier = start,
        ) -> None:
            start.wait()
            graph.invoke(Command(resume={pause: "x"}), config)

        threads = [threading.Thread(target=resume) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert effects.of("pay") == [{"amount": 10, "to": "ana"}]


@pytest.mark.row("A9", "A10")
def test_in_a_plain_tools_node_every_answer_reaches_its_call(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    """Three calls that wait beside one that doesn't, answered one by one at random."""
    dice = random.Random(7)  # noqa: S311 - no secret
    wrong = 0
    for trial in range(TRIALS):
        effects, thread = Effects(), f"t{trial}"
        calls = [call("pay", f"c{n}", amount=n) for n in (1, 2, 3)]
        calls.insert(dice.randrange(4), call("look", "c0", what=thread))
        graph = with_guard_tools(
            so, Scripted(turns=[turn(*calls)]), effects.tools(), kept
        )
        runner = Runner(so, graph, agent="a")
        runner.start(GO, thread_id=thread)
        waiting = sorted(so.pending().requests, key=lambda r: r.args["amount"])
        dice.shuffle(waiting)
        wanted = []
        for request in waiting:
            amount = request.args["amount"]
            choice = dice.choice(["approve", "reject", "edit"])
            decision: Approve | Reject | Edit = Approve()
            if choice == "reject":
                decision = Reject(reason="no")
            elif choice == "edit":
                decision = Edit(args={"amount": amount * 10, "to": "ana"})
            so.decide(request.id, decision, by=MARIA, digest=request.digest)
            if choice != "reject":
                wanted.append(amount * (10 if choice == "edit" else 1))
            if dice.random() < 0.5:
                runner.resume(thread)
        outcome = runner.resume(thread)
        paid = sorted(args["amount"] for args in effects.of("pay"))
        right = paid == sorted(wanted) and effects.of("look") == [{"what": thread}]
        wrong += not (right and outcome.finished)
    assert wrong == 0


@pytest.mark.row("A11")
def test_a_jump_to_the_tools_does_not_run_a_rejected_call(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    class Jump(AgentMiddleware):
        @hook_config(can_jump_to=["tools"])
        def after_model(self, state: Any, runtime: Any) -> Any:  # noqa: ANN401 - LangChain's
            last = state["messages"][-1]
            return {"jump_to": "tools"} if last.tool_calls else None

    effects = Effects()
    graph = create_agent(
        Scripted(turns=list(PAY)),
        effects.tools(),
        middleware=[SignoffMiddleware(so), Jump()],
        checkpointer=kept,
    )
    runner = Runner(so, graph, agent="a")
    assert not runner.start(GO, thread_id="t1").finished
    request = only(so)
    so.decide(request.id, Reject(), by=MARIA, digest=request.digest)
    assert runner.resume("t1").finished
    assert effects.done == []


@pytest.mark.row("A13")
def test_code_that_swallows_the_pause_does_not_get_the_effect(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    class Swallow(AgentMiddleware):
        def wrap_tool_call(self, request: Any, handler: Any) -> Any:  # noqa: ANN401 - LangChain's
            try:
                return handler(request)
            except Exception as error:  # noqa: BLE001 - the mistake that is tested
                return _tool_message(request, f"DEFAULTED: {type(error).__name__}")

    effects = Effects()
    graph = create_agent(
        Scripted(turns=list(PAY)),
        effects.tools(),
        middleware=[Swallow(), SignoffMiddleware(so)],
        checkpointer=kept,
    )
    graph.invoke(GO, CONFIG)
    assert effects.done == []
    assert only(so).args == {"amount": 10}


@pytest.mark.row("A14")
def test_an_agent_in_a_subgraph_gets_its_own_answer(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    effects = Effects()
    builder: Any = StateGraph(MessagesState)
    for name, amount in (("north", 1), ("south", 2)):
        model = Scripted(turns=[turn(call("pay", "c1", amount=amount))])
        guarded = [SignoffMiddleware(so, agent=name)]
        inner = create_agent(model, effects.tools(), middleware=guarded)
        builder.add_node(name, inner)
        builder.add_edge(START, name)
    graph = builder.compile(checkpointer=kept)
    graph.invoke(GO, CONFIG)
    asked = {r.agent: r for r in so.pending().requests}
    assert {name: r.args["amount"] for name, r in asked.items()} == {
        "north": 1,
        "south": 2,
    }
    approve(so, asked["south"])
    request = asked["north"]
    so.decide(request.id, Reject(), by=MARIA, digest=request.digest)
    pauses = graph.get_state(CONFIG).interrupts
    graph.invoke(Command(resume={p.id: "x" for p in pauses}), CONFIG)
    assert [args["amount"] for args in effects.of("pay")] == [2]
    assert graph.get_state(CONFIG).next == ()


@pytest.mark.row("A14")
def test_an_agent_that_is_a_tool_waits_inside_its_own_approved_call(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    effects = Effects()
    inner = create_agent(
        Scripted(turns=list(PAY)),
        effects.tools(),
        middleware=[SignoffMiddleware(so, agent="inner")],
    )

    @tool
    def delegate(what: str) -> str:
        """Hand work to another agent."""
        return str(
            inner.invoke({"messages": [HumanMessage(what)]})["messages"][-1].content
        )

    outer = create_agent(
        Scripted(turns=[turn(call("delegate", "o1", what="pay"))]),
        [delegate],
        middleware=[SignoffMiddleware(so, agent="outer")],
        checkpointer=kept,
    )
    outer.invoke(GO, CONFIG)
    first = only(so)
    assert first.tool == "delegate"
    approve(so, first)
    outer.invoke(_wake(outer), CONFIG)
    second = only(so)
    assert (second.tool, second.agent) == ("pay", "inner")
    assert effects.done == []
    (suspended,) = so.journal(state=EntryState.PREPARED)
    assert suspended.tool == "delegate"
    approve(so, second)
    done = outer.invoke(_wake(outer), CONFIG)
    assert done["messages"][-1].content == "done"
    assert effects.of("pay") == [{"amount": 10, "to": "ana"}]
    assert so.audit().holds


@pytest.mark.row("A17")
@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("first", ["signoff", "retry"])
def test_one_approval_covers_the_stated_attempts(
    database_url: str, kept: BaseCheckpointSaver[Any], first: str, attempts: int
) -> None:
    tries: list[int] = []

    @tool
    def flaky() -> str:
        """Fail twice, then work."""
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("try again")
        return "worked"

    so = Signoff(database_url, policy=[review("*", attempts=attempts)])
    retry = ToolRetryMiddleware(max_retries=5, initial_delay=0.0, jitter=False)
    both: list[Any] = [SignoffMiddleware(so), retry]
    graph = _agent([flaky], both if first == "signoff" else both[::-1], kept)
    runner = Runner(so, graph, agent="a")
    runner.start(GO, thread_id="t1")
    approve(so, only(so))
    outcome = runner.resume("t1")
    assert len(tries) == attempts
    assert outcome.finished
    assert so.pending().requests == ()
    (entry,) = so.journal()
    assert entry.attempt == attempts
    started = [e for e in _events(so) if e == "started"]
    assert len(started) == attempts
    assert entry.state is (EntryState.DONE if attempts == 3 else EntryState.UNKNOWN)
    so.close()


@pytest.mark.row("A17", "C22")
@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ValueError("half done"), EntryState.UNKNOWN),
        (NotApplied("no"), EntryState.FAILED),
    ],
)
def test_a_tool_that_raises_is_unknown_unless_it_says_that_nothing_happened(
    so: Signoff,
    kept: BaseCheckpointSaver[Any],
    error: Exception,
    state: EntryState,
) -> None:
    @tool
    def flaky() -> str:
        """Raise."""
        raise error

    graph = _agent([flaky], [SignoffMiddleware(so)], kept)
    runner = Runner(so, graph, agent="a")
    runner.start(GO, thread_id="t1")
    approve(so, only(so))
    with pytest.raises(type(error)):
        runner.resume("t1")
    (entry,) = so.journal()
    assert entry.state is state
    assert entry.attempt == 1


@pytest.mark.row("A18")
def test_time_travel_returns_the_recorded_result(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    effects = Effects()
    graph = _agent(effects.tools(), [SignoffMiddleware(so)], kept, PAY)
    runner = Runner(so, graph, agent="a")
    runner.start(GO, thread_id="t1")
    approve(so, only(so))
    assert runner.resume("t1").finished
    before = next(s for s in graph.get_state_history(CONFIG) if s.next == ("tools",))
    again = graph.invoke(None, before.config)
    assert again["messages"][-2].content == "paid 10.0 to ana"
    assert len(effects.done) == 1
    assert so.pending().requests == ()


@pytest.mark.row("A18")
def test_a_fork_with_other_arguments_is_asked_about_as_a_new_action(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    effects = Effects()
    graph = _agent(effects.tools(), [SignoffMiddleware(so)], kept, PAY)
    runner = Runner(so, graph, agent="a")
    runner.start(GO, thread_id="t1")
    first = only(so)
    approve(so, first)
    assert runner.resume("t1").finished
    before = next(s for s in graph.get_state_history(CONFIG) if s.next == ("tools",))
    message = before.values["messages"][-1]
    changed = AIMessage("", id=message.id, tool_calls=[call("pay", "c1", amount=10000)])
    fork = graph.update_state(before.config, {"messages": [changed]})
    graph.invoke(None, fork)
    second = only(so)
    assert second.id != first.id
    assert second.args["amount"] == 10000
    assert len(effects.done) == 1


@pytest.mark.row("C13", "C16")
def test_identical_calls_are_two_actions_and_inexact_numbers_are_refused(
    so: Signoff, kept: BaseCheckpointSaver[Any]
) -> None:
    effects = Effects()
    same = [call("pay", "c1", amount=5), call("pay", "c2", amount=5)]
    huge = call("pay", "c3", amount=2**60)
    graph = _agent(effects.tools(), [SignoffMiddleware(so)], kept, [turn(*same, huge)])
    runner = Runner(so, graph, agent="a")
    runner.start(GO, thread_id="t1")
    for request in so.pending().requests:
        approve(so, request)
    outcome = runner.resume("t1")
    assert [args["amount"] for args in effects.of("pay")] == [5, 5]
    refused = said(answers(outcome)[2])
    assert "beyond 2^53" in refused


def _agent(
    tools: list[BaseTool],
    middleware: list[Any],
    kept: BaseCheckpointSaver[Any],
    turns: list[AIMessage] | None = None,
) -> Any:  # noqa: ANN401 - a compiled graph
    script = [turn(call(tools[0].name, "c1"))] if turns is None else list(turns)
    return create_agent(
        Scripted(turns=script), tools, middleware=middleware, checkpointer=kept
    )


def _wake(graph: Any) -> Command[Any]:  # noqa: ANN401 - a compiled graph
    pauses = graph.get_state(CONFIG).interrupts
    return Command(resume={p.id: "x" for p in pauses})


def _events(so: Signoff) -> list[str]:
    with so.store.reading() as reading:
        return [event.fact.kind for event in reading.events("t1")]


def _tool_message(request: Any, text: str) -> Any:  # noqa: ANN401 - LangChain's
    return ToolMessage(text, tool_call_id=request.tool_call["id"])
