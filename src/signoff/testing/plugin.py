"""pytest fixtures: a Signoff on a SQLite file of the test's own, and its clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from signoff.bootstrap import Signoff
from signoff.domain.policy import Policy
from signoff.testing.clock import MovableClock


@pytest.fixture
def signoff_policy() -> Policy | None:
    """The policy of the fixture `signoff`: none, so everything asks. Override it."""
    return None


@pytest.fixture
def signoff_clock() -> MovableClock:
    """The clock of the fixture `signoff`."""
    return MovableClock()


@pytest.fixture
def signoff(
    tmp_path: Path, signoff_policy: Policy | None, signoff_clock: MovableClock
) -> Iterator[Signoff]:
    """A Signoff on a SQLite file that lives as long as the test."""
    url = f"sqlite:///{tmp_path / 'signoff.db'}"
    so = Signoff(url, policy=signoff_policy, clock=signoff_clock)
    yield so
    so.close()
