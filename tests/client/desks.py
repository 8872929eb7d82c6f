"""One person's view of the use cases, wherever they run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from signoff import Principal, Request, Signoff
from signoff.cli import desk
from signoff.domain.voting import Progress
from tests.server.house import House


class Desk(desk.Desk, Protocol):
    """What `Client` promises: what the commands need, and what an inbox does."""

    def get(self, request_id: str) -> Request: ...
    def thread(self, thread: str) -> Sequence[Request]: ...
    def changed(self) -> int: ...
    def agreement(self, request_id: str) -> Progress: ...


class Direct(desk.Direct):
    """The use cases on the database, as somebody."""

    def __init__(self, so: Signoff, by: Principal) -> None:
        super().__init__(so, None)
        self._by = by
        self.get, self.thread = so.get, so.thread
        self.changed, self.agreement = so.changed, so.agreement

    def whoami(self) -> Principal:
        return self._by


@dataclass(frozen=True)
class Office:
    """A house, and a desk in it for anybody."""

    house: House
    desk: Callable[[str], Desk]
