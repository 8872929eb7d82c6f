"""Gates in loops, side by side, on and off an event loop; and what they refuse."""

import asyncio
import gc
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import anyio
import pytest
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph

from signoff import Approve, Edit, Filter, Reject, Respond
from signoff.domain.errors import (
    BlocksEventLoop,
    GateNameTaken,
    InvalidSetting,
    PayloadRefused,
)
from signoff.langgraph import agate, gate
from tests.langgraph.agents import ASYNC, SYNC
from tests.langgraph.workflows import PLAN, Stage, State


async def test_people_ask_for_changes_until_they_agree(stage: Stage) -> None:
    made_of: list[list[str]] = []

    async def body(_: State) -> dict[str, Any]:
        remarks: list[str] = []

        def draft() -> dict[str, Any]:
            made_of.append(list(remarks))
            return stage.plan()

        plan = await stage.gate("plan", draft, question="Go?")
        while plan.changes is not None:
            remarks.append(plan.changes)
            plan = await stage.gate("plan", draft, question="Go?")
        return {"passed": [plan]}

    runner = stage.build(body)
    (pause,) = (await stage.start(runner)).waiting
    assert (pause["round"], pause["remarks"]) == (1, [])
    for number, remark in enumerate(["cheaper", "and sooner"], start=1):
        assert stage.one().args["value"]["number"] == number
        stage.decide(Respond(message=remark))
        (pause,) = (await stage.resume(runner)).waiting
    assert (pause["round"], pause["remarks"]) == (3, ["cheaper", "and sooner"])
    (seen,) = stage.so.stages("t1")
    assert (seen.state.value, seen.round) == ("waiting", 3)
    stage.decide(Edit(args={"value": "as I say"}))
    (passed,) = (await stage.resume(runner)).values["passed"]
    assert (passed.approved, passed.value, passed.changes) == (True, "as I say", None)
    assert made_of == [[], ["cheaper"], ["cheaper", "and sooner"]]
    assert stage.so.audit().holds


async def test_a_rejection_asks_for_no_changes(stage: Stage) -> None:
    runner = stage.build(stage.one_gate(stage.plan))
    await stage.start(runner)
    stage.decide(Reject(reason="never"))
    (passed,) = (await stage.resume(runner)).values["passed"]
    assert (passed.reason, passed.changes) == ("never", None)


async def test_rounds_over_a_cycle_of_the_graph(stage: Stage) -> None:
    async def draft(_: State) -> dict[str, Any]:
        return {"made": stage.plan()["number"]}

    async def check(state: State) -> dict[str, Any]:
        return {"passed": [await stage.gate("plan", state["made"])]}

    builder = StateGraph(State)
    builder.add_node("draft", stage.node(draft))
    builder.add_node("check", stage.node(check))
    builder.add_edge(START, "draft").add_edge("draft", "check")
    builder.add_conditional_edges(
        "check", lambda state: END if state["passed"][0].approved else "draft"
    )
    runner = stage.runner(builder.compile(checkpointer=stage.saver))
    await stage.start(runner)
    stage.decide(Respond(message="longer"))
    (pause,) = (await stage.resume(runner)).waiting
    assert (pause["payload"], pause["round"], pause["remarks"]) == (2, 2, ["longer"])
    stage.decide(Approve())
    assert (await stage.resume(runner)).values["passed"][0].value == 2


async def test_in_a_subgraph(stage: Stage) -> None:
    inner = StateGraph(State)
    inner.add_node("inner", stage.node(stage.one_gate(stage.plan)))
    inner.add_edge(START, "inner")
    builder = StateGraph(State)
    builder.add_node("first", inner.compile())
    builder.add_node("second", inner.compile())
    builder.add_edge(START, "first").add_edge("first", "second")
    runner = stage.runner(builder.compile(checkpointer=stage.saver))
    for number in (1, 2):
        await (stage.start(runner) if number == 1 else stage.resume(runner))
        assert stage.one().args["value"]["number"] == number
        stage.decide(Approve())
    assert (await stage.resume(runner)).finished
    assert stage.made == 2


