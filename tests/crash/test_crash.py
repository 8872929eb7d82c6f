"""The crash matrix at the size that fits a test; `make crash` plays it at full size."""

import os
from pathlib import Path

import pytest

from tests.conformance.harness import Place
from tests.crash.rounds import play

ROUNDS = int(os.environ.get("SIGNOFF_TEST_CRASHES", "12"))
SEED = int(os.environ.get("SIGNOFF_TEST_SEED", "1"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.row("A2", "A16", "C1", "C2", "C23", "C24", "I5")
def test_whoever_dies_nothing_happens_twice_and_nothing_is_lost(
    database_url: str, tmp_path: Path
) -> None:
    score = play(Place(database_url, tmp_path), range(SEED, SEED + ROUNDS), print)
    assert (score.twice, score.lost, score.stuck, score.breaks) == ([], [], [], [])
    assert score.rounds == ROUNDS
    assert sum(score.kills.values()) >= ROUNDS // 3, "too few processes were struck"
