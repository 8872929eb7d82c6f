"""Notices: what people are told, and the life of each delivery.

A notice is written in the transaction of the move that it tells of. A delivery is one
notice on its way to one recipient over one channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from signoff.domain.actions import canonical, sha256
from signoff.domain.principals import Principal, PrincipalKind
from signoff.domain.requests import Request, Status

SECOND: Final = 1_000_000
FIRST_RETRY: Final = 10 * SECOND
LONGEST_RETRY: Final = 4 * 3600 * SECOND
STALE: Final = 7 * 86_400 * SECOND
"""How long a notice of a settled request waits for a deliverer, until it is moot."""

ASKING: Final = frozenset({"asked", "reminded", "escalated", "assigned", "edited"})
SETTLED: Final = frozenset(s.value for s in Status if s is not Status.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that people should hear of, beside the move that made it so.

    Attributes:
        kind: One of `ASKING`, which go to those who may decide, or of `SETTLED`, which
            go to those who were asked; any other kind goes to those who may decide.
        revision: The request's, when this happened.
        to: The people or groups to tell, where the move itself names them.
        by: Who did it; None is signoff itself.
        said: JSON: the reason, the message, what else the move has to say.
    """

    kind: str
    request_id: str
    revision: int
    to: tuple[str, ...] | None = None
    by: str | None = None
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_asking(self) -> bool:
        """Whether it wants a decision, so that it is moot once there is one."""
        return self.kind in ASKING

    @property
    def is_settled(self) -> bool:
        """Whether it tells how a request ended."""
        return self.kind in SETTLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A notice in its place: beside event `seq` of its thread's chain.

    Attributes:
        at: Microseconds since 1970 UTC on the database clock.
    """

    id: str
    thread: str
    seq: int
    at: int
    notice: Notice


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"
    DROPPED = "dropped"


TRANSITIONS: Final[Mapping[DeliveryState, Mapping[str, DeliveryState]]] = {
    DeliveryState.QUEUED: {
        "claim": DeliveryState.SENDING,
        "drop": DeliveryState.DROPPED,
    },
    DeliveryState.SENDING: {
        "claim": DeliveryState.SENDING,
        "deliver": DeliveryState.SENT,
        "retry": DeliveryState.QUEUED,
        "give_up": DeliveryState.DEAD,
        "drop": DeliveryState.DROPPED,
    },
    DeliveryState.SENT: {},
    DeliveryState.DEAD: {"requeue": DeliveryState.QUEUED},
    DeliveryState.DROPPED: {},
}
"""Every move there is. A `sending` one is claimed again once its lease has passed.

`drop` is for a question that was answered before it was sent.
"""

OPEN: Final = frozenset({DeliveryState.QUEUED, DeliveryState.SENDING})


def step(state: DeliveryState, move: str) -> DeliveryState:
    """Where a move leads.

    Raises:
        KeyError: If the life cycle has no such move.
    """
    return TRANSITIONS[state][move]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notice on its way to one recipient over one channel.

    Times are microseconds since 1970 UTC on the database clock.

    Attributes:
        id: The same at every attempt, for whoever receives it twice.
        recipient: A person, a group or an address, as the channel understands it.
        attempts: How often it was tried; it also fences off a late deliverer.
        due_at: When it is tried next, or when its deliverer counts as lost; None once
            nothing more happens by itself.
        reference: What the channel calls the sent message.
    """

    id: str
    notice_id: str
    request_id: str
    kind: str
    seq: int
    channel: str
    recipient: str
    state: DeliveryState
    attempts: int
    queued_at: int
    due_at: int | None = None
    last_error: str | None = None
    sent_at: int | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a channel sends: the notice with its request, secrets taken out.

    Attributes:
        id: The delivery's: the same when it is sent again.
        request: As it stands now; its texts are redacted, its digest is over the
            unredacted arguments.
        redacted: Where something was taken out, such as `args.password`.
        link: Where the request is decided.
        earlier: References of what this recipient was sent about this request before.
    """

    id: str
    recipient: str
    notice: Notice
    at: int
    request: Request
    redacted: tuple[str, ...]
    link: str
    earlier: tuple[str, ...] = ()


def notice_id(thread: str, seq: int, notice: Notice) -> str:
    """The id of a notice beside event `seq` of its thread's chain."""
    named = [thread, seq, notice.kind, notice.request_id]
    return "ntc_" + sha256(canonical(named))[:24]


def delivery_id(notice: str, channel: str, recipient: str) -> str:
    """The same for the same notice, channel and recipient, whoever works it out."""
    return "dlv_" + sha256(canonical([notice, channel, recipient]))[:24]


def pause(delivery_id: str, attempt: int) -> int:
    """Microseconds to wait after a failed attempt: doubled each time, spread by id.

    The spread is at most a quarter either way, so that what failed together doesn't
    come back together.
    """
    doubled = min(FIRST_RETRY << min(attempt - 1, 30), LONGEST_RETRY)
    drawn = int(sha256(canonical([delivery_id, attempt]))[:8], 16) / 0xFFFF_FFFF
    return int(doubled * (0.75 + drawn / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Who can be told.

    Attributes:
        people: Everybody with a live token.
        lent: Whoever may decide by another's right now, with that other.
    """

    people: Sequence[Principal]
    lent: Sequence[tuple[str, Principal]] = ()


def deciders(request: Request, known: Known) -> tuple[str, ...] | None:
    """Who may decide, by name, or None if no rule names anybody.

    A group's members are the known people in it, and a person's delegates are told
    too. A name that no known person answers to stays: it may be an address, or one
    that the operator's file knows.
    """
    reviewers = request.terms.reviewers
    if reviewers is None:
        return None
    return members(reviewers, known, without=_barred(request))


def invited(notice: Notice, request: Request, known: Known) -> tuple[str, ...] | None:
    """Who is told of a notice that wants a decision; None if nobody is named."""
    if notice.to is None:
        return deciders(request, known)
    return members(notice.to, known, without=_barred(request))


def members(
    names: Iterable[str], known: Known, *, without: str | None = None
) -> tuple[str, ...]:
    """The people that names stand for, each once, and who may decide for them."""
    people = [one for one in known.people if one.kind is PrincipalKind.PERSON]
    lent = [(who, right) for who, right in known.lent if right.id != without]
    found: dict[str, None] = {}
    for name in names:
        answering = sorted({one.id for one in people if one.answers_to((name,))})
        found |= dict.fromkeys(answering or [name])
        instead = sorted({who for who, right in lent if right.answers_to((name,))})
        found |= dict.fromkeys(instead)
    return tuple(name for name in found if name != without)


def _barred(request: Request) -> str | None:
    return None if request.terms.self_approval else request.user


def is_moot(notice: Notice, request: Request) -> bool:
    """Whether a question needn't be asked any more: answered, or asked anew."""
    return notice.is_asking and (
        request.status is not Status.PENDING or notice.revision < request.revision
    )
