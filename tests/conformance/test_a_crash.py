"""A2, A3: killed at every step, and resumed by many: never a second effect."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from signoff.domain.journal import EntryState
from tests.conformance.children import Resume, resume_and_die
from tests.conformance.harness import (
    GO,
    ROUNDS,
    Place,
    asking,
    at,
    in_process,
    stage,
    together,
    tools,
    waiting,
)
from tests.conformance.ours import Ours, OursByHand
from tests.langgraph.agents import MARIA

BOTH = pytest.mark.parametrize("system", [Ours, OursByHand], ids=lambda one: one.name)
EACH = pytest.mark.parametrize("durability", ["sync", "async", "exit"])
HOUR = timedelta(hours=1)
KILLED = -9
LOST = {"after record": 0, "before effect": 0, "after effect": 1}
KEPT = {"before record": 0, "after result": 1}

Durability = Literal["sync", "async", "exit"]


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Place:
    """Both databases."""
    return Place(database_url, tmp_path)


def killed(
    system: type[Ours], place: Place, durability: Durability, point: str
) -> None:
    """An approved call whose process was killed at a point."""
    with stage(system, place) as (one, saver, tally):
        graph = one.agent(asking(10), tools(tally), saver)
        graph.invoke(GO, at("t1"), durability=durability)
        command = one.answer(graph, at("t1"), {10: "approve"})
    how = Resume("t1", command, durability, point)
    assert in_process(resume_and_die, system.name, place, how) == KILLED


@BOTH
@EACH
@pytest.mark.row("A2")
@pytest.mark.parametrize("point", LOST)
@pytest.mark.parametrize("happened", [True, False])
def test_killed_between_record_and_result_a_person_says_what_happened(
    system: type[Ours],
    place: Place,
    durability: Durability,
    point: str,
    *,
    happened: bool,
) -> None:
    killed(system, place, durability, point)
    assert len(place.tally.lines) == LOST[point]
    with stage(system, place, HOUR) as (one, saver, tally):
        assert isinstance(one, Ours)
        graph = one.agent(asking(10), tools(tally), saver)
        for _ in range(2):
            graph.invoke(None, at("t1"), durability=durability)
            (pause,) = graph.get_state(at("t1")).interrupts
            assert pause.value["type"] == "unknown_outcome"
        (entry,) = one.so.journal(state=EntryState.UNKNOWN)
        one.so.settle(entry.id, happened=happened, note="looked it up", by=MARIA)
        graph.invoke(None, at("t1"), durability=durability)
        assert waiting(graph, at("t1")) == 0
        *_, answer, last = graph.get_state(at("t1")).values["messages"]
        assert "looked it up" in str(answer.content)
        assert last.content == "done"
        assert one.so.audit().holds
    assert len(place.tally.lines) == LOST[point]


@BOTH
@EACH
@pytest.mark.row("A2")
@pytest.mark.parametrize("point", KEPT)
def test_killed_before_the_record_or_after_the_result_it_just_goes_on(
    system: type[Ours], place: Place, durability: Durability, point: str
) -> None:
    killed(system, place, durability, point)
    assert len(place.tally.lines) == KEPT[point]
    with stage(system, place) as (one, saver, tally):
        assert isinstance(one, Ours)
        graph = one.agent(asking(10), tools(tally), saver)
        graph.invoke(None, at("t1"), durability=durability)
        *_, answer, last = graph.get_state(at("t1")).values["messages"]
        assert (answer.content, last.content) == ("paid 10", "done")
        assert one.so.audit().holds
    assert place.tally.lines == ["pay 10"]


@BOTH
@pytest.mark.row("A3")
def test_a_resume_waits_for_the_one_that_runs_the_call(
    system: type[Ours], place: Place
) -> None:
    """Both get the same result of the one effect."""
    with stage(system, place) as (one, saver, tally):
        graph = one.agent(asking(10), tools(tally), saver)
        graph.invoke(GO, at("t1"))
        command = one.answer(graph, at("t1"), {10: "approve"})
        ends = together(*[partial(graph.invoke, command, at("t1"))] * 4)
        assert ends == [None] * 4
        assert tally.lines == ["pay 10"]
        *_, answer, last = graph.get_state(at("t1")).values["messages"]
        assert (answer.content, last.content) == ("paid 10", "done")


@BOTH
@pytest.mark.row("A3")
async def test_two_tasks_that_resume_at_once_run_it_once(
    system: type[Ours], database_url: str, tmp_path: Path
) -> None:
    place, ran = Place(database_url, tmp_path), list[int]()

    @tool
    async def pay(amount: int) -> str:
        """Pay an amount."""
        for _ in range(10):
            await asyncio.sleep(0)  # the other task has its turns meanwhile
        ran.append(amount)
        return f"paid {amount}"

    one, opened = system(place), _async_saver(place)
    async with opened as saver:
        await saver.setup()
        for amount in range(1, ROUNDS + 1):
            graph, config = one.agent(asking(amount), [pay], saver), at(f"t{amount}")
            await graph.ainvoke(GO, config)
            (request,) = one.so.pending().requests
            await asyncio.to_thread(_approve, one, request)
            await asyncio.gather(*[graph.ainvoke(None, config) for _ in range(2)])
            assert ran == list(range(1, amount + 1))
    one.close()


def _approve(one: Ours, request: Any) -> None:  # noqa: ANN401 - a request
    from signoff import Approve

    one.so.decide(request.id, Approve(), by=MARIA, digest=request.digest)


def _async_saver(place: Place) -> Any:  # noqa: ANN401 - either checkpointer
    if place.url.startswith("sqlite"):
        return AsyncSqliteSaver.from_conn_string(str(place.folder / "threads.db"))
    return AsyncPostgresSaver.from_conn_string(place.url)


@BOTH
@pytest.mark.row("A2")
async def test_a_call_that_is_cancelled_half_way_is_unknown_and_not_run_again(
    system: type[Ours], sqlite_url: str, tmp_path: Path
) -> None:
    place, ran, running = Place(sqlite_url, tmp_path), list[int](), asyncio.Event()

    @tool
    async def pay(amount: int) -> str:
        """Pay an amount."""
        ran.append(amount)
        running.set()
        await asyncio.Event().wait()
        return "never"

    one = system(place)
    async with _async_saver(place) as saver:
        graph = one.agent(asking(10), [pay], saver)
        await graph.ainvoke(GO, at("t1"))
        _approve(one, one.so.pending().requests[0])
        async with asyncio.TaskGroup() as group:
            task = group.create_task(graph.ainvoke(None, at("t1")))
            await asyncio.wait_for(running.wait(), 10)
            task.cancel()
        (entry,) = one.so.journal()
        assert entry.state is EntryState.UNKNOWN
        await graph.ainvoke(None, at("t1"))
        (pause,) = (await graph.aget_state(at("t1"))).interrupts
        assert pause.value["type"] == "unknown_outcome"
    assert ran == [10]
    one.close()
