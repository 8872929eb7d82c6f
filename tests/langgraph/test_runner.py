"""The runner: wakes what was decided anywhere, one resume of a thread at a time."""

import asyncio
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from signoff import Approve, Reject, Signoff, Status, review
from signoff.domain.errors import NoCheckpointer, UnknownThread
from signoff.langgraph import Runner
from signoff.testing import MovableClock
from tests.forked import forked
from tests.langgraph.agents import (
    MARIA,
    ONE_KIND,
    SYNC,
    Effects,
    Scripted,
    call,
    said,
    turn,
    with_create_agent,
)
from tests.langgraph.conftest import MakeBench
from tests.support import wait_until

RULES = [review("*")]
PAY = [turn(call("pay", "c1", amount=10))]


@SYNC
async def test_it_resumes_what_was_decided_and_nothing_else(bench: MakeBench) -> None:
    agent = await bench(RULES, PAY)
    for thread in ("t1", "t2", "t3"):
        await agent.start(thread)
    assert agent.runner.run_due() == 0
    agent.decide(Approve(), agent.one("t2"))
    agent.decide(Reject(reason="no"), agent.one("t3"))
    assert agent.runner.run_due() == 2
    assert len(agent.effects.done) == 1
    assert agent.so.wakeups() == []
    assert agent.runner.run_due() == 0
    assert [request.thread for request in agent.so.pending().requests] == ["t1"]


@SYNC
@ONE_KIND
async def test_it_leaves_other_agents_threads_alone(bench: MakeBench) -> None:
    ours = await bench(RULES, PAY, agent="ours")
    theirs = await bench(RULES, PAY, agent="theirs")
    await theirs.start()
    theirs.decide(Approve())
    assert ours.runner.run_due() == 0
    assert theirs.runner.run_due() == 1
    assert (len(ours.effects.done), len(theirs.effects.done)) == (0, 1)


