"""RemoteRunner against a real LangGraph Server, with the middleware inside of it."""

import json
import logging
import shutil
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from signoff import Approve, Edit, Principal, Reject, Request, Respond, Signoff
from signoff.domain.errors import (
    GraphServerFailed,
    InvalidSetting,
    ThreadBusy,
    UnknownThread,
)
from signoff.domain.requests import Decision
from signoff.langgraph import Outcome, RemoteRunner
from signoff.service.propose import Asked
from tests.langgraph.deployed.server import Server
from tests.postgres import Databases
from tests.service.making import call
from tests.support import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SAM = Principal(id="sam")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server whose graphs use this database."""
    folder = tmp_path_factory.mktemp("server")
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        shutil.copy(template, folder / "signoff.db")
        yield from _serving(Server(folder, f"sqlite:///{folder / 'signoff.db'}"))
        return
    databases: Databases = request.getfixturevalue("postgres")
    with databases.fresh(template=request.getfixturevalue("postgres_template")) as url:
        yield from _serving(Server(folder, url))


def _serving(server: Server) -> Iterator[Server]:
    server.start()
    yield server
    server.stop()
    assert "Blocking call" not in server.log


def asking(calls: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """A message that makes the agent ask for these calls."""
    wanted = [
        {"name": name, "args": args, "id": f"c{number}", "type": "tool_call"}
        for number, (name, args) in enumerate(calls)
    ]
    return {"messages": [{"role": "user", "content": json.dumps(wanted)}]}


@dataclass
class Desk:
    """A runner, the people, and a thread of the test's own."""

    server: Server
    so: Signoff
    payer: RemoteRunner
    reporter: RemoteRunner
    client: SyncLangGraphClient
    thread: str

    def start(self, *calls: tuple[str, dict[str, Any]]) -> Outcome:
        """Ask the agent for these calls."""
        return self.payer.start(asking(calls), thread_id=self.thread, user="ana")

    def start_elsewhere(self, *calls: tuple[str, dict[str, Any]]) -> None:
        """The same from a program that knows the server only."""
        self.client.threads.create(thread_id=self.thread, if_exists="do_nothing")
        configured: Any = {"configurable": {"signoff_agent": "payer"}}
        given: Any = asking(calls)
        self.client.runs.wait(self.thread, "payer", input=given, config=configured)

    def pay(self, *amounts: float) -> Outcome:
        """Ask for payments to this thread's own account."""
        account = self.thread
        return self.start(*(("pay", {"amount": a, "to": account}) for a in amounts))

    def waiting(self) -> list[Request]:
        """What waits in the thread, the smallest amount first."""
        found = [one for one in self.so.thread(self.thread) if one.settled_at is None]
        return sorted(found, key=lambda one: str(one.args.get("amount")))

    def decide(self, decision: Decision, request: Request | None = None) -> None:
        """Decide on the only one that waits, or on this one."""
        (seen,) = self.waiting() if request is None else [request]
        self.so.decide(seen.id, decision, by=SAM, digest=seen.digest)

    @property
    def paid(self) -> list[str]:
        """What was paid to this thread's account."""
        return self.server.effects(self.thread)


@pytest.fixture
def desk(server: Server) -> Iterator[Desk]:
    """A desk of the test's own; nothing is left to wake."""
    so = Signoff(server.store)
    with get_sync_client(url=server.url, api_key=None) as client:
        payer = RemoteRunner(so, server.url, "payer", agent="payer")
        reporter = RemoteRunner(so, client, "reporter", agent="reporter")
        yield Desk(server, so, payer, reporter, client, str(uuid.uuid4()))
        payer.close()
    assert so.wakeups() == []
    assert so.audit().holds
    so.close()


def told(outcome: Outcome) -> list[str]:
    """What the model was told about its calls."""
    messages = outcome.values["messages"]
    return [one["content"] for one in messages if one["type"] == "tool"]


def test_an_approved_call_runs_once(desk: Desk) -> None:
    (pause,) = desk.pay(10).waiting
    assert pause["type"] == "tool_approval"
    (request,) = desk.waiting()
    assert (request.agent, request.user) == ("payer", "ana")
    assert desk.payer.run_due() == 0
    desk.decide(Approve())
    assert desk.payer.run_due() == 1
    assert desk.paid == ["10.0"]
    late = desk.payer.resume(desk.thread)
    assert (late.finished, told(late)) == (True, ["paid 10.0"])
    assert desk.paid == ["10.0"]


def test_a_rejection_is_told(desk: Desk) -> None:
    desk.pay(10)
    desk.decide(Reject(reason="too dear"))
    desk.payer.run_due()
    (answer,) = told(desk.payer.resume(desk.thread))
    assert "too dear" in answer
    assert desk.paid == []


def test_what_was_edited_runs(desk: Desk) -> None:
    desk.pay(10)
    desk.decide(Edit(args={"amount": 5, "to": desk.thread}))
    desk.payer.run_due()
    assert desk.paid == ["5.0"]


def test_calls_are_answered_in_any_order(desk: Desk) -> None:
    assert len(desk.pay(10, 20).waiting) == 2
    first, second = desk.waiting()
    desk.decide(Approve(), second)
    desk.payer.run_due()
    assert desk.paid == ["20.0"]
    desk.decide(Reject(reason="no"), first)
    desk.payer.run_due()
    assert desk.paid == ["20.0"]
    assert desk.payer.resume(desk.thread).finished


