"""Rounds: a thread, somebody who dies on the way, others who go on, and a verdict."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any, Final

from signoff import Signoff, Status
from signoff.clock import Clock
from signoff.domain.errors import CannotSettle
from signoff.domain.journal import Entry, EntryState
from signoff.domain.requests import Request
from tests.conformance.harness import Place, tools
from tests.crash import people
from tests.crash.people import Part
from tests.crash.steps import STEPS, Point
from tests.forked import processes
from tests.langgraph.agents import MARIA
from tests.support import wait_until

PATIENCE_S: Final = 90
TRIES: Final = 12
LATER: Final = timedelta(hours=1)
KINDS: Final = ("approve", "approve", "approve", "edit", "reject", "respond")
OFTEN: Final = {"checkpoint": 6, "writes": 6, "commit": 5}
AT: Final = {
    "start": ("propose", "commit", "checkpoint", "writes"),
    "decide": ("decide", "commit"),
    "work": (
        "wake",
        "claim",
        "effect",
        "result",
        "commit",
        "checkpoint",
        "writes",
        "woken",
    ),
}


_CHILDREN: Final = Lock()
"""To start a process multiprocessing asks how all others ended. Of two threads that ask
about one at once, one is told nonsense."""


@dataclass
class Score:
    """What came of the rounds; every list should be empty.

    Attributes:
        late: How often a frozen process did its effect after a person had looked and
            said that it didn't happen; the ledger shows each as a late result.
        locked: How often a process was frozen inside of a write to SQLite, which stops
            every other writer: it thaws before the others go on. PostgreSQL ends such a
            transaction by itself.
    """

    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    survived: int = 0
    late: int = 0
    locked: int = 0
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether every promise held."""
        return not (self.twice or self.lost or self.stuck or self.breaks)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one round does; it follows from its seed alone."""

    seed: int
    victim: str
    point: Point
    kind: str
    amounts: tuple[int, ...]
    deciders: int
    skewed: bool

    @property
    def thread(self) -> str:
        """The round's thread."""
        return f"round-{self.seed}"

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.victim}, {self.point}, {self.kind}"


def plan(seed: int) -> Plan:
    """A round by its seed; every step comes up in turn."""
    rng = Random(seed)  # noqa: S311 - reproducible, not secret
    victim = rng.choice(("start", "decide", "work", "work", "work"))
    step = rng.choice(AT[victim])
    how = "freeze" if victim == "work" and rng.random() < 0.25 else "kill"
    nth = rng.randint(1, OFTEN.get(step, 1))
    first = 10 * rng.randint(1, 1_000_000)
    return Plan(
        seed=seed,
        victim=victim,
        point=Point(step, nth, rng.random() < 0.5, how),
        kind=rng.choice(KINDS),
        amounts=tuple(first * 10 + n for n in range(0, 10 * rng.randint(1, 2), 10)),
        deciders=rng.choice((1, 1, 3)),
        skewed=rng.random() < 0.2,
    )


