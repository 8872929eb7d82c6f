"""The same methods on a database and on a server, as one identity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from signoff.config import Settings, read_settings
from signoff.domain.delegations import Delegation
from signoff.domain.errors import InvalidSetting, NotAuthenticated, StorageUnavailable
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Audit, Event
from signoff.domain.notices import Delivery, DeliveryState
from signoff.domain.pauses import Pause
from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.domain.requests import Decision, Request, Vote
from signoff.domain.stages import Stage
from signoff.ports import Filter, KnownTool, Page

if TYPE_CHECKING:
    from signoff.bootstrap import Signoff
    from signoff.domain.advice import Advice
    from signoff.domain.policy import Policy
    from signoff.domain.policy_changes import Published, Recorded
    from signoff.domain.simulation import Simulation
    from signoff.domain.undo_plan import UndoPlan, UndoRun

T = TypeVar("T")

CHANNEL: Final = "cli"
_SERVERS: Final = ("http://", "https://")
_SQLITE: Final = "sqlite:///"


class Desk(Protocol):
    """What the commands need, wherever the store is."""

    def find(self, start: str) -> Request: ...
    def pending(self, wanted: Filter | None = None) -> Page: ...
    def count(self, wanted: Filter | None = None) -> int: ...
    def votes(self, request_id: str) -> Sequence[Vote]: ...
    def history(self, request_id: str) -> Sequence[Event]: ...
    def entry_of(self, request: Request) -> Entry | None: ...
    def journal(
        self,
        *,
        thread: str | None = None,
        state: EntryState | None = None,
        limit: int = 100,
    ) -> Sequence[Entry]: ...
    def entry(self, entry_id: str) -> Entry: ...
    def open_windows(self, *, limit: int = 100) -> Sequence[Entry]: ...
    def undo_plan(
        self,
        entry_id: str | None = None,
        *,
        since: str | None = None,
        thread: str | None = None,
        only_dependents: bool = False,
    ) -> UndoPlan: ...
    def undo_action(
        self, entry_id: str, *, reason: str = "", force: bool = False
    ) -> Entry: ...
    def undo_since(
        self,
        entry_id: str,
        *,
        reason: str = "",
        only_dependents: bool = False,
        force: bool = False,
    ) -> UndoRun: ...
    def undo_thread(
        self, thread: str, *, reason: str = "", force: bool = False
    ) -> UndoRun: ...
    def close_window(self, entry_id: str, *, reason: str = "") -> Entry: ...
    def cancel_held(self, entry_id: str, *, reason: str = "") -> Entry: ...
    def release(self, entry_id: str) -> Entry: ...
    def stages(self, thread: str) -> Sequence[Stage]: ...
    def tools(self, agent: str | None = None) -> Sequence[KnownTool]: ...
    def policy_log(self, *, limit: int = 100) -> Sequence[Published]: ...
    def policy_version(self, start: str) -> Recorded: ...
    def simulate(
        self,
        policy: Policy,
        *,
        since: timedelta,
        agent: str | None = None,
        seconds_per_decision: float | None = None,
        examples: int = 3,
    ) -> Simulation: ...
    def advise(
        self,
        *,
        since: timedelta,
        agent: str | None = None,
        at_most: float = 0.02,
        least: int = 100,
    ) -> Advice: ...
    def now(self) -> int: ...
    def audit(self) -> Audit: ...
    def tokens(self) -> Sequence[Token]: ...
    def decide(
        self,
        request_id: str,
        decision: Decision,
        *,
        digest: str | None,
        behalf: str | None = None,
    ) -> Request: ...
    def assign(self, request_id: str, *, to: str | None) -> Request: ...
    def delegate(
        self,
        to: str,
        *,
        ends: datetime,
        starts: datetime | None = None,
        delegator: str | None = None,
        reason: str | None = None,
    ) -> Delegation: ...
    def delegations(self) -> Sequence[Delegation]: ...
    def revoke_delegation(self, delegation_id: str) -> None: ...
    def cancel_request(self, request_id: str, *, reason: str) -> Request: ...
    def settle(
        self,
        entry: str,
        *,
        happened: bool | None = None,
        note: str = "",
        result: object = None,
        again: bool = False,
    ) -> Entry: ...
    def pauses(self, *, active: bool = True) -> Sequence[Pause]: ...
    def stalled(self) -> int: ...
    def pause(
        self,
        *,
        agent: str | None = None,
        thread: str | None = None,
        tool: str | None = None,
        reason: str | None = None,
    ) -> Pause: ...
    def lift(self, pause_id: str) -> Pause: ...
    def create_token(
        self,
        principal: str,
        *,
        kind: PrincipalKind = PrincipalKind.PERSON,
        groups: Sequence[str] = (),
        expires_in: timedelta | None = None,
    ) -> tuple[Token, str]: ...
    def revoke_token(self, token_id: str) -> None: ...
    def deliveries(
        self, *, state: DeliveryState | None = None, limit: int = 100
    ) -> Sequence[Delivery]: ...
    def retry_delivery(self, delivery_id: str) -> Delivery: ...
    def whoami(self) -> Principal: ...
    def close(self) -> None: ...


class Direct:
    """A database as the person whose token was given.

    Whoever can open the database can read it, so looking needs no token; every
    decision needs one.
    """

    def __init__(self, signoff: Signoff, token: str | None) -> None:
        self._signoff, self._token = signoff, token
        self.find = signoff.find
        self.pending, self.count = signoff.pending, signoff.count
        self.votes, self.history = signoff.votes, signoff.history
        self.entry_of, self.journal = signoff.entry_of, signoff.journal
        self.entry, self.open_windows = signoff.entry, signoff.open_windows
        self.undo_plan, self.stages = signoff.undo_plan, signoff.stages
        self.tools, self.tokens = signoff.tools, signoff.tokens
        self.now, self.audit = signoff.now, signoff.audit
        self.deliveries = signoff.deliveries
        self.retry_delivery = signoff.retry_delivery
        self.policy_log = signoff.policy_log
        self.policy_version = signoff.policy_version
        self.simulate, self.advise = signoff.simulate, signoff.advise
        self.pauses, self.stalled = signoff.pauses, signoff.stalled
        self.delegations = signoff.delegations
        self.close = signoff.close
        self.decide = self._as_me(signoff.decide)
        self.assign = self._as_me(signoff.assign)
        self.cancel_request = self._as_me(signoff.cancel_request)
        self.delegate = self._as_me(signoff.delegate)
        self.revoke_delegation = self._as_me(signoff.revoke_delegation)
        self.undo_action = self._as_me(signoff.undo_action)
        self.undo_since = self._as_me(signoff.undo_since)
        self.undo_thread = self._as_me(signoff.undo_thread)
        self.close_window = self._as_me(signoff.close_window)
        self.cancel_held = self._as_me(signoff.cancel_held)
        self.release = self._as_me(signoff.release)
        self.settle = self._as_me(signoff.settle)
        self.pause, self.lift = self._as_me(signoff.pause), self._as_me(signoff.lift)

    def whoami(self) -> Principal:
        return self._signoff.authenticate(self._token, channel=CHANNEL)

    def _as_me(self, act: Callable[..., T]) -> Callable[..., T]:
        """The same use case, by whoever's token was given."""
        return lambda *given, **named: act(*given, by=self.whoami(), **named)

    def create_token(
        self,
        principal: str,
        *,
        kind: PrincipalKind = PrincipalKind.PERSON,
        groups: Sequence[str] = (),
        expires_in: timedelta | None = None,
    ) -> tuple[Token, str]:
        return self._signoff.create_token(
            principal, kind=kind, groups=groups, expires_in=expires_in, by=self._known()
        )

    def revoke_token(self, token_id: str) -> None:
        self._signoff.revoke_token(token_id, by=self._known())

    def _known(self) -> str | None:
        """Who it is for the record. The first token is made before there is one."""
        try:
            return self.whoami().id
        except NotAuthenticated:
            return None


