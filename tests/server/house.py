"""A store with people, an agent and something to decide, behind a real server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx2
from starlette.types import ASGIApp

from signoff import (
    Action,
    Approve,
    Context,
    Policy,
    Principal,
    Request,
    Signoff,
    review,
)
from signoff.client import Client
from signoff.domain.actions import ToolTraits
from signoff.domain.journal import Entry
from signoff.domain.principals import PrincipalKind
from signoff.ports import KnownTool
from signoff.server import Server
from signoff.service.propose import Asked

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "amount": {"type": "number"},
        "count": {"type": "integer"},
        "to": {"type": "string"},
        "urgent": {"type": "boolean"},
    },
    "required": ["amount", "to"],
}
ARGS: Mapping[str, Any] = {"amount": 10.0, "count": 1, "to": "ACC", "urgent": True}
POLICY = Policy(
    [
        review("pay_big", approvals=2, reviewers=["finance"], risk="critical"),
        review("ask_only", decisions=["approve", "reject"]),
        review("*", risk="high"),
    ]
)


@dataclass
class House:
    """A store, and who has tokens for it.

    Attributes:
        so: The use cases, on the database itself.
    """

    so: Signoff
    _calls: Iterator[int] = field(default_factory=count)
    _secrets: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        tool: str = "pay",
        args: Mapping[str, Any] = ARGS,
        *,
        thread: str = "t1",
        user: str | None = "ana",
    ) -> Request:
        """An agent wants something, so people are asked."""
        context = Context(thread=thread, agent="clerk", user=user, team="books")
        action = Action(
            context=context,
            message_id="m",
            call_id=f"c{next(self._calls)}",
            tool=tool,
            args=args,
        )
        asked = Asked(description="Pays somebody.", schema=SCHEMA)
        request = self.so.propose(action, asked).request
        assert request is not None
        return request

    def secret(
        self,
        name: str = "bo",
        *groups: str,
        kind: PrincipalKind = PrincipalKind.PERSON,
    ) -> str:
        """The token of somebody, who gets one at the first call."""
        if name not in self._secrets:
            _, secret = self.so.create_token(name, kind=kind, groups=groups)
            self._secrets[name] = secret
        return self._secrets[name]

    def who(self, name: str = "bo") -> Principal:
        """Somebody, as the server sees them."""
        return self.so.authenticate(self.secret(name), channel="api")

    def lost(self) -> Entry:
        """A call whose worker went silent: its outcome is unknown."""
        request = self.ask()
        approved = self.so.decide(
            request.id, Approve(), by=self.who(), digest=request.digest
        )
        entry = self.so.begin(approved)
        assert entry is not None
        assert self.so.finish(entry, "lose", result=None, summary="no answer")
        return self.so.journal(thread=request.thread)[-1]

    def learn_tool(self) -> KnownTool:
        """The agent is seen to have a tool."""
        tool = KnownTool(
            agent="clerk",
            name="pay",
            description="Pays somebody.",
            schema=SCHEMA,
            traits=ToolTraits(idempotent=True),
        )
        self.so.know_tools([tool])
        return tool

    def events(self) -> int:
        """How many events the ledger has: one more after every change."""
        return self.so.audit().events


@dataclass
class Street:
    """A house that is served.

    Attributes:
        http: Speaks to the server with no token at all.
    """

    house: House
    server: Server
    http: httpx2.Client

    def bearer(self, name: str = "bo") -> dict[str, str]:
        """The header that somebody's programs send."""
        return {"Authorization": f"Bearer {self.house.secret(name)}"}

    def client(self, name: str = "bo") -> Client:
        """A client as somebody; the caller closes it."""
        return Client(self.server.url, self.house.secret(name))


@contextmanager
def open_street(
    house: House, ui: ASGIApp | None = None, base_url: str | None = None
) -> Iterator[Street]:
    """Serve a house."""
    with (
        Server(house.so, ui=ui, base_url=base_url) as server,
        httpx2.Client(base_url=server.url, trust_env=False) as http,
    ):
        yield Street(house, server, http)
