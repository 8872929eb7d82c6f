"""A real server in this process, on both databases, and an agent's side to act from."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from signoff import Action, Context, Request, Signoff, quorum, review
from signoff.client import Client
from signoff.inbox.desk import Desk
from signoff.server import Server
from signoff.service.propose import Asked

_numbers = count(1)


@dataclass
class Office:
    """A server, the store behind it, and people's tokens."""

    url: str
    so: Signoff
    closing: ExitStack

    def token(self, name: str) -> str:
        """A new token of that person."""
        return self.so.create_token(name, groups=("desk",))[1]

    def desk(self, name: str) -> Desk:
        """That person at the inbox, through HTTP."""
        client = self.client(self.token(name))
        return Desk(client=client, me=client.whoami())

    def client(self, token: str) -> Client:
        """A client that is closed with the office."""
        client = Client(self.url, token, channel="inbox")
        return self.closing.enter_context(client)

    def ask(
        self,
        tool: str,
        args: Mapping[str, Any],
        schema: Mapping[str, Any] | None = None,
        user: str | None = None,
    ) -> Request:
        """Propose a call; it waits for people."""
        number = next(_numbers)
        context = Context(thread=f"thread-{number}", agent="agent-7", user=user)
        action = Action(
            context=context, message_id="m", call_id="c", tool=tool, args=args
        )
        asked = Asked(schema=schema, description="What the tool says it does.")
        request = self.so.propose(action, asked).request
        assert request is not None
        return request


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    """The server, with rules that ask about everything."""
    rules = [
        review("transfer", approvals=2),
        review("hire", reviewers=["board"]),
        review("wire", any_of=[quorum("cfo"), quorum("desk", approvals=2)], denials=2),
        review("look_up", decisions=["respond", "reject"]),
        review("pay", when="args.amount > 'x'"),
        review("*"),
    ]
    so = Signoff(database_url, policy=rules, directory="open")
    with Server(so) as server, ExitStack() as closing:
        yield Office(url=server.url, so=so, closing=closing)
        gc.collect()  # the pages that are gone
    so.close()
