"""What the use cases need from the outside. One implementation each, two databases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from signoff.domain.actions import Action, ToolTraits
from signoff.domain.advice import Counts, Judged
from signoff.domain.delegations import Delegation, Lent
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Event, Fact
from signoff.domain.notices import Delivery, DeliveryState, Message, Notice, Posted
from signoff.domain.pauses import Pause
from signoff.domain.principals import Principal, Token
from signoff.domain.requests import Request, Status, Vote
from signoff.domain.simulation import Past, Took
from signoff.domain.stages import Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """The recorded verdict on an action: made once, never again on a resume."""

    action: Action
    action_id: str
    verdict: str
    rule: str
    policy_version: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTool:
    """A tool that an agent was seen to have; edits may switch to it.

    Attributes:
        schema: JSON Schema of its arguments, or None if it declares none.
    """

    agent: str
    name: str
    description: str
    schema: Mapping[str, Any] | None
    traits: ToolTraits


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakeup:
    """A thread that has something to go on with.

    Attributes:
        version: Changes with every new reason, so that none is lost.
        attempts: How often the thread failed when it was woken for this reason.
    """

    thread: str
    agent: str | None
    version: int
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The right to run a thread, which one worker has at a time.

    Attributes:
        agent: Whose thread it is, so that another worker of it can take over.
        fence: Grows with every turn of the thread.
        taken_at: Microseconds on the database's clock; 0 where nobody asked for it.
        lease_until: Until when the worker counts as alive; 0 as above.
    """

    thread: str
    agent: str
    worker: str
    fence: int
    taken_at: int = 0
    lease_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process that runs threads.

    Attributes:
        id: Host, process and a part that no other worker has.
        started_at: Microseconds on the database's clock, as `beat_at`.
        beat_at: When it last said that it is alive.
        threads: Those whose turn it has.
    """

    id: str
    host: str
    pid: int
    agents: tuple[str, ...]
    concurrency: int
    started_at: int = 0
    beat_at: int = 0
    alive: bool = True
    threads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The wake-ups of an agent that are not done yet.

    Attributes:
        since: When the oldest of them came, on the database's clock.
        failing: How many were tried and failed.
        error: One of the errors.
    """

    agent: str | None
    count: int
    since: int
    failing: int
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workforce:
    """Who works, and what waits for it.

    Attributes:
        now: The database's clock.
        others: Threads that run in processes that are no workers, by process.
    """

    now: int
    workers: tuple[Worker, ...]
    others: Mapping[str, tuple[str, ...]]
    waiting: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """A call that waits, with its thread, for a pause to be lifted."""

    action_id: str
    thread: str
    agent: str | None
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which requests to list; None means any.

    Attributes:
        order: `deadline`, `newest` or `risk`.
        cursor: Where the last page ended, from `Page.next`.
        limit: At most 200.
    """

    status: Status | None = Status.PENDING
    thread: str | None = None
    agent: str | None = None
    tool: str | None = None
    team: str | None = None
    risk: str | None = None
    assignee: str | None = None
    order: str = "deadline"
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of requests, and the cursor of the next one, if there is one."""

    requests: tuple[Request, ...]
    next: str | None