def test_a_resume_by_somebody_else_decides_nothing(desk: Desk) -> None:
    desk.pay(10)
    client = desk.client
    (task,) = client.threads.get_state(desk.thread)["tasks"]
    pause = task["interrupts"][0]["id"]
    for value in ({"type": "approve"}, "signoff", None):
        resume = {"resume": {pause: value}}
        client.runs.wait(desk.thread, "payer", command=resume)  # type: ignore[call-overload]
    assert desk.paid == []
    (request,) = desk.waiting()
    desk.decide(Approve(), request)
    desk.payer.run_due()
    for _ in range(2):
        late = {"resume": {pause: "signoff"}}
        client.runs.wait(desk.thread, "payer", command=late)  # type: ignore[call-overload]
    assert desk.paid == ["10.0"]


def test_an_async_tool_that_raises_leaves_an_unknown_outcome(desk: Desk) -> None:
    desk.start(("fail", {"how": "half way"}))
    desk.decide(Approve())
    (request,) = desk.so.thread(desk.thread)
    desk.payer.run_due()
    entry = desk.so.entry_of(request)
    assert entry is not None
    assert (entry.state.value, entry.summary) == (
        "unknown",
        "ConnectionError: half way",
    )
    desk.so.settle(entry.id, happened=True, note="it did", by=SAM)
    wait_until(lambda: desk.payer.run_due() or not desk.so.wakeups(), "it goes on", 30)
    assert "it did" in told(desk.payer.resume(desk.thread))[0]


def test_a_workflow_with_stages(desk: Desk) -> None:
    topic = f"topic-{desk.thread}"
    desk.reporter.start({"topic": topic}, thread_id=desk.thread)
    states = [stage.state.value for stage in desk.so.stages(desk.thread)]
    assert states == ["done", "waiting", "ahead"]
    desk.decide(Edit(args={"value": "another plan"}))
    assert desk.reporter.run_due() == 1
    outcome = desk.reporter.resume(desk.thread)
    assert outcome.values["sent"] == '"another plan"'
    assert desk.server.effects(topic) == ["research"]


def test_a_request_for_changes(desk: Desk) -> None:
    desk.reporter.start({"topic": "x"}, thread_id=desk.thread)
    desk.decide(Respond(message="shorter"))
    desk.reporter.run_due()
    assert desk.reporter.resume(desk.thread).values["sent"] == "no: shorter"


async def test_from_async_code(desk: Desk) -> None:
    outcome = await desk.reporter.astart({"topic": "x"}, thread_id=desk.thread)
    assert len(outcome.waiting) == 1
    desk.decide(Approve())
    assert (await desk.reporter.aresume(desk.thread)).finished
    desk.reporter.run_due()


def test_watching(desk: Desk) -> None:
    with desk.payer.watch():
        desk.pay(10)
        desk.decide(Approve())
        wait_until(lambda: desk.paid, "the decided call ran", 30)
        wait_until(lambda: desk.so.wakeups() == [], "no wake-up is left", 30)
    assert desk.paid == ["10.0"]


def test_a_busy_thread_is_awaited(desk: Desk) -> None:
    file = desk.server.folder / f"file-{desk.thread}"
    calls = (
        ("wait", {"file": file.name}),
        ("pay", {"amount": 1, "to": desk.thread}),
    )
    other = RemoteRunner(desk.so, desk.client, "payer", agent="payer")
    with ThreadPoolExecutor(2) as pool:
        starting = pool.submit(desk.start_elsewhere, *calls)
        try:
            wait_until(desk.waiting, "it asked", 30)
            with pytest.raises(ThreadBusy):
                other.start({"messages": []}, thread_id=desk.thread)
            desk.decide(Approve())
            waking = pool.submit(other.run_due)
        finally:
            file.touch()
        assert waking.result(60) == 1
        starting.result(60)
    assert desk.paid == ["1.0"]


def test_unknown_threads_are_refused(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UnknownThread):
        desk.payer.resume(desk.thread)
    with pytest.raises(InvalidSetting, match="UUID"):
        desk.payer.start({"messages": []}, thread_id="order-7")
    other = Signoff(desk.server.store, policy=[])
    request = other.propose(call(thread=desk.thread), Asked()).request
    assert request is not None
    desk.decide(Approve(), request)
    other.close()
    clerk = RemoteRunner(desk.so, desk.client, "payer", agent="clerk")
    with caplog.at_level(logging.WARNING):
        assert clerk.run_due() == 1
    assert "has no saved state" in caplog.text
    (kept,) = desk.so.wakeups()  # it may be saved later, so it is tried again
    assert kept.attempts == 1
    desk.so.done_waking(kept)


def test_an_unknown_graph_is_refused(desk: Desk) -> None:
    nobody = RemoteRunner(desk.so, desk.client, "nobody", agent="payer")
    with pytest.raises(InvalidSetting, match="registered graphs"):
        nobody.start({"messages": []}, thread_id=desk.thread)


@pytest.mark.row("A16")
def test_a_server_that_was_down_in_between(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.pay(10)
    desk.server.stop()
    desk.decide(Approve())
    with caplog.at_level(logging.ERROR):
        assert desk.payer.run_due() == 1
    assert "can't be reached" in caplog.text
    assert len(desk.so.wakeups()) == 1
    with pytest.raises(GraphServerFailed, match="can't be reached"):
        desk.payer.resume(desk.thread)
    desk.server.start()
    wait_until(lambda: desk.payer.run_due() or not desk.so.wakeups(), "woken", 60)
    wait_until(lambda: not desk.so.wakeups(), "it went on", 60)
    assert desk.paid == ["10.0"]
