"""A shop on SQLite, on PostgreSQL and behind a server."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from signoff import Signoff
from tests.cli.shop import POLICY, Shop


@pytest.fixture
def shop(sqlite_url: str) -> Iterator[Shop]:
    """A shop on SQLite."""
    with closing(Signoff(sqlite_url, policy=POLICY, directory="open")) as so:
        yield Shop(so, sqlite_url)


@pytest.fixture(params=["sqlite", "postgresql", "server"])
def any_shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """The test runs three times: on each database, and over HTTP."""
    fixture = "postgres_url" if request.param == "postgresql" else "sqlite_url"
    url = request.getfixturevalue(fixture)
    with closing(Signoff(url, policy=POLICY, directory="open")) as so:
        if request.param != "server":
            yield Shop(so, url)
            return
        from signoff.server import Server

        with Server(so) as server:
            yield Shop(so, server.url)


@pytest.fixture
def database_of(request: pytest.FixtureRequest, any_shop: Shop) -> str:
    """The address of the database under `any_shop`, also where a server is asked."""
    postgres = any_shop.address.startswith("postgresql")
    url: str = request.getfixturevalue("postgres_url" if postgres else "sqlite_url")
    return url