async def test_in_parallel_branches(stage: Stage) -> None:
    async def skip(_: State) -> dict[str, Any]:
        return {}

    def asking(name: str) -> Any:  # noqa: ANN401 - a node
        async def body(_: State) -> dict[str, Any]:
            await stage.gate("plan", lambda: f"{name} {stage.plan()['number']}")
            return {}

        return stage.node(body)

    builder = StateGraph(State)
    builder.add_node("start", stage.node(skip))
    builder.add_edge(START, "start")
    for name in ("a", "b"):
        builder.add_node(name, asking(name))
        builder.add_edge("start", name)
    runner = stage.runner(builder.compile(checkpointer=stage.saver))
    assert len((await stage.start(runner)).waiting) == 2
    for left in (1, 0):
        request = stage.so.pending(Filter(order="newest")).requests[0]
        stage.say(request, Approve())
        assert len((await stage.resume(runner)).waiting) == left
    assert stage.made == 2


@ASYNC
async def test_the_payloads_function_may_be_async(stage: Stage) -> None:
    async def make() -> dict[str, Any]:
        await asyncio.sleep(0)
        return stage.plan()

    async def body(_: State) -> dict[str, Any]:
        first = await agate(stage.so, "first", make)
        second = await agate(stage.so, "second", lambda: make())  # noqa: PLW0108 - such as people write
        return {"passed": [first, second]}

    runner = stage.build(body)
    await stage.start(runner)
    stage.decide(Approve())
    await stage.resume(runner)
    stage.decide(Approve())
    outcome = await stage.resume(runner)
    assert [one.value["number"] for one in outcome.values["passed"]] == [1, 2]
    assert stage.made == 2


@ASYNC
async def test_a_slow_payload_holds_nobody_up(stage: Stage) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    def slow() -> str:
        deadline = time.monotonic() + 5
        while ticks < 5:
            assert time.monotonic() < deadline, "the loop stood still"
        return "made"

    async with anyio.create_task_group() as ticking:
        ticking.start_soon(tick)
        await stage.start(stage.build(stage.one_gate(slow)))
        ticking.cancel_scope.cancel()
    assert stage.one().args == {"value": "made"}


@ASYNC
async def test_the_payload_may_be_made_by_a_task(stage: Stage) -> None:
    made: list[int] = []

    @task
    async def make(number: int) -> dict[str, int]:
        made.append(number)
        return {"number": number}

    @entrypoint(checkpointer=stage.saver)
    async def flow(value: int) -> Any:  # noqa: ANN401 - a gate's value
        async def payload() -> dict[str, int]:
            return await make(value)

        return (await agate(stage.so, "plan", payload)).value

    runner = stage.runner(flow)
    await stage.start(runner, 7)
    stage.decide(Approve())
    assert (await stage.resume(runner)).values == {"number": 7}
    assert made == [7]


async def test_inside_of_a_task(stage: Stage) -> None:
    @task
    def ask(value: int) -> Any:  # noqa: ANN401 - a gate's value
        return gate(stage.so, "plan", value).value

    @task
    async def aask(value: int) -> Any:  # noqa: ANN401 - a gate's value
        return (await agate(stage.so, "plan", value)).value

    @entrypoint(checkpointer=stage.saver)
    def flow(value: int) -> Any:  # noqa: ANN401 - a gate's value
        return [ask(value).result(), ask(value + 1).result()]

    @entrypoint(checkpointer=stage.saver)
    async def aflow(value: int) -> Any:  # noqa: ANN401 - a gate's value
        return [await aask(value), await aask(value + 1)]

    runner = stage.runner(aflow if stage.colour == "async" else flow)
    await stage.start(runner, 7)
    stage.decide(Approve())
    await stage.resume(runner)
    assert stage.one().args == {"value": 8}
    stage.decide(Edit(args={"value": 80}))
    assert (await stage.resume(runner)).values == [7, 80]


@ASYNC
async def test_gates_of_several_names_side_by_side(stage: Stage) -> None:
    async def body(_: State) -> dict[str, Any]:
        asked = (agate(stage.so, name, f"{name}!") for name in "ab")
        return {"passed": list(await asyncio.gather(*asked))}

    runner = stage.build(body)
    await stage.start(runner)
    while not (outcome := await stage.resume(runner)).finished:
        for request in stage.so.pending().requests:
            stage.say(request, Approve())
    assert [one.value for one in outcome.values["passed"]] == ["a!", "b!"]


