"""A pause holds agents at the next action, and lifting lets the same call go on."""

import subprocess
from pathlib import Path
from time import monotonic
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from sqlalchemy import text

from signoff import Approve, Signoff, allow, review
from signoff.clock import Clock
from signoff.domain.errors import CallNotRecorded
from signoff.langgraph import Runner, gate
from signoff.storage import SqlStore
from tests.forked import forked
from tests.langgraph.agents import (
    BY_HAND,
    MARIA,
    ONE_KIND,
    OTTO,
    SYNC,
    Bench,
    answers,
    call,
    said,
    turn,
)
from tests.langgraph.conftest import MakeBench
from tests.support import wait_until, wait_until_async

LOOK = [turn(call("look", "c1", what="a"))]
PAY = [turn(call("pay", "c1", amount=5))]


def held(agent: Bench, waiting: tuple[Any, ...]) -> list[str]:
    """The pauses that an outcome's threads wait for; each pause names its call."""
    (value,) = waiting
    ours = value["signoff"]
    return [one["pause"] for one in ours.get("calls", [ours])]


async def test_an_allowed_call_waits_and_then_runs_once(bench: MakeBench) -> None:
    agent = await bench([allow("*")], LOOK)
    made = agent.so.pause(by=MARIA, tool="l*", reason="strange answers")
    outcome = await agent.start()
    assert held(agent, outcome.waiting) == [made.id]
    assert "strange answers" in str(outcome.waiting)
    assert "maria@example.com" in str(outcome.waiting)
    assert agent.effects.done == []
    again = await agent.resume()
    assert held(agent, again.waiting) == [made.id]
    assert agent.so.stalled() == 1
    agent.so.lift(made.id, by=OTTO)
    finished = await agent.resume()
    assert finished.finished
    assert agent.effects.of("look") == [{"what": "a"}]
    assert [said(m) for m in answers(finished)] == ["found a"]
    assert agent.so.audit().holds


async def test_a_reviewed_call_waits_and_then_asks(bench: MakeBench) -> None:
    agent = await bench([review("*")], PAY)
    made = agent.so.pause(by=MARIA, agent="payer")
    outcome = await agent.start()
    assert held(agent, outcome.waiting) == [made.id]
    assert agent.so.count() == 0
    agent.so.lift(made.id, by=OTTO)
    asked = await agent.resume()
    assert not asked.finished
    assert (await agent.approved()).finished
    assert len(agent.effects.of("pay")) == 1


async def test_an_approved_call_waits_and_then_runs_once(bench: MakeBench) -> None:
    agent = await bench([review("*")], PAY)
    await agent.start()
    made = agent.so.pause(by=MARIA, thread="t1")
    agent.decide(Approve())
    outcome = await agent.resume()
    assert held(agent, outcome.waiting) == [made.id]
    assert agent.effects.done == []
    agent.so.lift(made.id, by=OTTO)
    assert (await agent.resume()).finished
    assert len(agent.effects.of("pay")) == 1
    assert agent.so.audit().holds


@SYNC
async def test_the_claim_itself_refuses_where_this_process_knows_nothing_yet(
    bench: MakeBench, database_url: str
) -> None:
    agent = await bench([review("*")], PAY)
    await agent.start()
    request = agent.decide(Approve())
    other = Signoff(database_url)
    agent.so.pauses_on(_action(request))  # what it knows is fresh: nothing is paused
    made = other.pause(by=MARIA)
    outcome = await agent.resume()
    assert held(agent, outcome.waiting) == [made.id]
    assert agent.effects.done == []
    other.lift(made.id, by=MARIA)
    other.close()
    assert (await agent.resume()).finished
    assert len(agent.effects.of("pay")) == 1


@SYNC
async def test_an_edit_into_a_paused_tool_waits(bench: MakeBench) -> None:
    from signoff import Edit

    agent = await bench([review("*")], PAY)
    await agent.start()
    made = agent.so.pause(by=MARIA, tool="wire")
    agent.decide(Edit(args={"amount": 5}, tool="wire"))
    outcome = await agent.resume()
    assert held(agent, outcome.waiting) == [made.id]
    assert agent.effects.done == []
    agent.so.lift(made.id, by=OTTO)
    assert (await agent.resume()).finished
    assert agent.effects.done == [("wire", {"amount": 5, "to": "ana"})]


@SYNC
async def test_calls_beside_it_that_are_not_covered_go_on(bench: MakeBench) -> None:
    beside = turn(call("look", "c1", what="a"), call("pay", "c2", amount=1))
    agent = await bench([allow("*")], [beside])
    made = agent.so.pause(by=MARIA, tool="pay")
    outcome = await agent.start()
    assert held(agent, outcome.waiting) == [made.id]
    assert [name for name, _ in agent.effects.done] == ["look"]
    agent.so.lift(made.id, by=OTTO)
    assert (await agent.resume()).finished
    assert [name for name, _ in agent.effects.done] == ["look", "pay"]


