"""One reviewer's desk: what is selected and opened, and what they do at it.

It lives as long as a browser tab's session. Nothing here draws.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from signoff.client import Client
from signoff.client.waiting import followed
from signoff.domain.errors import (
    AlreadyDecided,
    DigestMismatch,
    InvalidEdit,
    NotAuthenticated,
    SignoffError,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.principals import Principal
from signoff.domain.requests import Approve, Decision
from signoff.domain.text import reveal
from signoff.domain.undo_plan import UndoRun
from signoff.inbox.outcome import Told, explain, taken_back
from signoff.ports import Filter

T = TypeVar("T")

PAGE: Final = 25
_DECIDED_SHOWN: Final = 2
_OPENABLE: Final = frozenset({"confirm", "reject", "edit", "respond"})
_ORDERS: Final = frozenset({"deadline", "risk", "newest"})
_RISKS: Final = frozenset({"critical", "high", "medium", "low"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a dialog or the form is about: the content that was on screen."""

    kind: str
    request_id: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A line at the top of the page, until it is dismissed."""

    id: str
    told: Told
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What is about to be taken back: one entry, or a whole thread."""

    entry: str | None = None
    thread: str | None = None


@dataclass(slots=True, kw_only=True, weakref_slot=True, eq=False)
class Desk:
    """Who sits there, and what lies on it.

    Attributes:
        shown: How many requests the list shows at most.
        order: The ids that the list showed last, in its order.
        focused: Whether a narrow screen shows the request instead of the list.
        decided: The requests that were just decided here, newest first.
        problems: What was wrong with the last edit.
        turn: Grows with every answer, so that the page arms its buttons anew.
        whole: Whether all that can be undone is shown, instead of the inbox.
        taken: What the undo dialog is about.
        agents: Those that were seen here, to filter by; and so are the tools.
    """

    client: Client
    me: Principal
    filter: Filter = field(default_factory=lambda: Filter(limit=PAGE))
    shown: int = PAGE
    order: tuple[str, ...] = ()
    selected: str | None = None
    focused: bool = False
    opened: Opened | None = None
    decided: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    problems: tuple[str, ...] = ()
    turn: int = 0
    whole: bool = False
    taken: Taken | None = None
    agents: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        # A browser tab just goes away; its connections go with its desk.
        weakref.finalize(self, self.client.close)

    def select(self, request_id: object) -> None:
        """Look at a request."""
        if isinstance(request_id, str) and request_id != "":
            self.selected, self.focused = request_id, True
            self._put_away()

    def back(self, _request_id: object = None) -> None:
        """On a narrow screen: from the request to the list."""
        self.focused = False

    def more(self, _shown: object = None) -> None:
        """Show another page below."""
        self.shown += PAGE

    def narrow(self, wanted: object) -> None:
        """Filter and order the list; anything that isn't a filter is ignored."""
        if not isinstance(wanted, Mapping):
            return
        risk, order = wanted.get("risk"), wanted.get("order")
        self.filter = Filter(
            agent=_text(wanted.get("agent")),
            tool=_text(wanted.get("tool")),
            risk=risk if risk in _RISKS else None,
            order=order if order in _ORDERS else "deadline",
            limit=PAGE,
        )
        self.shown = PAGE

    def open(self, asked: object) -> None:
        """Open the dialog or the form for a decision on what is on screen."""
        opened = _opened(asked)
        if opened is not None and opened.kind in _OPENABLE:
            self._put_away()
            self.opened = opened

    def close(self) -> None:
        """Put the dialog or the form away; nothing is decided."""
        self._put_away()
        self.turn += 1

    def approve(self, asked: object) -> None:
        """Approve what the page says was on screen."""
        opened = _opened(asked)
        if opened is not None:
            self.decide(opened, Approve())

    def decide(self, opened: Opened, decision: Decision) -> bool:
        """Send a decision on what was on screen; False if it was not taken.

        Raises:
            NotAuthenticated: The session ended.
        """
        self.turn += 1
        self.problems = ()
        try:
            self.client.decide(opened.request_id, decision, digest=opened.digest)
        except NotAuthenticated:
            raise
        except SignoffError as error:
            self._refused(opened, error)
            return False
        self._put_away()
        self._drop_notices_on(opened.request_id)
        others = [i for i in self.decided if i != opened.request_id]
        self.decided = (opened.request_id, *others)[:_DECIDED_SHOWN]
        self._advance(opened.request_id)
        return True

    def settle(
        self,
        entry_id: str,
        *,
        happened: bool | None,
        note: str,
        result: object = None,
        again: bool = False,
    ) -> None:
        """Say how a call whose outcome is unknown ended, or let it be tried again."""
        self._send(
            lambda: self.client.settle(
                entry_id, happened=happened, note=note, result=result, again=again
            )
        )

    def look_into(self, entry: Entry) -> None:
        """Ask the probe whether it happened."""
        found = self._send(lambda: self.client.look_into(entry))
        if isinstance(found, Entry) and found.state is EntryState.UNKNOWN:
            self.tell(Told(tone="warn", text="It can't be told: no probe knows it."))

    def take(self, asked: object) -> None:
        """Open the dialog that takes an effect, or a whole thread, back."""
        if isinstance(asked, Mapping):
            entry, thread = _text(asked.get("entry")), _text(asked.get("thread"))
            if (entry is None) is not (thread is None):
                self._put_away()
                self.taken = Taken(entry=entry, thread=thread)

    def leave(self) -> None:
        """Put the undo dialog away; nothing is undone."""
        self.taken = None
        self.turn += 1

    def see_whole(self, wanted: object) -> None:
        """Show all that can be undone, or the inbox again."""
        self.whole = wanted is True

    def undo(self, taken: Taken, *, reason: str, force: bool, several: bool) -> None:
        """Take it back; with `several`, what needs it first."""
        self.taken = None
        if taken.thread is not None:
            thread = taken.thread
            self._followed(
                lambda: self.client.undo_thread(thread, reason=reason, force=force)
            )
        elif several:
            self._followed(
                lambda: self.client.undo_since(
                    taken.entry or "", reason=reason, force=force, only_dependents=True
                )
            )
        else:
            self._ran(
                lambda: self.client.undo_action(
                    taken.entry or "", reason=reason, force=force
                )
            )

    def release(self, entry_id: object) -> None:
        """Send a held call now."""
        if isinstance(entry_id, str):
            self._ran(lambda: self.client.release(entry_id))

    def cancel_held(self, entry_id: object) -> None:
        """Cancel a held call before it has any effect."""
        if isinstance(entry_id, str):
            self._ran(lambda: self.client.cancel_held(entry_id))

    def _followed(self, act: Callable[[], UndoRun]) -> None:
        self._ran(lambda: followed(act, self.client.entry))

    def _ran(self, act: Callable[[], Entry | UndoRun]) -> None:
        ended = self._send(act)
        if ended is not None:
            self.tell(taken_back(ended))

    def _send(self, act: Callable[[], T]) -> T | None:
        """What the server answered; None if it refused, which is told."""
        try:
            return act()
        except NotAuthenticated:
            raise
        except SignoffError as error:
            self.tell(explain(error, me=self.me.id, now=self.client.now()))
            return None

    def tell(self, told: Told, request_id: str | None = None) -> None:
        """Put a line at the top of the page."""
        self.turn += 1
        notice = Notice(id=f"notice-{self.turn}", told=told, request_id=request_id)
        self.notices = (notice, *self.notices)[:3]

    def dismiss(self, notice_id: object) -> None:
        """Take a line away."""
        self.notices = tuple(n for n in self.notices if n.id != notice_id)
        self.decided = tuple(d for d in self.decided if d != notice_id)

    def _refused(self, opened: Opened, error: SignoffError) -> None:
        told = explain(error, me=self.me.id, now=self.client.now())
        if isinstance(error, InvalidEdit):
            self.problems = tuple(reveal(problem) for problem in error.problems)
        elif isinstance(error, AlreadyDecided | DigestMismatch):
            self._put_away()
        self.tell(told, opened.request_id)

    def _drop_notices_on(self, request_id: str) -> None:
        self.notices = tuple(n for n in self.notices if n.request_id != request_id)

    def _put_away(self) -> None:
        self.opened = None
        self.problems = ()

    def _advance(self, request_id: str) -> None:
        if self.selected != request_id:
            return
        after = _after(self.order, request_id)
        self.selected = after
        self.focused = self.focused and after is not None


def _opened(asked: object) -> Opened | None:
    """What the page sent, if it is whole."""
    if not isinstance(asked, Mapping):
        return None
    parts: list[Any] = [asked.get(name) for name in ("kind", "id", "digest")]
    if not all(isinstance(part, str) for part in parts):
        return None
    kind, request_id, digest = parts
    return Opened(kind=kind, request_id=request_id, digest=digest)


def _after(order: tuple[str, ...], request_id: str) -> str | None:
    """The next in the list, or the one before if it was the last."""
    if request_id not in order:
        return None
    at = order.index(request_id)
    others = order[at + 1 :] + order[:at][::-1]
    return others[0] if others else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value != "" else None
