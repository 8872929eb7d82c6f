"""The same people's desks: on the database itself, and over HTTP."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from signoff import Signoff
from signoff.client import Client
from signoff.server import Server
from tests.client.desks import Desk, Direct, Office
from tests.server.house import POLICY, House


@pytest.fixture(params=["direct", "http"])
def office(request: pytest.FixtureRequest, database_url: str) -> Iterator[Office]:
    """The test runs four times: on each database, without a server and with one."""
    with ExitStack() as stack:
        known = Signoff(database_url, policy=POLICY, directory="open")
        so = stack.enter_context(closing(known))
        house = House(so)
        if request.param == "direct":
            yield Office(house, lambda name: Direct(so, house.who(name)))
            return
        server = stack.enter_context(Server(so))

        def desk(name: str) -> Desk:
            client = Client(server.url, house.secret(name))
            return stack.enter_context(client)

        yield Office(house, desk)
