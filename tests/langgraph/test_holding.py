"""Held calls in a real agent: queued, run, cancelled, and the agent learns of it."""

import asyncio
from contextlib import closing
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.prebuilt import InjectedState

from signoff import Approve, Reject, Signoff, allow, deny, hold, review
from signoff.domain.journal import Entry, EntryKind, EntryState
from signoff.langgraph import Runner, cancel_held, idempotency_key
from signoff.testing import MovableClock
from tests.langgraph.agents import MARIA, SYNC, Bench, call, turn
from tests.langgraph.conftest import MakeBench


@pytest.fixture
def clock() -> MovableClock:
    """Time that tests move."""
    return MovableClock()


@dataclass
class Post:
    """What was sent; `broken` makes the sending raise after the fact."""

    sent: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    broken: bool = False

    def tools(self) -> list[BaseTool]:
        @tool
        def send(to: str, text: str = "hello") -> dict[str, Any]:
            """Send a mail."""
            self.sent.append(to)
            self.keys.append(idempotency_key())
            if self.broken:
                raise ConnectionError("lost the line")
            return {"mail_id": f"m-{to}"}

        @tool
        async def fax(to: str) -> str:
            """Send a fax."""
            await asyncio.sleep(0)
            self.sent.append(f"fax {to}")
            return f"faxed {to}"

        @tool
        def track(ref: str) -> str:
            """Track something."""
            self.sent.append(f"track {ref}")
            return "on its way"

        @tool
        def status(ref: str) -> str:
            """Look how something stands."""
            return f"{ref} has arrived"

        @tool
        def report(text: str, state: Annotated[dict[str, Any], InjectedState]) -> str:
            """Tell how long the conversation is."""
            return f"{text} {len(state)}"

        status.metadata = {"annotations": {"readOnlyHint": True}}
        return [send, fax, track, status, report]


RULES = [hold("send", "fax", "report", window="10m"), allow("track", "status")]
SEND = call("send", "c1", to="eve")


def held(bench: Bench, thread: str = "t1") -> Entry:
    """The one held call, whatever became of it."""
    (entry,) = [
        one for one in bench.so.journal(thread=thread) if one.kind is EntryKind.HELD
    ]
    return entry


def due(bench: Bench) -> None:
    while bench.so.run_due():
        pass


def notes(conversation: list[BaseMessage]) -> list[str]:
    return [str(m.content) for m in conversation if m.name == "signoff_notice"]


async def with_post(
    bench: MakeBench,
    *turns: Any,  # noqa: ANN401 - what the model says
    clock: MovableClock | None = None,
) -> tuple[Bench, Post]:
    post = Post()
    agent = await bench(RULES, list(turns), tools=post.tools(), clock=clock)
    return agent, post


async def queued(bench: MakeBench, clock: MovableClock) -> tuple[Bench, Post, Entry]:
    """An agent that has sent one mail, which is held."""
    agent, post = await with_post(bench, turn(SEND), clock=clock)
    await agent.start()
    return agent, post, held(agent)


async def test_a_held_call_is_queued_and_runs_when_its_time_has_come(
    bench: MakeBench, clock: MovableClock
) -> None:
    agent, post = await with_post(bench, turn(SEND), clock=clock)
    outcome = await agent.start()
    assert outcome.finished
    (told,) = [m for m in outcome.values["messages"] if isinstance(m, ToolMessage)]
    entry = held(agent)
    assert entry.state is EntryState.HELD
    assert "Queued, not done" in str(told.content)
    assert entry.id in str(told.content)
    due(agent)
    assert post.sent == []
    clock.advance("11m")
    due(agent)
    assert post.sent == ["eve"]
    entry = held(agent)
    assert (entry.state, entry.output) == (EntryState.DONE, {"mail_id": "m-eve"})
    assert post.keys == [entry.key]
    await agent.start(text="and?")
    (note,) = notes(agent.model.heard[-1])
    assert "has run now" in note
    assert "m-eve" in note
    assert agent.so.audit().holds


async def test_a_person_sends_it_now(bench: MakeBench) -> None:
    agent, post = await with_post(bench, turn(SEND))
    await agent.start()
    sent = await agent.so.aio.release(held(agent).id, by=MARIA)
    assert (sent.state, post.sent) == (EntryState.DONE, ["eve"])
    assert agent.so.audit().holds


