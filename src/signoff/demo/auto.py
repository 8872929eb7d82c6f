"""The demo without a browser: every decision goes through the HTTP API, every claim
is checked against the world as it really is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, Final

from signoff.client import Client
from signoff.demo.agent import AGENT, REVIEWER, USER
from signoff.demo.model import TASK
from signoff.demo.screen import Screen, call_line, waits_line
from signoff.demo.snapshot import Snapshot, changes, expected
from signoff.demo.stage import Stage
from signoff.domain.errors import NotAllowed, NotAuthenticated, SignoffError
from signoff.domain.journal import EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import (
    Approve,
    Decision,
    Edit,
    Reject,
    Request,
    Respond,
)

MODES: Final = ("approve", "reject", "edit", "respond")

_REASON: Final = "Not this month."
_MESSAGE: Final = "Leave it to me, I do it by hand."
_EDITS: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "make_payment": lambda args: {**args, "amount": max(args["amount"] - 250, 1)},
    "send_email": lambda args: {**args, "to": ["audit@example.com"]},
    "delete_file": lambda _: {"path": "drafts/november-closing-v2.md"},
    "push_to_production": lambda args: {
        **args,
        "message": f"{args['message']} (final)",
    },
    "write_file": lambda args: {**args, "text": f"{args['text']}\n"},
}
_RAN: Final = frozenset({EntryState.DONE, EntryState.FAILED, EntryState.UNKNOWN})


class Automatic:
    """Plays the reviewer.

    Args:
        mode: Which of the four decisions it takes on every request.
        url: The address of the stage's HTTP API.
    """

    def __init__(self, stage: Stage, screen: Screen, *, mode: str, url: str) -> None:
        self._stage, self._screen, self._mode, self._url = stage, screen, mode, url
        self._client = self._as(REVIEWER, "finance")
        self._world = stage.world.snapshot()

    def run(self) -> int:
        """Play it. Returns 0 if every check held, else 1."""
        with closing(self._client):
            self._ask()
            while self._stage.answer() is None:
                self._wait_for_question()
                for request in self._stage.waiting():
                    self._decide(request)
            self._finish()
        return self._verdict()

    def _ask(self) -> None:
        stage, screen = self._stage, self._screen
        screen.step("The world before")
        screen.line(self._world.summary())
        screen.step("The agent goes on" if stage.continues else f"{USER} asks")
        if not stage.continues:
            screen.line(TASK)
        stage.go()
        screen.step("The agent works, and waits where policy says so")
        screen.lines(stage.ran(), hang=15)
        screen.lines(map(_waits, stage.waiting()), hang=15)
        self._check_world("nothing has happened in the world")
        self._check_refusals()

    def _check_refusals(self) -> None:
        """Neither a stranger, nor the agent, nor who it works for may approve."""
        waiting = self._stage.waiting()
        if waiting == []:
            return
        agent = self._stage.token(AGENT, kind=PrincipalKind.AGENT)
        asker = self._stage.token(USER)
        tries = (
            ("without a token nobody approves", "sgn_nobody", NotAuthenticated),
            ("the agent can't approve its own call", agent, NotAllowed),
            (f"{USER}, for whom it runs, can't either", asker, NotAllowed),
        )
        for claim, token, error in tries:
            self._screen.check(claim, self._not_refused(waiting[0], token, error))

    def _not_refused(
        self, request: Request, token: str, error: type[SignoffError]
    ) -> Iterator[str]:
        with closing(Client(self._url, token)) as client:
            try:
                client.decide(request.id, Approve(), digest=request.digest)
            except error:
                return
            except SignoffError as other:
                yield f"refused, but as {other.code}: {other}"
            else:
                yield "it was taken"

    def _wait_for_question(self) -> None:
        stage = self._stage
        stage.wait(
            lambda: stage.waiting() != [] or stage.answer() is not None,
            "the agent neither asked nor finished",
        )

    def _decide(self, request: Request) -> None:
        decision, said = self._decision(request)
        shown = self._client.get(request.id)
        self._screen.step(f"{REVIEWER} {said} {request.tool}")
        if isinstance(decision, Edit):
            self._screen.line(
                f"instead: {call_line(request.tool, decision.args)}", hang=9
            )
        self._client.decide(request.id, decision, digest=shown.digest)
        self._wait_for(request)
        self._settle_world(request, decision)
        if isinstance(decision, Approve):
            # A double click, a retried HTTP request: one decision, one effect.
            self._client.decide(request.id, decision, digest=shown.digest)
            self._wait_for(request)
            self._check_world("approved once more: it didn't happen again")

    def _decision(self, request: Request) -> tuple[Decision, str]:
        if self._mode == "approve":
            return Approve(), "approves"
        if self._mode == "edit":
            return Edit(args=_EDITS[request.tool](request.args)), "edits and approves"
        if self._mode == "respond":
            return Respond(message=_MESSAGE), "answers instead of"
        return Reject(reason=_REASON), "rejects"

    def _wait_for(self, request: Request) -> None:
        """Until the thread has gone on with what was decided on this request."""
        self._stage.wait(
            lambda: self._has_gone_on(request), f"{request.tool} was decided, yet waits"
        )

    def _has_gone_on(self, request: Request) -> bool:
        so, thread = self._stage.so, self._stage.thread
        if any(wakeup.thread == thread for wakeup in so.wakeups(AGENT)):
            return False
        if self._mode in {"reject", "respond"}:
            return True
        entry = self._client.entry_of(request)
        return entry is not None and entry.state in _RAN

    def _settle_world(self, request: Request, decision: Decision) -> None:
        before, entry = self._world, self._client.entry_of(request)
        if entry is not None and entry.state is EntryState.FAILED:
            claim = f"the tool refused, and nothing happened: {entry.summary}"
        elif isinstance(decision, Approve):
            self._world = expected(before, request.tool, request.args)
            claim = "it happened, once, and nothing else did"
        elif isinstance(decision, Edit):
            self._world = expected(before, request.tool, decision.args)
            claim = "it happened as edited, once, and nothing else did"
        else:
            claim = "nothing happened"
        now = self._check_world(claim)
        self._screen.lines(f"    {change}" for change in changes(before, now))

    def _check_world(self, claim: str) -> Snapshot:
        """Compare the world, read anew, with what it should be."""
        now = self._stage.world.snapshot()
        differences = () if now == self._world else _differences(self._world, now)
        self._screen.check(claim, differences)
        return now

    def _finish(self) -> None:
        screen = self._screen
        screen.step("The agent goes on and answers")
        screen.line(self._stage.answer() or "", hang=2)
        self._check_world("the world is as the decisions left it")
        screen.line(self._stage.world.snapshot().summary())
        screen.step("The ledger")
        found = self._client.audit()
        screen.check(
            f"{found.events} events: none was changed, none is missing",
            (f"{one.thread}, event {one.seq}: {one.problem}" for one in found.breaks),
        )

    def _verdict(self) -> int:
        screen = self._screen
        screen.title("")
        if screen.failed == []:
            screen.title(f"All {screen.held} checks held.")
            return 0
        screen.title(f"{len(screen.failed)} checks FAILED: {'; '.join(screen.failed)}.")
        return 1

    def _as(self, name: str, *groups: str) -> Client:
        return Client(self._url, self._stage.token(name, *groups))


def _waits(request: Request) -> str:
    return waits_line(request.risk, request.tool, request.args)


def _differences(wanted: Snapshot, found: Snapshot) -> list[str]:
    lines = [f"unexpected: {change}" for change in changes(wanted, found)]
    return lines or [f"expected {wanted}", f"found {found}"]
