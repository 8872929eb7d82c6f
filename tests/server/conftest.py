"""Houses on each database, and the server in front of them."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from signoff import Signoff
from tests.server.house import POLICY, House, Street, open_street


@pytest.fixture
def house(sqlite_url: str) -> Iterator[House]:
    """A house on SQLite."""
    with closing(Signoff(sqlite_url, policy=POLICY, directory="open")) as so:
        yield House(so)


@pytest.fixture
def any_house(database_url: str) -> Iterator[House]:
    """The test runs twice: on SQLite and on PostgreSQL."""
    with closing(Signoff(database_url, policy=POLICY, directory="open")) as so:
        yield House(so)


@pytest.fixture
def street(house: House) -> Iterator[Street]:
    """A served house, on SQLite."""
    with open_street(house) as street:
        yield street


@pytest.fixture
def any_street(any_house: House) -> Iterator[Street]:
    """A served house, on each database."""
    with open_street(any_house) as street:
        yield street