@ASYNC
async def test_two_of_one_name_side_by_side_are_refused(stage: Stage) -> None:
    async def body(_: State) -> dict[str, Any]:
        await asyncio.gather(*(agate(stage.so, "plan", text) for text in "ab"))
        return {}

    with pytest.raises(GateNameTaken, match="names of their own, such as 'plan 1'"):
        await stage.start(stage.build(body))
    assert not [one for one in stage.so.thread("t1") if one.args == {"value": "b"}]


@SYNC
async def test_two_of_one_name_in_threads_are_refused(stage: Stage) -> None:
    async def body(_: State) -> dict[str, Any]:
        with ThreadPoolExecutor(2) as pool:
            inner = pool.submit(
                copy_context().run,
                lambda: gate(stage.so, "plan", lambda: nested(pool)),
            )
            inner.result()
        return {}

    def nested(pool: ThreadPoolExecutor) -> Any:  # noqa: ANN401 - never reached
        return pool.submit(
            copy_context().run, lambda: gate(stage.so, "plan", "b")
        ).result()

    with pytest.raises(GateNameTaken):
        await stage.start(stage.build(body))
    assert stage.so.thread("t1") == []


@ASYNC
async def test_gates_in_tasks_of_their_own_are_told_apart(stage: Stage) -> None:
    """`wait_for` runs its coroutine in a copied context."""

    async def body(_: State) -> dict[str, Any]:
        passed = [
            await asyncio.wait_for(agate(stage.so, "plan", text), 30) for text in "ab"
        ]
        return {"passed": passed}

    runner = stage.build(body)
    outcome = await stage.start(runner)
    for text in "ab":
        assert stage.one().args == {"value": text}
        stage.decide(Approve())
        outcome = await stage.resume(runner)
    assert [one.value for one in outcome.values["passed"]] == ["a", "b"]


@ASYNC
async def test_the_sync_gate_is_refused_on_the_loop(stage: Stage) -> None:
    async def body(_: State) -> dict[str, Any]:
        return {"passed": [gate(stage.so, "plan", stage.plan)]}

    with pytest.raises(BlocksEventLoop, match="await agate"):
        await stage.start(stage.build(body))
    assert (stage.made, stage.so.thread("t1")) == (0, [])


@SYNC
async def test_a_notebooks_loop_does_not_matter(stage: Stage) -> None:
    runner = stage.build(stage.one_gate(stage.plan))
    runner.start({}, thread_id="t1")  # sync, though a loop runs here
    assert stage.one().tool == "plan"


@pytest.mark.parametrize("name", ["", "  ", None, 7])
async def test_a_gate_has_a_name(stage: Stage, name: Any) -> None:  # noqa: ANN401 - a wrong one
    async def body(_: State) -> dict[str, Any]:
        return {"passed": [await stage.gate(name, stage.plan)]}

    with pytest.raises(InvalidSetting, match="is no name"):
        await stage.start(stage.build(body))
    assert (stage.made, stage.so.thread("t1")) == (0, [])


@pytest.mark.parametrize("payload", [{1, 2}, {"at": object()}, {"n": 2**60}])
async def test_a_payload_that_no_store_keeps_is_refused(
    stage: Stage,
    payload: Any,  # noqa: ANN401 - a wrong one
) -> None:
    fixed = False
    runner = stage.build(stage.one_gate(lambda: "fine" if fixed else payload))
    with pytest.raises(PayloadRefused, match="payload"):
        await stage.start(runner)
    assert stage.so.thread("t1") == []
    fixed = True
    await stage.resume(runner)  # nothing is lost: the thread goes on
    assert stage.one().args == {"value": "fine"}


async def test_a_coroutine_is_no_payload(stage: Stage) -> None:
    async def make() -> dict[str, Any]:
        return PLAN

    async def body(_: State) -> dict[str, Any]:
        return {"passed": [await stage.gate("plan", make())]}

    with pytest.raises(PayloadRefused, match="pass the function"):
        await stage.start(stage.build(body))
    gc.collect()  # a coroutine that nobody awaited would warn


@SYNC
async def test_an_async_function_is_refused_in_sync_code(stage: Stage) -> None:
    async def make() -> dict[str, Any]:
        return PLAN

    with pytest.raises(PayloadRefused, match="async twin"):
        await stage.start(stage.build(stage.one_gate(make)))
    gc.collect()
    assert stage.so.thread("t1") == []
