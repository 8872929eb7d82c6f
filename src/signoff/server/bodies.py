"""What clients send. Nothing is coerced, and what isn't known is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from signoff.domain.journal import EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Approve, Decision, Edit, Reject, Respond, Status
from signoff.ports import Filter

MAX_TEXT = 20_000
# PostgreSQL can't store it, and nobody can read it.
_NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, Field(max_length=MAX_TEXT, pattern=_NO_NUL)]
Name = Annotated[str, Field(max_length=2_000, pattern=_NO_NUL)]
EntryStates = Literal["prepared", "running", "done", "failed", "unknown"]


class Sent(BaseModel):
    """Exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Said(Sent):
    """What every decision has. Who says it is the token's identity, never a field."""

    digest: Annotated[
        Name | None,
        Field(description="The `digest` of the request as it was shown."),
    ]
    reason: Text | None = None


class ApproveBody(Said):
    """Yes, run it as shown."""

    type: Literal["approve"]

    def decision(self) -> Decision:
        return Approve(reason=self.reason)


class RejectBody(Said):
    """No. The reason goes to the agent."""

    type: Literal["reject"]

    def decision(self) -> Decision:
        return Reject(reason=self.reason)


class EditBody(Said):
    """Yes, but with these arguments (and this tool); policy runs on it again."""

    type: Literal["edit"]
    args: dict[str, Any]
    tool: Name | None = None

    def decision(self) -> Decision:
        return Edit(args=self.args, tool=self.tool, reason=self.reason)


class RespondBody(Said):
    """Don't run it; give the agent this answer as the tool's result."""

    type: Literal["respond"]
    message: Text

    def decision(self) -> Decision:
        return Respond(message=self.message, reason=self.reason)


DecisionBody = Annotated[
    ApproveBody | RejectBody | EditBody | RespondBody, Field(discriminator="type")
]


class CancelBody(Sent):
    """Why a request is withdrawn."""

    reason: Text


class PauseBody(Sent):
    """What is paused. What isn't named is any; what is named must all match."""

    agent: Name | None = None
    thread: Name | None = None
    tool: Annotated[Name | None, Field(description="A glob, such as `send_*`.")] = None
    reason: Text | None = None


class SettleBody(Sent):
    """How an unknown outcome ended."""

    happened: bool
    note: Text = ""


class TokenBody(Sent):
    """Whom a new token stands for."""

    principal: Annotated[Name, Field(min_length=1)]
    kind: Literal["person", "agent", "service"] = "person"
    groups: list[Name] = []
    expires_in_s: Annotated[
        int | float | None, Field(gt=0, le=10 * 366 * 86400, description="Seconds.")
    ] = None

    @property
    def principal_kind(self) -> PrincipalKind:
        return PrincipalKind(self.kind)


class Wanted(BaseModel):
    """Which requests to list; a field that isn't given is any."""

    model_config = ConfigDict(extra="forbid")

    status: Literal[
        "any", "pending", "approved", "rejected", "responded", "expired", "cancelled"
    ] = "pending"
    thread: Name | None = None
    agent: Name | None = None
    tool: Name | None = None
    team: Name | None = None
    risk: Name | None = None
    order: Annotated[
        str, Field(json_schema_extra={"enum": ["deadline", "newest", "risk"]})
    ] = "deadline"
    cursor: Annotated[
        str | None, Field(max_length=2000, description="`next` of the page before.")
    ] = None
    limit: Annotated[int, Field(json_schema_extra={"minimum": 1, "maximum": 200})] = 50

    def filter(self) -> Filter:
        """The same for the service."""
        given = self.model_dump(exclude={"status"})
        status = None if self.status == "any" else Status(self.status)
        return Filter(status=status, **given)


class WantedEntries(BaseModel):
    """Which entries of the journal to list."""

    model_config = ConfigDict(extra="forbid")

    thread: Name | None = None
    state: EntryStates | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100

    @property
    def entry_state(self) -> EntryState | None:
        return None if self.state is None else EntryState(self.state)
