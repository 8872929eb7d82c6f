"""Paired runs in one process: each side takes its turn, round after round.

CPU time is that of this process, all its threads; a database server's is not in it.
A ratio of medians says how the sides compare on any machine; milliseconds don't.
"""

from __future__ import annotations

import gc
import json
import platform
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results"
LIBRARIES: Final = (
    "signoff",
    "langchain",
    "langchain-core",
    "langgraph",
    "langgraph-checkpoint-postgres",
    "langgraph-checkpoint-sqlite",
    "common-expression-language",
    "psycopg",
    "pydantic",
    "sqlalchemy",
)

Turn = Callable[[int], object]


@dataclass(kw_only=True)
class Times:
    """What each turn of one side took, in seconds."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def take(self, turn: Turn, number: int) -> None:
        """Run one turn and note its times."""
        wall, cpu = time.perf_counter(), time.process_time()
        turn(number)
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)


def paired(
    sides: Mapping[str, Turn], *, rounds: int, warm_up: int, say: str
) -> dict[str, Times]:
    """Let the sides take turns; the order rotates, so that none is favoured."""
    names = list(sides)
    times = {name: Times() for name in names}
    ignored = {name: Times() for name in names}
    for number in range(-warm_up, rounds):
        into = ignored if number < 0 else times
        shift = number % len(names)
        gc.collect(0)
        for name in names[shift:] + names[:shift]:
            into[name].take(sides[name], number)
        if number % 50 == 0:
            progress(f"{say}: round {number} of {rounds}")
    return times


def ratio(times: Mapping[str, Times], side: str, to: str) -> dict[str, float]:
    """How one side's median compares with the other's, in CPU and in wall time."""
    one, other = times[side], times[to]
    return {
        "cpu": round(median(one.cpu) / median(other.cpu), 3),
        "wall": round(median(one.wall) / median(other.wall), 3),
    }


def milliseconds(seconds: Sequence[float]) -> float:
    """The median in milliseconds."""
    return round(median(seconds) * 1e3, 3)


def microseconds(seconds: Sequence[float]) -> float:
    """The median in microseconds."""
    return round(median(seconds) * 1e6, 2)


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Write a result as JSON, what doesn't depend on the machine first."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps({**result, "versions": versions()}, indent=2) + "\n")
    return file


def versions() -> dict[str, str]:
    """What was measured with what."""
    found = {name: version(name) for name in LIBRARIES}
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **found,
    }


def progress(text: str) -> None:
    """Say where it is, on standard error."""
    print(f"  {text}", file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns."""
    texts = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        cells = zip(row, widths, strict=True)
        print("  ".join(cell.ljust(width) for cell, width in cells).rstrip())