@SYNC
async def test_a_store_without_policy_runs_it_through_the_agents_own(
    bench: MakeBench, clock: MovableClock, database_url: str
) -> None:
    """As `signoff worker` does: what it opens knows neither the rules nor the tools."""
    agent, post = await with_post(bench, turn(SEND), clock=clock)
    await agent.start()
    with closing(Signoff(database_url, clock=clock)) as bare:
        assert len(bare.stranded()) == 1
        Runner(bare, agent.graph, agent="payer")
        assert bare.stranded() == []
        clock.advance("11m")
        while bare.run_due():
            pass
        assert bare.pending().requests == ()
    assert (held(agent).state, post.sent) == (EntryState.DONE, ["eve"])
    assert agent.so.audit().holds


async def test_an_async_tool_runs_later_too(
    bench: MakeBench, clock: MovableClock
) -> None:
    agent, post = await with_post(bench, turn(call("fax", "c1", to="eve")), clock=clock)
    await agent.start()
    clock.advance("11m")
    await asyncio.to_thread(due, agent)
    assert post.sent == ["fax eve"]


async def test_a_person_cancels_it_and_the_same_call_asks_from_then_on(
    bench: MakeBench, clock: MovableClock
) -> None:
    agent, post = await with_post(bench, turn(SEND), clock=clock)
    await agent.start()
    agent.model.turns += [turn(SEND), turn(call("send", "c2", to="bob"))]
    await agent.so.aio.cancel_held(held(agent).id, by=MARIA, reason="wrong address")
    clock.advance("11m")
    due(agent)
    await agent.start(text="and?")
    assert post.sent == []
    (note,) = notes(agent.model.heard[-1])
    assert "cancelled this call before it had any effect" in note
    assert "wrong address" in note
    request = agent.one()
    assert "took the same back before" in (request.note or "")
    assert agent.so.audit().holds


async def test_the_agent_cancels_its_own(bench: MakeBench, clock: MovableClock) -> None:
    agent, post, entry = await queued(bench, clock)
    own = cancel_held(agent.so)

    def run(thread: str, name: str) -> str:
        config: RunnableConfig = {
            "configurable": {
                "thread_id": thread,
                "signoff_agent": name,
                "__pregel_checkpointer": object(),
            }
        }
        return str(own.invoke({"entry_id": entry.id, "reason": "no"}, config))

    assert "you have no queued call" in run("t2", "payer")
    assert "you have no queued call" in run("t1", "other")
    assert "Cancelled" in run("t1", "payer")
    assert "cancelled before" in run("t1", "payer")
    clock.advance("11m")
    due(agent)
    assert post.sent == []
    assert (held(agent).state, held(agent).undo_by) == (EntryState.CANCELLED, "payer")
    await agent.start(text="and?")
    assert notes(agent.model.heard[-1]) == []  # it did so itself
    assert agent.so.audit().holds


async def test_policy_is_asked_again_at_commit(
    bench: MakeBench, clock: MovableClock
) -> None:
    agent, post = await with_post(bench, turn(SEND), clock=clock)
    await agent.start()
    stricter = await bench([review("send")], [], tools=post.tools(), clock=clock)
    clock.advance("11m")
    due(stricter)
    entry = held(stricter)
    assert (entry.state, entry.commit_at, post.sent) == (EntryState.HELD, None, [])
    request = stricter.one()
    assert "policy asks about it now" in (request.note or "")
    due(stricter)
    stricter.so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
    due(stricter)
    assert (held(stricter).state, post.sent) == (EntryState.DONE, ["eve"])
    assert stricter.so.audit().holds


async def test_what_policy_denies_by_then_is_cancelled(
    bench: MakeBench, clock: MovableClock
) -> None:
    agent, post = await with_post(bench, turn(SEND), clock=clock)
    await agent.start()
    strict = await bench(
        [deny("send", reason="no mail")], [], tools=post.tools(), clock=clock
    )
    clock.advance("11m")
    due(strict)
    entry = held(strict)
    assert (entry.state, post.sent) == (EntryState.CANCELLED, [])
    assert "no mail" in (entry.undo_reason or "")
    (notice,) = strict.so.agent_notices("t1")
    assert notice.kind == "cancelled"
    assert strict.so.audit().holds