@ONE_KIND
async def test_an_unknown_thread_is_refused_and_nothing_starts(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    with pytest.raises(UnknownThread, match="no saved state"):
        await agent.resume("nowhere")
    assert agent.model.heard == []


def test_a_graph_without_a_checkpointer_is_refused(sqlite_url: str) -> None:
    so = Signoff(sqlite_url, policy=RULES)
    graph = with_create_agent(so, Scripted(turns=PAY), Effects().tools(), None)
    with pytest.raises(NoCheckpointer, match="create_agent"):
        Runner(so, graph, agent="payer")
    so.close()


@SYNC
@ONE_KIND
async def test_watching_wakes_a_thread_as_soon_as_it_is_decided(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    with agent.runner.watch():
        for number in range(3):
            thread = f"t{number}"
            await agent.start(thread)
            agent.decide(Approve(), agent.one(thread))
            wait_until(
                lambda count=number + 1: len(agent.effects.done) == count,  # type: ignore[misc]
                "the decided call ran",
            )
        wait_until(lambda: agent.so.wakeups() == [], "no wake-up is left")
    assert all(t.name != "signoff-runner" for t in threading.enumerate())


class Inside:
    """Counts who is inside of a node at the same time."""

    def __init__(self) -> None:
        self.now = self.most = self.times = 0
        self.lock = threading.Lock()

    @contextmanager
    def it(self) -> Iterator[None]:
        """One more, until the end."""
        with self.lock:
            self.now += 1
            self.times += 1
            self.most = max(self.most, self.now)
        try:
            yield
        finally:
            with self.lock:
                self.now -= 1


def _crowded(inside: Inside, saver: Any) -> Any:  # noqa: ANN401 - a graph of any kind
    def wait(state: MessagesState) -> dict[str, Any]:
        with inside.it():
            threading.Event().wait(0.02)
            while True:
                interrupt({"signoff": {}})

    builder = StateGraph(MessagesState)
    builder.add_node("wait", wait)
    builder.add_edge(START, "wait")
    return builder.compile(checkpointer=saver)


def test_one_resume_of_a_thread_at_a_time(sqlite_url: str, tmp_path: Path) -> None:
    so, inside = Signoff(sqlite_url, policy=RULES), Inside()
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as saver:
        runner = Runner(so, _crowded(inside, saver), agent="payer")
        runner.start({"messages": []}, thread_id="t1")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(runner.resume, ["t1"] * 8))
    so.close()
    assert inside.times >= 8
    assert inside.most == 1


async def test_one_resume_of_a_thread_at_a_time_from_async_code(
    sqlite_url: str,
) -> None:
    so, inside = Signoff(sqlite_url, policy=RULES), Inside()
    runner = Runner(so, _crowded(inside, InMemorySaver()), agent="payer")
    await runner.astart({"messages": []}, thread_id="t1")
    await asyncio.gather(
        *(runner.aresume("t1") for _ in range(4)),
        *(asyncio.to_thread(runner.resume, "t1") for _ in range(4)),
    )
    so.close()
    assert inside.times >= 8
    assert inside.most == 1


async def test_threads_do_not_wait_for_each_other(sqlite_url: str) -> None:
    so, inside = Signoff(sqlite_url, policy=RULES), Inside()
    runner = Runner(so, _crowded(inside, InMemorySaver()), agent="payer")
    threads = [f"t{number}" for number in range(4)]
    for thread in threads:
        await runner.astart({"messages": []}, thread_id=thread)
    await asyncio.gather(*(runner.aresume(thread) for thread in threads))
    so.close()
    assert inside.most > 1


@SYNC
@ONE_KIND
async def test_a_thread_that_fails_on_resume_keeps_its_decision(
    bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    agent = await bench(RULES, PAY)
    await agent.start("t1")
    await agent.start("t2")
    first, second = agent.one("t1"), agent.one("t2")
    agent.model.broken = True
    agent.decide(Approve(), first)
    agent.decide(Approve(), second)
    assert agent.runner.run_due() == 2
    assert "thread t1 failed when it was resumed" in caplog.text
    assert len(agent.effects.done) == 2
    assert agent.so.get(first.id).status is Status.APPROVED
    assert agent.runner.run_due() == 0
    agent.model.broken = False
    outcome = await agent.resume("t1")
    assert outcome.finished
    assert said(outcome.values["messages"][-1]) == "done"
    assert len(agent.effects.done) == 2


@SYNC
async def test_a_thread_that_failed_is_tried_again_by_itself(bench: MakeBench) -> None:
    clock = MovableClock()
    agent = await bench(RULES, PAY, clock=clock)
    await agent.start("t1")
    agent.model.broken = True
    agent.decide(Approve(), agent.one("t1"))
    tried = []
    for seconds in (0, 0, 1, 0, 2, 0, 4):
        clock.offset += timedelta(seconds=seconds)
        tried.append(agent.runner.run_due())
    assert tried == [1, 0, 1, 0, 1, 0, 1]
    (waiting,) = agent.so.workforce().waiting
    assert (waiting.agent, waiting.count, waiting.failing) == ("payer", 1, 1)
    assert "the provider is down" in str(waiting.error)
    agent.model.broken = False
    clock.offset += timedelta(seconds=8)
    assert agent.runner.run_due() == 1
    assert agent.so.wakeups() == []
    assert len(agent.effects.done) == 1


Start = Callable[[], "Worker"]


class Worker:
    """An agent's process."""

    def __init__(self, url: str, folder: Path) -> None:
        self.effects = folder / "effects"
        self._errors = folder / "errors"
        arguments = [url, str(folder), str(self.effects)]
        with self._errors.open("a") as errors:
            self.process = forked(
                "tests.langgraph.worker",
                *arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._hear("ready")

    def start(self, thread: str) -> None:
        """Give a thread its input; returns when it waits."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{thread}\n")
        self.process.stdin.flush()
        self._hear("started")

    def _hear(self, word: str) -> None:
        assert self.process.stdout is not None
        heard = self.process.stdout.readline().strip()
        assert heard == word, self._errors.read_text()

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self.process.send_signal(signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Let it end, and wait for that."""
        self.process.communicate()

    def ran_at(self) -> list[float]:
        """When each payment was made, on the machine's monotonic clock."""
        if not self.effects.exists():
            return []
        lines = self.effects.read_text().splitlines()
        return [float(line.split()[1]) for line in lines]


@pytest.fixture
def worker(database_url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts the agent's process, again after a kill."""
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker(database_url, tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def test_decisions_of_another_process_wake_its_threads(
    worker: Start, database_url: str
) -> None:
    so, threads = Signoff(database_url), ("t1", "t2", "t3")
    first = worker()
    delays = []
    for number, thread in enumerate(threads):
        first.start(thread)
        (request,) = so.pending().requests
        so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
        decided = time.monotonic()
        wait_until(lambda done=number + 1: len(first.ran_at()) == done, "it ran")  # type: ignore[misc]
        delays.append(first.ran_at()[-1] - decided)
    # The best of three: a busy machine may hold any one of them up.
    assert min(delays) < 1

    first.start("t4")
    first.kill()
    (request,) = so.pending().requests
    so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
    second = worker()
    wait_until(lambda: len(second.ran_at()) == 4, "it ran after the restart")
    wait_until(lambda: so.wakeups() == [], "no wake-up is left")
    assert so.audit().holds
    so.close()
    assert len(second.ran_at()) == 4


@SYNC
@ONE_KIND
async def test_a_decision_while_the_thread_comes_to_rest_is_not_lost(
    bench: MakeBench,
) -> None:
    """The second call is decided before the first one's resume has ended."""
    turns = [turn(call("pay", "c1", amount=1)), turn(call("pay", "c2", amount=2))]
    agent = await bench(RULES, turns)
    await agent.start()
    agent.decide(Approve())
    bell, agent_so = agent.so.bell, agent.so
    decided = threading.Event()

    def decide_next() -> None:
        heard = bell.rings
        while not decided.is_set():
            for request in agent_so.pending().requests:
                agent_so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
                decided.set()
            heard = bell.wait(heard, 0.01)

    other = threading.Thread(target=decide_next)
    other.start()
    agent.runner.run_due()
    other.join()
    agent.runner.run_due()
    assert [args["amount"] for args in agent.effects.of("pay")] == [1, 2]
    assert agent.so.wakeups() == []
