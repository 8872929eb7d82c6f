"""What tests of the service say in every other line."""

from signoff import Action, Approve, Context, Principal, Request, Signoff
from signoff.domain.actions import ToolTraits
from signoff.domain.journal import Entry
from signoff.domain.requests import Decision
from signoff.ports import KnownTool
from signoff.service.propose import Asked

ANN = Principal(id="ann", groups=frozenset({"finance"}))
BOB = Principal(id="bob", groups=frozenset({"finance"}))
CAT = Principal(id="cat")
SCHEMA = {
    "type": "object",
    "properties": {"amount": {"type": "number"}, "to": {"type": "string"}},
    "required": ["amount"],
}


def call(
    tool: str = "pay",
    *,
    call_id: str = "call-1",
    thread: str = "thread-1",
    user: str | None = "uma",
    **args: object,
) -> Action:
    """One tool call of an agent; `pay(amount=10)` unless the test says otherwise."""
    return Action(
        context=Context(thread=thread, agent="clerk", user=user, team="ops"),
        message_id="message-1",
        call_id=call_id,
        tool=tool,
        args=args or {"amount": 10},
    )


def ask(so: Signoff, action: Action | None = None) -> Request:
    """Propose a call that policy asks about; its request."""
    standing = so.propose(
        call() if action is None else action, Asked(schema=SCHEMA, description="pays")
    )
    assert standing.request is not None
    return standing.request


def say(so: Signoff, request: Request, decision: Decision, by: Principal) -> Request:
    """Decide on what the request shows now."""
    return so.decide(request.id, decision, by=by, digest=so.get(request.id).digest)


def approved(so: Signoff, action: Action | None = None) -> Request:
    """A request that Ann approved."""
    return say(so, ask(so, action), Approve(), ANN)


def running(so: Signoff, action: Action | None = None) -> Entry:
    """The entry of an approved call that runs."""
    entry = so.begin(approved(so, action))
    assert entry is not None
    return entry


def tool(name: str, **properties: str) -> KnownTool:
    """A tool of the agent; each property is required and has a JSON type."""
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": sorted(properties),
    }
    return KnownTool(
        agent="clerk", name=name, description="", schema=schema, traits=ToolTraits()
    )


def kinds(so: Signoff, request: Request) -> list[str]:
    """The kinds of a request's events, in order."""
    return [event.fact.kind for event in so.history(request.id)]