class Round:
    """Plays one plan at a place and says what it found."""

    def __init__(self, place: Place, made: Plan, score: Score) -> None:
        self.place, self.plan, self.score = place, made, score
        self.clock = Clock()
        self.frozen: ForkServerProcess | None = None

    def play(self) -> None:
        """Start, decide and work, one of them doomed; then others finish it."""
        self._do(people.start, "start")
        self._decide_by_many()
        self._do(people.work, "work")
        self._recover()
        self._thaw()
        self._recover()
        self._judge()

    def _decide_by_many(self) -> None:
        doomed = self._started(people.decide, "decide", self.plan.kind)
        others = [
            self._started(people.decide, "", self.plan.kind)
            for _ in range(self.plan.deciders - 1)
        ]
        for process in (doomed, *others):
            self._ended(process)

    def _do(self, what: Callable[..., None], role: str, **how: Any) -> None:  # noqa: ANN401 - fields of a part
        self._ended(self._started(what, role, **how))

    def _started(
        self,
        what: Callable[..., None],
        role: str,
        *more: object,
        **how: Any,  # noqa: ANN401 - fields of a part
    ) -> ForkServerProcess:
        made = self.plan
        point = made.point if role == made.victim else None
        skewed = made.skewed and role == made.victim
        part = Part(self.place, made.thread, made.amounts, point, skewed=skewed, **how)
        process = processes().Process(target=what, args=(part, *more))
        with _CHILDREN:
            process.start()
        return process

    def _ended(self, process: ForkServerProcess) -> None:
        wait_until(
            lambda: _exit_code(process) is not None or _is_stopped(process.pid),
            f"a process of {self.plan} ends",
            PATIENCE_S,
        )
        code = _exit_code(process)
        if code is None:
            self.frozen = process
            self.score.kills[f"freeze at {self.plan.point.step}"] += 1
            if _is_locked(self.place.folder):
                self.score.locked += 1
                self._thaw()
        elif code == -signal.SIGKILL:
            self.score.kills[self.plan.point.step] += 1
        elif code != 0:
            self.score.breaks.append(f"{self.plan}: exit code {code}")

    def _thaw(self) -> None:
        pid = None if self.frozen is None else self.frozen.pid
        if self.frozen is None or pid is None:
            return
        thawed, self.frozen = self.frozen, None
        os.kill(pid, signal.SIGCONT)
        wait_until(
            lambda: _exit_code(thawed) is not None,
            f"the thawed process of {self.plan} ends",
            PATIENCE_S,
        )
        if _exit_code(thawed) != 0:
            self.score.breaks.append(f"{self.plan}: thawed, {_exit_code(thawed)}")

    def _recover(self) -> None:
        """What the rest of the world does: work, answer, say what happened."""
        for _ in range(TRIES):
            if self._rests():
                return
            self._do(people.work, "", ahead=LATER)
            with self._so() as so:
                self._settle(so)
            if not self._is_known():
                self._do(people.start, "", ahead=LATER)
            done = self._started(people.decide, "", self.plan.kind)
            self._ended(done)
        self.score.stuck.append(str(self.plan))

    def _settle(self, so: Signoff) -> None:
        for entry in so.journal(thread=self.plan.thread, state=EntryState.UNKNOWN):
            happened = self._happened(so, entry) > 0
            try:
                so.settle(entry.id, happened=happened, note="I looked", by=MARIA)
            except CannotSettle:
                continue

    def _happened(self, so: Signoff, entry: Entry) -> int:
        request = so.get(str(entry.request_id))
        return self.place.tally.of(f"pay {request.args['amount']}")

    def _is_known(self) -> bool:
        with self.place.saver() as saver:
            config = {"configurable": {"thread_id": self.plan.thread}}
            return saver.get_tuple(config) is not None  # type: ignore[arg-type]  # as LangGraph's own

    def _rests(self) -> bool:
        """Whether the agent has said its last word and nothing is left to wake."""
        if not self._is_known():
            return False
        with self.place.saver() as saver, self._so() as so:
            config = {"configurable": {"thread_id": self.plan.thread}}
            own = tools(self.place.tally)
            graph = people.agent_of(so, own, saver, self.plan.amounts)
            # Not the checkpoint alone: its last writes may wait beside it for ever.
            messages = graph.get_state(config).values.get("messages", [])
            ended = messages != [] and messages[-1].content == "done"
            due = any(one.thread == self.plan.thread for one in so.wakeups())
            return ended and not due

    def _judge(self) -> None:
        self.score.rounds += 1
        with self._so() as so:
            for request in so.thread(self.plan.thread):
                self._judge_request(so, request)
            count = len(so.thread(self.plan.thread))
            if count != len(self.plan.amounts):
                self.score.lost.append(f"{self.plan}: {count} requests")

    def _judge_request(self, so: Signoff, request: Request) -> None:
        amount = request.args["amount"]
        times = self.place.tally.of(f"pay {amount}")
        entry = so.entry_of(request)
        done = entry is not None and entry.state is EntryState.DONE
        if times > 1:
            self.score.twice.append(f"{self.plan}: {times} times")
        if (times, done) == (1, False) and self._came_late(so, request):
            self.score.late += 1
        elif times != int(done):
            self.score.lost.append(f"{self.plan}: done is {done}, effects {times}")
        said = self._said(request)
        if said and request.status not in {_ENDS[kind] for kind in said}:
            self.score.lost.append(f"{self.plan}: said {said}, is {request.status}")
        if request.status is Status.PENDING:
            self.score.stuck.append(f"{self.plan}: {request.id} still waits")

    def _came_late(self, so: Signoff, request: Request) -> bool:
        kinds = [event.fact.kind for event in so.history(request.id)]
        return kinds[-2:] == ["settled", "late_result"]

    def _said(self, request: Request) -> list[str]:
        file = self.place.folder / "said"
        lines = file.read_text().split("\n") if file.exists() else []
        pairs = (line.split(" ") for line in lines if line != "")
        return [kind for name, kind in pairs if name == request.id]

    def _so(self) -> _Open:
        return _Open(self.place.url, self.clock)


class _Open:
    """The store as a person's process opens it, closed at the end."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.so = Signoff(url, clock=clock)

    def __enter__(self) -> Signoff:
        return self.so

    def __exit__(self, *_: object) -> None:
        self.so.close()


_ENDS: Final = {
    "approve": Status.APPROVED,
    "edit": Status.APPROVED,
    "reject": Status.REJECTED,
    "respond": Status.RESPONDED,
}


def _is_locked(folder: Path) -> bool:
    """Whether a frozen process has SQLite's one lock: then nobody can write at all."""
    for file in folder.glob("*.db"):
        with closing(sqlite3.connect(file, timeout=1)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
    return False


def _exit_code(process: ForkServerProcess) -> int | None:
    with _CHILDREN:
        return process.exitcode


def _is_stopped(pid: int | None) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return fields.rpartition(")")[2].split()[0] == "T"


def steps_struck(score: Score) -> dict[str, int]:
    """How often each numbered step was struck."""
    return {
        f"{number} {step}": score.kills[step] + score.kills[f"freeze at {step}"]
        for number, step in STEPS.items()
    }


def play(place: Place, seeds: range, say: Callable[[str], None]) -> Score:
    """Play these rounds at one place, and check its ledger at the end."""
    score = Score()
    for done, seed in enumerate(seeds, start=1):
        Round(place, plan(seed), score).play()
        if done % 25 == 0:
            say(f"{done} of {len(seeds)} rounds, {sum(score.kills.values())} struck")
    score.survived = score.rounds - sum(score.kills.values())
    so = Signoff(place.url)
    audit = so.audit()
    so.close()
    score.breaks += [f"ledger: {one.problem}" for one in audit.breaks]
    return score