@pytest.mark.parametrize(
    ("said", "state", "count"),
    [
        (True, EntryState.DONE, 1),
        (False, EntryState.CANCELLED, 0),
        ("the order is closed", EntryState.CANCELLED, 0),
        (None, EntryState.HELD, 0),
        (ValueError("?"), EntryState.HELD, 0),
    ],
)
async def test_the_precondition_is_checked_at_commit(
    bench: MakeBench, clock: MovableClock, said: object, state: EntryState, count: int
) -> None:
    agent, post = await with_post(bench, turn(SEND), clock=clock)

    @agent.so.precondition("send")
    def check(args: object) -> object:
        if isinstance(said, Exception):
            raise said
        return said

    await agent.start()
    clock.advance("11m")
    due(agent)
    assert (held(agent).state, len(post.sent)) == (state, count)
    if state is EntryState.HELD:
        assert "can't be told" in (agent.one().note or "")
        request = agent.one()
        agent.so.decide(
            request.id, Reject(reason="no"), by=MARIA, digest=request.digest
        )
        due(agent)
        assert held(agent).state is EntryState.CANCELLED
    assert agent.so.audit().holds


async def test_a_tool_that_needs_the_graph_is_asked(bench: MakeBench) -> None:
    agent, _ = await with_post(bench, turn(call("report", "c1", text="x")))
    await agent.start()
    assert "takes the graph's state" in (agent.one().note or "")


@pytest.mark.row("C22")
async def test_a_sending_that_raises_is_unknown_and_not_repeated(
    bench: MakeBench, clock: MovableClock
) -> None:
    agent, post = await with_post(bench, turn(SEND), clock=clock)
    post.broken = True
    await agent.start()
    clock.advance("11m")
    due(agent)
    due(agent)
    assert (held(agent).state, post.sent) == (EntryState.UNKNOWN, ["eve"])
    assert [n.kind for n in agent.so.agent_notices("t1")] == ["unknown"]
    post.broken = False
    agent.so.settle(held(agent).id, again=True, by=MARIA)
    due(agent)
    assert (held(agent).state, post.sent) == (EntryState.DONE, ["eve", "eve"])
    assert len(set(post.keys)) == 1
    assert agent.so.audit().holds


@pytest.mark.row("C20")
async def test_a_later_call_that_names_a_held_one_waits_behind_it(
    bench: MakeBench, clock: MovableClock
) -> None:
    agent, post, first = await queued(bench, clock)
    agent.model.turns += [
        turn(call("track", "c0", ref="x")),
        turn(call("track", "c2", ref=first.id)),
    ]
    agent.model.turns.insert(1, turn(call("track", "c9", ref="y")))
    await agent.start(text="track it")
    assert post.sent == ["track x"]
    (second,) = [
        one
        for one in agent.so.journal(thread="t1")
        if one.tool == "track" and one.kind is EntryKind.HELD
    ]
    assert second.state is EntryState.HELD
    clock.advance("11m")
    due(agent)
    assert post.sent == ["track x", "eve", f"track {first.id}"]
    assert agent.so.audit().holds


@pytest.mark.row("C20")
async def test_a_cancelled_one_takes_those_behind_it_along(
    bench: MakeBench, clock: MovableClock
) -> None:
    agent, post, first = await queued(bench, clock)

    @agent.so.needs("track")
    def needs(args: Any, waiting: Any) -> list[str]:  # noqa: ANN401 - JSON, effects
        return [one.id for one in waiting if one.args["to"] == args["ref"]]

    agent.model.turns += [turn(SEND), turn(call("track", "c2", ref="eve"))]
    await agent.start(text="track it")
    await agent.so.aio.cancel_held(first.id, by=MARIA, reason="no")
    clock.advance("11m")
    due(agent)
    assert post.sent == []
    states = {one.tool: one.state for one in agent.so.journal(thread="t1")}
    assert states == {"send": EntryState.CANCELLED, "track": EntryState.CANCELLED}
    assert agent.so.audit().holds


@pytest.mark.row("C20")
async def test_a_look_at_what_is_held_offers_it_for_approval_now(
    bench: MakeBench, clock: MovableClock
) -> None:
    agent, post, first = await queued(bench, clock)
    agent.model.turns += [turn(SEND), turn(call("status", "c2", ref=first.id))]
    outcome = await agent.start(text="has it arrived?")
    assert not outcome.finished
    request = agent.one()
    assert (request.tool, request.args) == ("send", {"to": "eve"})
    assert "needs this one" in (request.note or "")
    assert held(agent).commit_at == first.commit_at  # its timer runs on
    await agent.so.aio.decide(request.id, Approve(), by=MARIA, digest=request.digest)
    outcome = await agent.resume()
    assert outcome.finished
    assert post.sent == ["eve"]
    assert any("has arrived" in str(m.content) for m in outcome.values["messages"])
    assert agent.so.audit().holds
