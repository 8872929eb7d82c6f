"""What clients send. Nothing is coerced, and what isn't known is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from signoff.domain.duration import LONGEST
from signoff.domain.errors import PolicyError
from signoff.domain.journal import EntryState
from signoff.domain.notices import DeliveryState
from signoff.domain.policy import Policy
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Approve, Decision, Edit, Reject, Respond, Status
from signoff.domain.rules import Rule, read_rule
from signoff.ports import Filter

MAX_TEXT = 20_000
# PostgreSQL can't store it, and nobody can read it.
_NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, Field(max_length=MAX_TEXT, pattern=_NO_NUL)]
Name = Annotated[str, Field(max_length=2_000, pattern=_NO_NUL)]


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
    behalf: Annotated[
        Name | None,
        Field(
            description="For whom, by the right that this person lends the caller now; "
            "else by the caller's own, or by one that somebody lends them."
        ),
    ] = None


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


class AssignBody(Sent):
    """Who is asked to decide; null is nobody in particular."""

    to: Name | None


class DelegationBody(Sent):
    """Whose right is lent to whom, from when to when."""

    to: Name
    ends: Annotated[AwareDatetime, Field(strict=False)]
    starts: Annotated[
        AwareDatetime | None, Field(strict=False, description="Null is now.")
    ] = None
    delegator: Annotated[
        Name | None,
        Field(description="Null is the caller; another is for the group `admin`."),
    ] = None
    reason: Text | None = None


class PauseBody(Sent):
    """What is paused. What isn't named is any; what is named must all match."""

    agent: Name | None = None
    thread: Name | None = None
    tool: Annotated[Name | None, Field(description="A glob, such as `send_*`.")] = None
    reason: Text | None = None


class SettleBody(Sent):
    """How an unknown outcome ended."""

    happened: bool | None = None
    note: Text = ""
    result: Annotated[
        Any, Field(description="What it returned, as JSON, if it happened.")
    ] = None
    again: Annotated[
        bool, Field(description="Instead: let it be tried again, with the same key.")
    ] = False


class UndoBody(Sent):
    """Why an effect is taken back, and whether what stands in the way counts."""

    reason: Text = ""
    force: Annotated[
        bool,
        Field(description="Override a conflict; needs a reason, and who may."),
    ] = False


class ReasonBody(Sent):
    """Why an effect stays for good, or never takes place."""

    reason: Text = ""


class UndoSinceBody(UndoBody):
    """The same of several."""

    only_dependents: Annotated[
        bool, Field(description="Of what came after it, only what needs it.")
    ] = False


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


class SimulateBody(Sent):
    """A policy to try on the record: its rules as `GET /policies/...` shows them."""

    rules: Annotated[list[dict[str, Any]], Field(max_length=1_000)]
    since_s: Annotated[int | float, Field(gt=0, description="Seconds back.")]
    agent: Name | None = None
    seconds_per_decision: int | float | None = None
    examples: int = 3

    def policy(self) -> Policy:
        """The rules, read.

        Raises:
            PolicyError: One of them isn't one.
        """
        return Policy([_rule(number, rule) for number, rule in enumerate(self.rules)])

    @property
    def since(self) -> timedelta:
        return _span(self.since_s)


def _rule(number: int, described: dict[str, Any]) -> Rule:
    try:
        return read_rule(described)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"rule {number + 1} isn't described as this version describes rules."
        raise PolicyError(problem) from error


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
    assignee: Name | None = None
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


class WantedAdvice(BaseModel):
    """Which record to look at, and from when on it says something."""

    model_config = ConfigDict(extra="forbid")

    since_s: Annotated[float, Field(gt=0, description="Seconds back.")]
    agent: Name | None = None
    at_most: float = 0.02
    least: int = 100

    @property
    def since(self) -> timedelta:
        return _span(self.since_s)


def _span(seconds: float) -> timedelta:
    # Past the longest span, whatever the number; timedelta itself would overflow.
    return timedelta(seconds=min(seconds, 2 * LONGEST.total_seconds()))


class WantedEntries(BaseModel):
    """Which entries of the journal to list."""

    model_config = ConfigDict(extra="forbid")

    thread: Name | None = None
    state: EntryState | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class WantedOpen(BaseModel):
    """How many open windows to list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class WantedPlan(BaseModel):
    """What a plan is made of."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[
        bool, Field(description="It and what came after it, instead of it alone.")
    ] = False
    only_dependents: Annotated[
        bool, Field(description="With `since`: only what needs it.")
    ] = False


class WantedDeliveries(BaseModel):
    """Which deliveries to list."""

    model_config = ConfigDict(extra="forbid")

    state: DeliveryState | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
