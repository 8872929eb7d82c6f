"""`make crash ROUNDS=1000 SEED=7`: the crash matrix at full size, on both databases."""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Final

from signoff import clock
from tests.conformance.harness import Place
from tests.crash.rounds import Score, play, steps_struck
from tests.postgres import own_server

SHOWN = 20
ENOUGH = 500
"""From so many rounds on a database on, none of the steps may be left out."""


def main() -> int:
    """Play half of the rounds on each database; 0 if every promise held."""
    rounds = int(os.environ.get("ROUNDS") or 1000)
    seed = int(os.environ.get("SEED") or 7)
    half = rounds - rounds // 2
    began = clock.monotonic()
    with own_server() as server, tempfile.TemporaryDirectory() as made:
        folders = [Path(made, name) for name in ("sqlite", "postgresql")]
        for folder in folders:
            folder.mkdir()
        urls = (f"sqlite:///{folders[0] / 'signoff.db'}", server.url)
        seeds = (range(seed, seed + half), range(seed + half, seed + rounds))
        with ThreadPoolExecutor(2) as players:
            try:
                scores = list(players.map(_play, folders, urls, seeds))
            finally:  # a frozen one would be waited for without end
                for child in active_children():
                    child.kill()
    for folder, score in zip(folders, scores, strict=True):
        _tell(folder.name, score)
    print(f"\n{rounds} rounds in {clock.monotonic() - began:.0f} s, seed {seed}")
    unstruck = {
        step
        for score in scores
        for step, times in steps_struck(score).items()
        if times == 0 and score.rounds >= ENOUGH
    }
    if unstruck:
        print(f"nobody was struck at: {', '.join(sorted(unstruck))}")
    return 0 if all(score.clean for score in scores) and not unstruck else 1


def _play(folder: Path, url: str, seeds: range) -> Score:
    return play(Place(url, folder), seeds, partial(_say, folder.name))


def _say(name: str, line: str) -> None:
    print(f"{name}: {line}", flush=True)


def _tell(name: str, score: Score) -> None:
    print(f"\n{name}: {score.rounds} rounds, {score.survived} where nobody was struck")
    for step, times in steps_struck(score).items():
        print(f"  struck at {step}: {times}")
    print(f"  late effects, recorded as such: {score.late}")
    print(f"  frozen with SQLite's only lock, and thawed at once: {score.locked}")
    for what in ("twice", "lost", "stuck", "breaks"):
        found = getattr(score, what)
        print(f"  {_WORDS[what]}: {len(found)}")
        for line in found[:SHOWN]:
            print(f"    {line}")


_WORDS: Final = {
    "twice": "effects twice",
    "lost": "decisions lost",
    "stuck": "stuck threads",
    "breaks": "other promises broken",
}


if __name__ == "__main__":
    sys.exit(main())
