"""What people look at. Nothing here changes anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from signoff.domain.errors import RequestNotFound
from signoff.domain.journal import Entry, EntryState, entry_id
from signoff.domain.ledger import Event
from signoff.domain.requests import Request, Vote
from signoff.ports import Filter, KnownTool, Page
from signoff.service.core import Core


class Looking(Core):
    """The use cases that only read."""

    def get(self, request_id: str) -> Request:
        """One request.

        Raises:
            RequestNotFound: There is none.
        """
        with self.store.reading() as reading:
            request = reading.request(request_id)
        if request is None:
            raise RequestNotFound(request_id)
        return request

    def find(self, start: str) -> Request:
        """The one request whose id starts like this.

        Raises:
            RequestNotFound: None does, or several do.
        """
        if _START.fullmatch(start) is None:
            raise RequestNotFound(start)
        with self.store.reading() as reading:
            found = reading.requests_like(
                start if start.startswith("req_") else f"req_{start}"
            )
        return self.get(found[0] if len(found) == 1 else start)

    def pending(self, wanted: Filter | None = None) -> Page:
        """A page of requests; by default those that wait, the most urgent first."""
        with self.store.reading() as reading:
            return reading.page(Filter() if wanted is None else wanted)

    def count(self, wanted: Filter | None = None) -> int:
        """How many requests match."""
        with self.store.reading() as reading:
            return reading.count(Filter() if wanted is None else wanted)

    def votes(self, request_id: str) -> Sequence[Vote]:
        """What was said on a request so far, oldest first."""
        with self.store.reading() as reading:
            return reading.votes(request_id)

    def history(self, request_id: str) -> Sequence[Event]:
        """Everything that happened about a request and its effect, oldest first.

        Or about an effect alone, by its entry's id.
        """
        with self.store.reading() as reading:
            entry = reading.entry(request_id)
            if entry is not None:
                about = (entry.request_id or entry.id, entry.action_id, entry.id)
                return reading.events_about(entry.thread, about)
        request = self.get(request_id)
        about = (request.id, request.action_id, entry_id(request.action_id))
        with self.store.reading() as reading:
            return reading.events_about(request.thread, about)

    def entry_of(self, request: Request) -> Entry | None:
        """The journal's entry of a request's action, if it ever ran."""
        with self.store.reading() as reading:
            return reading.entry(entry_id(request.action_id))

    def journal(
        self,
        *,
        thread: str | None = None,
        state: EntryState | None = None,
        limit: int = 100,
    ) -> Sequence[Entry]:
        """Entries of the journal, oldest first."""
        with self.store.reading() as reading:
            return reading.entries(thread=thread, state=state, limit=limit)

    def thread(self, thread: str) -> Sequence[Request]:
        """Every request of a thread, oldest first."""
        with self.store.reading() as reading:
            return reading.requests_of_thread(thread)

    def tools(self, agent: str | None = None) -> Sequence[KnownTool]:
        """The tools that agents were seen to have."""
        with self.store.reading() as reading:
            return reading.tools(agent)

    def changed(self) -> int:
        """Grows whenever a request is made or changes, in any process."""
        with self.store.reading() as reading:
            return reading.changed()


_START: Final = re.compile(r"(req_)?[0-9a-f]+")