class Reading(Protocol):
    """Reads; each statement sees what is committed."""

    def now(self) -> int: ...
    def request(self, request_id: str) -> Request | None: ...
    def requests_like(self, prefix: str) -> Sequence[str]: ...
    def request_of(self, action_id: str) -> Request | None: ...
    def standing(
        self, action_id: str, entry_id: str
    ) -> tuple[str | None, Request | None, Entry | None]:
        """An action's verdict, newest request and entry, all of one moment."""
        ...

    def requests_of_thread(self, thread: str) -> Sequence[Request]: ...
    def ruled(self, action_id: str) -> str | None: ...
    def ruled_among(self, action_ids: Sequence[str]) -> frozenset[str]: ...
    def page(self, wanted: Filter) -> Page: ...
    def count(self, wanted: Filter) -> int: ...
    def votes(self, request_id: str) -> Sequence[Vote]: ...
    def pauses_and_votes(
        self, request_id: str
    ) -> tuple[Sequence[Pause], Sequence[Vote]]:
        """The pauses that hold and the votes on a request, all of one moment."""
        ...

    def votes_of_thread(self, thread: str) -> Sequence[Vote]: ...
    def entry(self, entry_id: str) -> Entry | None: ...
    def entries(
        self, *, thread: str | None, state: EntryState | None, limit: int
    ) -> Sequence[Entry]: ...
    def entries_of_thread(self, thread: str) -> Sequence[Entry]: ...
    def events(self, thread: str) -> Sequence[Event]: ...
    def events_about(self, thread: str, subjects: Sequence[str]) -> Sequence[Event]: ...
    def heads(self) -> Iterable[tuple[str, int, str]]: ...
    def due(
        self, limit: int, after: tuple[int, str] = (0, "")
    ) -> Sequence[tuple[int, str]]: ...
    def wakeups(
        self, agent: str | None, *, ready: bool = False
    ) -> Sequence[Wakeup]: ...
    def wakeup(self, thread: str) -> Wakeup | None: ...
    def lapsed_turns(self, limit: int) -> Sequence[Turn]: ...
    def turn(self, thread: str) -> Turn | None: ...
    def next_due(self) -> int | None: ...
    def workforce(self) -> Workforce: ...
    def people(self) -> Sequence[Principal]: ...
    def delegations(self) -> Sequence[Delegation]: ...
    def delegation(self, delegation_id: str) -> Delegation | None: ...
    def lent_to(self, delegate: str) -> Sequence[Lent]: ...
    def token(self, secret_hash: str) -> Token | None: ...
    def tokens(self) -> Sequence[Token]: ...
    def tools(self, agent: str | None = None) -> Sequence[KnownTool]: ...
    def policy(self, version: str) -> Sequence[Mapping[str, Any]] | None: ...
    def policies(self) -> Iterable[tuple[str, Sequence[Mapping[str, Any]]]]: ...
    def policies_like(self, prefix: str) -> Sequence[str]: ...
    def last_event(self, thread: str, *, kind: str, channel: str) -> Event | None: ...
    def past_actions(
        self, after: tuple[int, str], *, until: int, agent: str | None, limit: int
    ) -> Sequence[Past]: ...
    def took(self, since: int, agent: str | None) -> Iterable[Took]: ...
    def judged(self, since: int, agent: str | None) -> Sequence[Judged]: ...
    def counted(
        self, since: int, agent: str | None, hasty: int
    ) -> Iterable[Counts]: ...
    def versions_used(self, since: int, until: int) -> Sequence[str]: ...
    def latest_events(self, thread: str, limit: int) -> Sequence[Event]: ...
    def changed(self) -> int: ...
    def outline(self, thread: str) -> tuple[str, ...] | None: ...
    def kept(self, kept_id: str) -> Kept | None: ...
    def kept_of_thread(self, thread: str) -> Sequence[Kept]: ...
    def new_notices(self, limit: int) -> Sequence[Posted]: ...
    def notice(self, notice_id: str) -> Posted | None: ...
    def due_deliveries(self, channel: str, limit: int) -> Sequence[Delivery]: ...
    def next_delivery(self, channel: str) -> int | None: ...
    def delivery(self, delivery_id: str) -> Delivery | None: ...
    def deliveries(
        self, *, state: DeliveryState | None, limit: int
    ) -> Sequence[Delivery]: ...
    def earlier(self, delivery: Delivery) -> Sequence[str]: ...
    def told(self, request_id: str, channel: str) -> Sequence[str]: ...
    def pauses(self, *, active: bool = True) -> Sequence[Pause]: ...
    def find_pause(self, pause_id: str) -> Pause | None: ...
    def freed(self, limit: int) -> Sequence[str]: ...
    def stalled(self) -> int: ...


class Writing(Reading, Protocol):
    """One transaction on one thread: its moves, its ledger events, its wake-up.

    It holds the thread's chain from the first statement, so moves of one thread
    queue up and a transaction of two threads doesn't exist. Each move is one
    conditional statement and says whether it happened. Pauses don't change beside it:
    those that `pauses` shows hold until its end, unless `alone` gave up waiting.
    """

    def record(self, *facts: Fact) -> None: ...
    def add_actions(self, ruled: Sequence[Ruled]) -> None: ...
    def add_request(self, request: Request) -> bool: ...
    def add_vote(self, vote: Vote) -> bool: ...
    def touch_request(self, request: Request) -> bool: ...
    def amend_request(self, request: Request, *, was: Request) -> bool: ...
    def settle_request(
        self,
        request: Request,
        to: Status,
        *,
        by: str | None,
        outcome: Mapping[str, Any],
        late: bool = False,
    ) -> bool: ...
    def advance_request(self, request: Request, *, was: Request) -> bool: ...
    def add_entry(self, entry: Entry, *, request: Request | None, told: Fact) -> bool:
        """Claim a call; `told` is recorded if it is claimed."""
        ...

    def restart_entry(
        self, entry: Entry, move: str, *, worker: str, lease: int
    ) -> bool: ...
    def move_entry(
        self,
        entry: Entry,
        move: str,
        *,
        result: bytes | None = None,
        summary: str | None = None,
        lapsed: bool = False,
        told: Fact | None = None,
    ) -> bool:
        """Move an entry that is as it was; `told` is recorded if it moves."""
        ...

    def wake(self, agent: str | None) -> None: ...
    def tell(self, notice: Notice) -> None: ...
    def alone(self, *, patience_s: float) -> bool: ...
    def add_pause(self, pause: Pause) -> None: ...
    def lift_pause(self, pause: Pause, by: str) -> bool: ...
    def freeze_within(self, pause: Pause) -> int: ...
    def thaw_without(self, pauses: Iterable[Pause]) -> int: ...
    def freeze(self, request: Request, since: int) -> bool: ...
    def thaw(self, request: Request) -> bool: ...
    def add_stalled(self, call: Stalled, pause: Pause) -> bool: ...
    def hand_over(self, lifted: Pause, others: Sequence[Pause]) -> int: ...
    def take_freed(self) -> Sequence[Stalled]: ...
    def end_turn(self, turn: Turn, *, lapsed: bool) -> bool: ...
    def add_token(self, token: Token, secret_hash: str) -> None: ...
    def revoke_token(self, token_id: str) -> bool: ...
    def add_delegation(self, delegation: Delegation) -> None: ...
    def revoke_delegation(self, delegation_id: str, *, by: str) -> bool: ...
    def assign_request(self, request: Request, to: str | None) -> bool: ...
    def add_tools(self, tools: Sequence[KnownTool]) -> None: ...
    def add_policy(self, version: str, rules: Sequence[Mapping[str, Any]]) -> bool: ...
    def set_outline(self, names: Sequence[str]) -> bool: ...
    def keep(self, kept: Kept) -> bool: ...


