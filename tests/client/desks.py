"""One person's view of the use cases, wherever they run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from signoff import Principal, Request, Signoff
from signoff.cli import desk
from signoff.domain.journal import Entry
from signoff.domain.undoing import Dependent
from signoff.domain.voting import Progress
from tests.server.house import House

HOSTILE = "a\u202eb \x1b[31m <script> '; DROP TABLE \U0001f600 é"


class Desk(desk.Desk, Protocol):
    """What `Client` promises: what the commands need, and what an inbox does."""

    def get(self, request_id: str) -> Request: ...
    def thread(self, thread: str) -> Sequence[Request]: ...
    def changed(self) -> int: ...
    def agreement(self, request_id: str) -> Progress: ...
    def unknowns(self, *, limit: int = 100) -> Sequence[Entry]: ...
    def dependents(self, entry_id: str) -> Sequence[Dependent]: ...
    def look_into(self, entry: Entry) -> Entry: ...


class Direct(desk.Direct):
    """The use cases on the database, as somebody."""

    def __init__(self, so: Signoff, by: Principal) -> None:
        super().__init__(so, None)
        self._by = by
        self.get, self.thread = so.get, so.thread
        self.changed, self.agreement = so.changed, so.agreement
        self.unknowns, self.dependents = so.unknowns, so.dependents
        self.look_into = so.look_into

    def whoami(self) -> Principal:
        return self._by


@dataclass(frozen=True)
class Office:
    """A house, and a desk in it for anybody."""

    house: House
    desk: Callable[[str], Desk]
