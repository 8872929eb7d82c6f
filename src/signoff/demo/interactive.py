"""The demo with a person in the inbox: says what happens as it happens."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Iterator
from typing import Final

from signoff.demo.agent import AGENT, REVIEWER, USER
from signoff.demo.model import TASK
from signoff.demo.screen import Screen, waits_line
from signoff.demo.snapshot import changes
from signoff.demo.stage import Stage
from signoff.domain.journal import Entry, EntryState
from signoff.domain.requests import Request, Status

_LISTEN_S: Final = 0.5
_NOTHING: Final = "nothing in the world has changed since the demo started"
_TEXT_BROWSERS: Final = ("w3m", "lynx", "links", "elinks", "www-browser")


class Interactive:
    """Tells the story of one thread until Ctrl-C.

    Args:
        link: Signs the reviewer in; printed, and opened where there is a browser.
    """

    def __init__(
        self, stage: Stage, screen: Screen, *, link: str, open_browser: bool
    ) -> None:
        self._stage, self._screen = stage, screen
        self._link, self._open_browser = link, open_browser
        self._told: set[str] = set()
        self._before = stage.world.snapshot()

    def run(self) -> int:
        """Play it. Returns 0 when the person ends it."""
        try:
            self._begin()
            self._listen()
        except KeyboardInterrupt:
            self._end()
        return 0

    def _begin(self) -> None:
        stage, screen = self._stage, self._screen
        screen.step("The agent goes on" if stage.continues else f"{USER} asks {AGENT}")
        if not stage.continues:
            screen.line(TASK)
        stage.go()
        screen.step("The agent works, and waits where policy says so")
        screen.lines(stage.ran(), hang=15)
        self._look()
        now = stage.world.snapshot()
        done = changes(self._before, now) or [_NOTHING]
        screen.lines([*done, now.summary()])
        screen.step("Decide")
        screen.line(f"Open this page; it signs you in as {REVIEWER}, of finance:")
        screen.line(self._link)
        screen.line("Ctrl-C ends; the same command goes on where you stopped.")
        if self._open_browser and has_browser():
            webbrowser.open(self._link)

    def _listen(self) -> None:
        bell = self._stage.so.bell
        heard = bell.rings
        while True:
            heard = bell.wait(heard, _LISTEN_S)
            self._look()

    def _look(self) -> None:
        for request in self._stage.requests():
            for key, line in told(request, self._stage.so.entry_of(request)):
                self._tell_once(f"{request.id} {key}", line)
        answer = self._stage.answer()
        if answer is not None and "answer" not in self._told:
            self._told.add("answer")
            self._finish(answer)

    def _tell_once(self, key: str, line: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._screen.line(line, hang=15)

    def _finish(self, answer: str) -> None:
        stage, screen = self._stage, self._screen
        now = stage.world.snapshot()
        screen.step("The agent answers")
        screen.line(answer, hang=2)
        screen.step("The world now")
        screen.lines(changes(self._before, now) or [_NOTHING])
        screen.line(now.summary())
        found = stage.so.audit()
        state = "holds" if found.holds else f"does NOT hold: {found.breaks[0].problem}"
        screen.line(f"the ledger of {found.events} events {state}")
        screen.line("Look around in the inbox; Ctrl-C ends.")

    def _end(self) -> None:
        waiting = len(self._stage.waiting())
        self._screen.title("")
        if waiting > 0:
            self._screen.title(f"{waiting} still wait; the same command goes on.")
        else:
            self._screen.title("Done.")


def told(request: Request, entry: Entry | None) -> Iterator[tuple[str, str]]:
    """What there is to say of a request, each with a key by which it is said once."""
    name = request.tool
    yield "asked", waits_line(request.risk, name, request.proposed["args"])
    if request.status is not Status.PENDING:
        yield "settled", f"{request.status.value}  {name}{_by(request)}"
    if entry is not None and entry.state is not EntryState.RUNNING:
        yield (
            f"entry {entry.state.value}",
            f"{entry.state.value}  {name}: {_result(entry)}",
        )


def has_browser() -> bool:
    """Whether a window could open here: a screen, and a browser that draws on it."""
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return False
    return getattr(found, "name", "") not in _TEXT_BROWSERS


def _by(request: Request) -> str:
    by = "its deadline" if request.settled_by is None else request.settled_by
    said = request.outcome or {}
    words = said.get("reason") or said.get("message")
    return f" by {by}" + (f": {words}" if words else "")


def _result(entry: Entry) -> str:
    lines = (entry.summary or "").splitlines()
    return lines[-1] if lines else ""