@BY_HAND
@SYNC
async def test_several_paused_calls_of_one_node_pause_once(bench: MakeBench) -> None:
    both = turn(call("look", "c1", what="a"), call("pay", "c2", amount=1))
    agent = await bench([allow("look"), review("*")], [both])
    made = agent.so.pause(by=MARIA)
    outcome = await agent.start()
    assert held(agent, outcome.waiting) == [made.id, made.id]
    agent.so.lift(made.id, by=OTTO)
    await agent.resume()
    assert (await agent.approved()).finished
    assert len(agent.effects.done) == 2


@ONE_KIND
async def test_lifting_wakes_exactly_the_threads_that_wait_for_it(
    bench: MakeBench,
) -> None:
    agent = await bench([allow("look"), review("*")], LOOK)
    made = agent.so.pause(by=MARIA)
    for name in ("t1", "t2"):
        await agent.start(name)
    assert agent.effects.done == []
    agent.so.lift(made.id, by=OTTO)
    assert [w.thread for w in agent.so.wakeups("payer")] == ["t1", "t2"]
    later = await agent.start("t3")
    assert later.finished
    if agent.colour == "async":
        for name in ("t1", "t2"):
            assert (await agent.resume(name)).finished
    else:
        with agent.runner.watch():
            await wait_until_async(
                lambda: len(agent.effects.done) == 3, "both went on", timeout=30
            )
    assert len(agent.effects.of("look")) == 3
    assert agent.so.stalled() == 0


@ONE_KIND
@SYNC
async def test_nothing_runs_where_nobody_knows_what_is_paused(
    bench: MakeBench,
) -> None:
    agent = await bench([allow("look", record=False)], LOOK)
    assert isinstance(agent.so.store, SqlStore)
    with agent.so.store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE pauses RENAME TO lost"))
    with pytest.raises(CallNotRecorded):
        await agent.start()
    assert agent.effects.done == []
    with agent.so.store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE lost RENAME TO pauses"))
    assert (await agent.resume()).finished
    assert len(agent.effects.done) == 1


class Stages(TypedDict, total=False):
    plan: str


def test_a_gate_waits_before_it_makes_its_payload_and_before_it_is_passed(
    database_url: str, tmp_path: Path
) -> None:
    made: list[str] = []
    so = Signoff(database_url, clock=Clock())

    def plan(state: Stages) -> dict[str, Any]:
        def draft() -> str:
            made.append("plan")
            return "the plan"

        return {"plan": gate(so, "plan", draft).value}

    builder = StateGraph(Stages)
    builder.add_node("plan", plan)
    builder.add_edge(START, "plan")
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as saver:
        runner = Runner(so, builder.compile(checkpointer=saver), agent="planner")
        first = so.pause(by=MARIA, tool="plan")
        (value,) = runner.start({}, thread_id="t").waiting
        assert value["signoff"]["pause"] == first.id
        assert made == []
        so.lift(first.id, by=MARIA)
        assert runner.run_due() == 1
        (request,) = so.pending().requests
        second = so.pause(by=MARIA, agent="planner")
        so.decide(request.id, Approve(), by=OTTO, digest=request.digest)
        assert runner.run_due() == 1
        (value,) = runner.resume("t").waiting
        assert value["signoff"]["pause"] == second.id
        so.lift(second.id, by=MARIA)
        assert runner.run_due() == 1
        done = runner.resume("t")
    assert done.finished
    assert done.values == {"plan": "the plan"}
    assert made == ["plan"]
    assert so.audit().holds
    so.close()


CHILD = """
import sys, time
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from signoff import Signoff, allow
from signoff.langgraph import Runner
from tests.langgraph.agents import Scripted, call, turn, with_create_agent

so = Signoff(sys.argv[1], policy=[allow("*")])

@tool
def look(what: str) -> str:
    "Look something up."
    sys.stdout.write(f"{time.monotonic()}\\n")  # two calls write at once
    sys.stdout.flush()
    return what

model = Scripted(turns=[turn(*(call("look", f"c{n}", what="a") for n in range(3)))])
graph = with_create_agent(so, model, [look], InMemorySaver())
runner, number, outcome = Runner(so, graph, agent="payer"), 0, None
while outcome is None or outcome.finished:
    number += 1
    outcome = runner.start({"messages": [HumanMessage("go")]}, thread_id=f"t{number}")
print("held", outcome.waiting[0]["signoff"]["pause"], flush=True)
so.close()
"""


def test_another_process_holds_its_allowed_calls_within_a_second(
    database_url: str,
) -> None:
    so = Signoff(database_url)
    with forked("-c", CHILD, database_url, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(5):  # it is at work
            assert float(child.stdout.readline()) > 0
        made = so.pause(by=MARIA)
        committed = monotonic()
        *ran, last = child.communicate(timeout=60)[0].splitlines()
    assert child.returncode == 0
    assert last == f"held {made.id}"
    assert max((float(at) for at in ran), default=0) - committed < 1
    wait_until(lambda: so.stalled() >= 1, "it noted that it waits")
    so.close()


def _action(request: Any) -> Any:  # noqa: ANN401 - a request, and an action like its own
    from signoff import Action, Context

    return Action(
        context=Context(thread=request.thread, agent=request.agent),
        message_id="m",
        call_id="c",
        tool=request.tool,
        args={},
    )
