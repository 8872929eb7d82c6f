"""Somebody who answers what waits, as a person would in the inbox."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self

from signoff.domain.errors import AlreadyDecided, DigestMismatch
from signoff.domain.principals import Principal
from signoff.domain.requests import Decision, Request, Status
from signoff.ports import Filter
from signoff.service import Approvals

Answer = Decision | Callable[[Request], Decision | None]
"""A decision, or what gives one for a request; None leaves the request alone."""

_REVIEWER: Final = Principal(id="scripted-reviewer", channel="test")
_LOOK_EVERY_S: Final = 0.05


class ScriptedReviewer:
    """Answers pending requests: at once by `review()`, or meanwhile by a thread.

        with ScriptedReviewer(so, Approve(), tools="send_*"):
            agent.invoke(...)

    Args:
        so: Where the requests wait.
        answer: What to say; a function is given the request, and None means not this.
        by: Who says it.
        tools: A glob; only requests for such tools are answered.
    """

    def __init__(
        self,
        so: Approvals,
        answer: Answer,
        *,
        by: Principal = _REVIEWER,
        tools: str = "*",
    ) -> None:
        self._so, self._answer, self._by, self._tools = so, answer, by, tools
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self.decided: list[Request] = []

    def review(self) -> list[Request]:
        """Answer what waits now. Returns those requests as they stand afterwards.

        Raises:
            SignoffError: What `decide` raises, unless somebody else was faster.
        """
        answered = [after for after in map(self._decide, self._waiting()) if after]
        self.decided += answered
        return answered

    @property
    def busy(self) -> bool:
        """Whether its thread looks for requests; False once a decision failed."""
        return self._thread is not None and self._thread.is_alive()

    def __enter__(self) -> Self:
        self._leaving.clear()
        self._thread = threading.Thread(target=self._run, name="reviewer", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.set()
        self._so.bell.ring()
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def _run(self) -> None:
        heard = -1
        try:
            while not self._leaving.is_set():
                self.review()
                heard = self._so.bell.wait(heard, _LOOK_EVERY_S)
        except BaseException as failure:  # noqa: BLE001 - raised in the test, on leaving
            self._failure = failure

    def _waiting(self) -> Iterator[Request]:
        wanted = Filter(order="newest", limit=200)
        while True:
            page = self._so.pending(wanted)
            yield from page.requests
            if page.next is None:
                return
            wanted = Filter(order="newest", limit=200, cursor=page.next)

    def _decide(self, request: Request) -> Request | None:
        if not fnmatch.fnmatchcase(request.tool, self._tools):
            return None
        if self._has_said(request):
            return None
        answer = self._answer
        decision = answer(request) if callable(answer) else answer
        if decision is None:
            return None
        try:
            return self._so.decide(
                request.id, decision, by=self._by, digest=request.digest
            )
        except (AlreadyDecided, DigestMismatch):
            return None

    def _has_said(self, request: Request) -> bool:
        said = (self._by.id, request.revision)
        votes = self._so.votes(request.id)
        return request.status is Status.PENDING and said in {
            (vote.principal, vote.revision) for vote in votes
        }
