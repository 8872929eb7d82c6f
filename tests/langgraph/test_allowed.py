"""Calls that need no approval: nothing is written on their path, all are recorded."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langchain_core.messages import HumanMessage
from sqlalchemy import event

from signoff import Signoff, allow, review
from signoff.storage.store import SqlStore
from tests.langgraph.agents import SYNC, Bench, call, said, turn
from tests.langgraph.conftest import MakeBench

LOOK = [turn(call("look", "c1", what="a")), turn(call("look", "c2", what="b"))]
GO = {"messages": [HumanMessage("go")]}


@contextmanager
def statements(so: Signoff) -> Iterator[list[str]]:
    """The names of the threads that executed a statement on the store.

    Left out are reads of the pauses: in a thread of their own, but for the first one
    of a process and where that thread is late.
    """
    assert isinstance(so.store, SqlStore)
    seen: list[str] = []

    def note(_c: Any, _r: Any, statement: str, *_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's six arguments
        if not (statement.startswith("SELECT pauses.") and "FROM pauses" in statement):
            seen.append(threading.current_thread().name)

    event.listen(so.store.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(so.store.engine, "before_cursor_execute", note)


def recorded(agent: Bench, thread: str = "t1") -> list[str]:
    """The kinds of events in a thread's ledger."""
    with agent.so.store.reading() as reading:
        return [entry.fact.kind for entry in reading.events(thread)]


async def test_nothing_is_written_on_the_path_of_an_allowed_call(
    bench: MakeBench,
) -> None:
    agent = await bench([allow("look"), review("*")], LOOK)
    with statements(agent.so) as seen:
        await agent.invoke(GO, "t1")  # the bare graph: a Runner's turn costs its own
    assert len(agent.effects.of("look")) == 2
    assert set(seen) <= {"signoff-recorder"}
    agent.so.flush()
    assert recorded(agent) == ["allowed", "allowed"]
    assert agent.so.audit().holds
    assert agent.so.journal() == []


async def test_a_rule_may_leave_its_calls_out_of_the_record(bench: MakeBench) -> None:
    agent = await bench([allow("look", record=False), review("*")], LOOK)
    with statements(agent.so) as seen:
        await agent.invoke(GO, "t1")
        agent.so.flush()
    assert len(agent.effects.of("look")) == 2
    assert seen == []
    assert recorded(agent) == []


async def test_an_allowed_call_beside_a_held_one_is_recorded_once(
    bench: MakeBench,
) -> None:
    beside = turn(call("look", "c1", what="a"), call("pay", "c2", amount=1))
    agent = await bench([allow("look"), review("*")], [beside])
    await agent.start()
    assert (await agent.approved()).finished
    agent.so.flush()
    assert len(agent.effects.of("look")) == 1
    about_look = [kind for kind in recorded(agent) if kind == "allowed"]
    assert len(about_look) == 1


@SYNC
async def test_a_payload_that_is_not_exact_json_never_runs(bench: MakeBench) -> None:
    huge = turn(call("pay", "c1", amount=2**60))
    agent = await bench([allow("pay"), review("*")], [huge])
    finished = await agent.start()
    assert finished.finished
    assert agent.effects.done == []
    (told,) = [m for m in agent.model.heard[-1] if m.type == "tool"]
    assert "send it as a string" in said(told)


@SYNC
async def test_arguments_that_the_tool_would_refuse_are_not_asked_about(
    bench: MakeBench,
) -> None:
    agent = await bench([review("*")], [turn(call("pay", "c1", amount="a lot"))])
    finished = await agent.start()
    assert finished.finished
    assert agent.so.count() == 0
    (told,) = [m for m in agent.model.heard[-1] if m.type == "tool"]
    assert "amount" in said(told)
