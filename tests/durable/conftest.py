"""Places for workers: a store, checkpoints beside it, agents that outlive processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from signoff import Approve, Request, Signoff
from signoff.clock import Clock
from signoff.langgraph import Runner
from signoff.langgraph._savers import open_saver
from tests.durable import shop
from tests.forked import forked
from tests.langgraph.agents import MARIA
from tests.support import ROOT, wait_until

HEARTBEAT = "1s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A store, a checkpointer and the file of effects, and an agent on them."""

    url: str
    threads: str
    folder: Path
    so: Signoff
    runner: Runner
    rule: str | None

    @property
    def hold(self) -> Path:
        """While this file exists, a payment that has begun doesn't end."""
        return self.folder / "hold"

    @property
    def env(self) -> dict[str, str]:
        """What tells `tests.durable.shop` all this."""
        return {
            **os.environ,
            shop.STORE: self.url,
            shop.EFFECTS: str(self.folder / "effects"),
            shop.HOLD: str(self.hold),
            **({} if self.rule is None else {shop.RULE: self.rule}),
            "PYTHONPATH": os.pathsep.join([*map(str, _sources()), str(ROOT)]),
        }

    def did(self, what: str) -> list[dict[str, Any]]:
        """Every `begun` or `paid`."""
        file = self.folder / "effects"
        lines = file.read_text().splitlines() if file.exists() else []
        return [one for one in map(json.loads, lines) if one["did"] == what]

    def ask(self, thread: str = "t1") -> Request:
        """Start a thread; what it asks."""
        self.runner.start(shop.GO, thread_id=thread)
        (request,) = self.so.thread(thread)
        return request

    def approve(self, request: Request) -> None:
        """A person says yes to what is shown."""
        self.so.decide(request.id, Approve(), by=MARIA, digest=request.digest)

    def finished(self, thread: str) -> bool:
        """Whether a thread came to its end."""
        return self.last(thread) == "done"

    def last(self, thread: str) -> str:
        """The last message of a thread."""
        state = self.runner.graph.get_state({"configurable": {"thread_id": thread}})
        return str(state.values["messages"][-1].content)


def _sources() -> list[Path]:
    """Where this run's signoff is, before any that is installed."""
    import signoff

    return [Path(signoff.__file__).parent.parent]


MakeShop = Callable[..., Shop]


@pytest.fixture
def make_shop(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeShop]:
    """Opens the shop of this test, on either database."""
    threads = database_url
    if database_url.startswith("sqlite"):
        threads = f"sqlite:///{tmp_path / 'threads.db'}"
    with ExitStack() as stack:

        def make(clock: Clock | None = None, rule: str | None = None) -> Shop:
            so = shop.opened(database_url, rule, clock)
            stack.callback(so.close)
            saver = stack.enter_context(open_saver(threads, None))
            hold = str(tmp_path / "hold")
            effects, amounts = str(tmp_path / "effects"), shop.amounts(rule)
            monkeypatch.setenv(shop.EFFECTS, effects)
            graph = shop.make(so, effects, hold, saver, amounts=amounts)
            return Shop(
                url=database_url,
                threads=threads,
                folder=tmp_path,
                so=so,
                runner=Runner(so, graph, agent="payer"),
                rule=rule,
            )

        yield make


@pytest.fixture(name="shop")
def a_shop(make_shop: MakeShop) -> Shop:
    """The shop of this test."""
    return make_shop()


class WorkerProcess:
    """`signoff worker` in a process of its own, where some modules may be lacking."""

    def __init__(
        self, place: Shop, *more: str, bare: bool = False, lacking: Sequence[str] = ()
    ) -> None:
        named = () if bare else ("tests.durable.shop:graph", "--agent", "payer")
        self._log = place.folder / f"worker-{len(list(place.folder.iterdir()))}.log"
        command = [
            *("worker", *named, "--store", place.url),
            *("--checkpointer", place.threads, "--heartbeat", HEARTBEAT, *more),
        ]
        with self._log.open("w") as log:
            self.process = _started(lacking, command, log, place.env)

    @property
    def said(self) -> str:
        """Everything that it printed."""
        return self._log.read_text()

    def ready(self) -> WorkerProcess:
        """Wait until it works."""

        def works() -> bool:
            assert self.process.poll() is None, self.said
            return "Ready." in self.said

        wait_until(works, "the worker is ready", timeout=60)
        return self

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end."""
        return self.process.wait(60)


def _started(
    lacking: Sequence[str], command: Sequence[str], log: IO[str], env: dict[str, str]
) -> subprocess.Popen[str]:
    if lacking == ():
        return forked("signoff", *command, stdout=log, stderr=log, env=env)
    code = f"import sys; sys.modules.update(dict.fromkeys({lacking!r}))"
    program = f"{code}; from signoff.cli import app; app(prog_name='signoff')"
    return subprocess.Popen(
        [sys.executable, "-c", program, *command],
        stdout=log,
        stderr=log,
        cwd=ROOT,
        env=env,
        text=True,
    )


StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(shop: Shop) -> Iterator[StartWorker]:
    """Starts workers; none is left."""
    started: list[WorkerProcess] = []

    def start(
        *more: str, bare: bool = False, lacking: Sequence[str] = ()
    ) -> WorkerProcess:
        started.append(WorkerProcess(shop, *more, bare=bare, lacking=lacking))
        return started[-1]

    yield start
    for one in started:
        one.send(signal.SIGKILL)
        one.end()