class Outbox(Reading, Protocol):
    """One transaction of a deliverer. Each move is one conditional statement."""

    def spread(self, posted: Posted) -> bool: ...
    def forget(self, posted: Posted) -> None: ...
    def forget_stale(self) -> int: ...
    def queue(
        self, posted: Posted, channel: str, recipients: Sequence[str]
    ) -> None: ...
    def drop_asked(self, posted: Posted, channel: str) -> None: ...
    def claim(self, delivery: Delivery, lease: int) -> bool: ...
    def sent(self, delivery: Delivery, reference: str) -> bool: ...
    def failed(self, delivery: Delivery, error: str, *, wait: int | None) -> bool: ...
    def drop(self, delivery: Delivery) -> bool: ...
    def requeue(self, delivery: Delivery) -> bool: ...


class Channel(Protocol):
    """A way to tell people something. It raises, or the message is on its way."""

    @property
    def name(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def hears_all(self) -> bool:
        """Whether it gets every notice once, whoever may decide."""
        ...

    def recipients(self, names: Sequence[str] | None) -> Sequence[str]:
        """Whom it tells, of these people and groups; None is whoever is the default."""
        ...

    def send(self, message: Message) -> str:
        """Send it and return what the message is called there.

        Raises:
            DeliveryFailed: Not now; it may work later.
            DeliveryRefused: This message will never be taken.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlets:
    """What a deliverer delivers over.

    Attributes:
        redact: Takes the secrets out of a request's and a notice's texts, and says
            where they were.
        base_url: Where the inbox is, for links.
    """

    channels: Sequence[Channel]
    redact: Callable[[Request, Notice], tuple[Request, Notice, tuple[str, ...]]]
    base_url: str


class Store(Protocol):
    """Where everything is kept."""

    @property
    def url(self) -> str: ...
    @property
    def closed(self) -> bool: ...
    def reading(self) -> AbstractContextManager[Reading]: ...
    def snapshot(self) -> AbstractContextManager[Reading]: ...
    def writing(self, thread: str) -> AbstractContextManager[Writing]: ...
    def outbox(self) -> AbstractContextManager[Outbox]: ...
    def beat(self, held: Sequence[tuple[str, int]], lease: int) -> None: ...
    def done_waking(self, wakeup: Wakeup) -> None: ...
    def put_off(self, wakeup: Wakeup, *, delay: int, error: str) -> bool: ...
    def take_turn(
        self, thread: str, agent: str, *, worker: str, lease: int
    ) -> tuple[Turn, Wakeup | None] | None: ...
    def end_waking(self, turn: Turn, done: Wakeup) -> Wakeup | None: ...
    def holds(self, turn: Turn) -> bool: ...
    def end_turn(self, turn: Turn) -> bool: ...
    def keep_turns(self, worker: str, lease: int) -> None: ...
    def enlist(self, worker: Worker, lease: int) -> None: ...
    def dismiss(self, worker: str) -> None: ...
    def watch(self) -> Watch: ...
    def close(self) -> None: ...


class Watch(Protocol):
    """Notices changes that other processes make.

    Attributes:
        every: Seconds between two looks.
    """

    every: float

    def changed(self) -> bool: ...
    def close(self) -> None: ...


class Resumer(Protocol):
    """Runs the threads of one agent."""

    @property
    def agent(self) -> str: ...
    def wake(self, thread: str) -> bool: ...


class Carrier(Protocol):
    """Brings wake-ups to the resumers of this process, and does what is due.

    `run` returns once `stop` was called, from any thread, and nothing runs any more.
    """

    def run(self) -> None: ...
    def stop(self) -> None: ...


class Calendars(Protocol):
    """Working hours, by the names that rules give them."""

    @property
    def names(self) -> frozenset[str]: ...
    def after(self, name: str, start: int, span: int) -> int: ...
