"""Work in pieces, done by two processes."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from benchmarks.agentdojo.dojo import Pair, Suite, stop_the_clock
from benchmarks.measure import progress
from signoff import Policy, Signoff
from signoff.clock import Clock

PROCESSES: Final = 2
PIECE: Final = 70
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder with a random name in it


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of one part: some pairs, or all tasks, of one suite."""

    suite: str
    mode: str = ""
    pairs: tuple[Pair, ...] = ()


Work = Callable[[Job], Counter[str]]


@lru_cache
def suite(name: str) -> Suite:
    """A suite, loaded once in each process."""
    stop_the_clock()
    return Suite(name)


@contextmanager
def signoff(policy: Policy, clock: Clock | None = None) -> Iterator[Signoff]:
    """A signoff on a new SQLite database, gone afterwards."""
    memory = str(_MEMORY) if _MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(dir=memory) as folder,
        closing(
            Signoff(
                f"sqlite:///{folder}/dojo.db",
                policy=policy,
                directory="open",
                clock=clock,
            )
        ) as so,
    ):
        yield so


def pieces(pairs: Sequence[Pair], mode: str = "") -> Iterator[Job]:
    """Pairs of one suite as jobs of about the same size."""
    for start in range(0, len(pairs), PIECE):
        some = tuple(pairs[start : start + PIECE])
        yield Job(some[0].suite, mode, some)


def do(work: Work, jobs: Iterable[Job], say: str) -> dict[str, Counter[str]]:
    """Do all jobs, and add up what they count by mode."""
    waiting = list(jobs)
    found: dict[str, Counter[str]] = {job.mode: Counter() for job in waiting}
    # Forked where that is safe: importing AgentDojo takes ten seconds.
    how = get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=how) as pool:
        started = {pool.submit(work, job): job for job in waiting}
        for number, done in enumerate(as_completed(started), start=1):
            job = started[done]
            found[job.mode] += done.result()
            progress(f"{say}: {number} of {len(waiting)} ({job.suite} {job.mode})")
    return found