def settings_with(store: str | None, token_file: Path | None) -> Settings:
    """The environment's settings, with what was given on the command line."""
    found = read_settings()
    return replace(
        found,
        store=found.store if store is None else store,
        token=found.token if token_file is None else read_token(token_file),
    )


def read_token(file: Path) -> str:
    """The token in a file.

    Raises:
        InvalidSetting: If it can't be read.
    """
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it isn't text"
        raise InvalidSetting("--token-file", f"{file} can't be read: {why}.") from error


def is_server(store: str) -> bool:
    """Whether a store's address is a server's."""
    return store.startswith(_SERVERS)


def sqlite_file(store: str) -> Path | None:
    """The file of a SQLite address, or None for another kind of store."""
    if not store.startswith(_SQLITE):
        return None
    return Path(store.removeprefix(_SQLITE).partition("?")[0])


def require_database(store: str) -> None:
    """Looking at a database must not make one.

    Raises:
        StorageUnavailable: If it is a SQLite file that doesn't exist.
    """
    file = sqlite_file(store)
    if file is not None and not file.exists():
        raise StorageUnavailable(store, "there is no such file")


@contextmanager
def opened(
    store: str | None,
    token_file: Path | None = None,
    *,
    create: bool = False,
    policy: bool = False,
) -> Iterator[Desk]:
    """Open the store.

    Args:
        store: Its address; None is the environment's.
        token_file: Where the token is; None is the environment's token.
        create: Whether a database that doesn't exist is made.
        policy: Whether the environment's policy file judges edits.
    """
    settings = settings_with(store, token_file)
    desk: Desk
    if is_server(settings.store):
        desk = _server(settings)
    else:
        if not create:
            require_database(settings.store)
        rules = settings.policy if policy else None
        desk = Direct(open_database(settings.store, rules), settings.token)
    try:
        yield desk
    finally:
        desk.close()


def _server(settings: Settings) -> Desk:
    from signoff.client import Client  # noqa: PLC0415 - 0.2 s that --help can do without

    if settings.token is None:
        raise NotAuthenticated
    return Client(settings.store, settings.token, channel=CHANNEL)


def open_database(store: str, policy: Path | None = None) -> Signoff:
    """The database at an address, with the policy that judges edits.

    Raises:
        PolicyError: The policy file is wrong.
        StorageUnavailable, SchemaTooNew: The database can't be used.
    """
    from signoff.bootstrap import Signoff  # noqa: PLC0415 - SQLAlchemy costs a second
    from signoff.domain.policy import Policy  # noqa: PLC0415 - CEL costs 0.4 s

    rules = None if policy is None else Policy.load(policy)
    return Signoff(store, policy=rules, directory=read_settings().directory)
