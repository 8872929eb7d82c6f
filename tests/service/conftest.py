"""A Signoff on both databases, with time that moves and nothing left behind."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from signoff import Policy, Rule, Signoff
from signoff.testing import MovableClock

Opener = Callable[..., Signoff]


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def open_signoff(database_url: str, clock: MovableClock) -> Iterator[Opener]:
    """Opens a Signoff on this test's database, with the rules that the test gives."""
    with ExitStack() as opened:

        def opener(
            *rules: Rule,
            lease: timedelta | str = "30s",
            directory: str = "tokens",
        ) -> Signoff:
            policy = Policy(rules) if rules else None
            so = Signoff(
                database_url,
                policy=policy,
                lease=lease,
                directory=directory,
                clock=clock,
            )
            opened.callback(so.close)
            return so

        yield opener


@pytest.fixture
def so(open_signoff: Opener) -> Signoff:
    """A Signoff that asks about everything."""
    return open_signoff()
