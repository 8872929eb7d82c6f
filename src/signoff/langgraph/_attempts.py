"""Counts what really reaches a tool: each `invoke` is one journaled attempt.

Retry middleware may stand inside or outside of signoff's; either way an approval
covers the attempts that its rule states and no more.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from pydantic import ValidationError

from signoff.aio import AsyncApprovals
from signoff.domain.errors import AttemptsExhausted, NotApplied
from signoff.domain.journal import Entry, step
from signoff.service import Approvals

_CURRENT: Final[ContextVar[Entry | None]] = ContextVar("signoff_entry", default=None)


def idempotency_key() -> str | None:
    """The key of the approved call that runs now, the same at every attempt.

    Pass it to the service that the tool calls, so that an attempt that got through
    twice takes effect once. None outside of a call that signoff runs.
    """
    entry = _CURRENT.get()
    return None if entry is None else entry.key


@contextmanager
def running(entry: Entry) -> Iterator[None]:
    """While this call runs: its key is `idempotency_key`."""
    token = _CURRENT.set(entry)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@dataclass(frozen=True, slots=True)
class Lost:
    """How an attempt that raised is recorded."""

    entry: Entry
    move: str
    summary: str


class Attempts:
    """The attempts at one claimed call, each recorded as it ends."""

    def __init__(self, so: Approvals, entry: Entry) -> None:
        self._so = so
        self.entry = entry
        self._invoked = False
        self.open = True

    def at(self, tool: BaseTool) -> BaseTool:
        """The same tool, with each invocation recorded."""
        watched = copy.copy(tool)

        def invoke(input: Any, config: Any = None, **more: Any) -> Any:  # noqa: A002, ANN401 - BaseTool's signature
            with self._attempt():
                return tool.invoke(input, config, **more)

        async def ainvoke(input: Any, config: Any = None, **more: Any) -> Any:  # noqa: A002, ANN401 - BaseTool's signature
            async with self._aattempt():
                return await tool.ainvoke(input, config, **more)

        # A tool is a pydantic model, whose own __setattr__ knows only its fields.
        object.__setattr__(watched, "invoke", invoke)
        object.__setattr__(watched, "ainvoke", ainvoke)
        return watched

    def raised(self, error: BaseException) -> None:
        """Record an attempt that ended with an error, once."""
        lost = self.lost(error)
        if lost is not None:
            self._so.finish(lost.entry, lost.move, result=None, summary=lost.summary)

    def lost(self, error: BaseException) -> Lost | None:
        """What is to be recorded of an attempt that ended so; None if it was before."""
        if not self.open:
            return None
        self.open = False
        unapplied = isinstance(error, NotApplied) or refused_arguments(error)
        move = "suspend" if isinstance(error, GraphBubbleUp) else "lose"
        move = "fail" if unapplied else move
        summary = f"{type(error).__name__}: {error}"
        lost = Lost(self.entry, move, summary)
        self.entry = replace(self.entry, state=step(self.entry.state, move))
        return lost

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        if self._invoked:
            self._go_on(self._so.begin_again(self.entry, raised=True))
        self._invoked = True
        token = _CURRENT.set(self.entry)
        try:
            yield
        except BaseException as error:
            self.raised(error)
            raise
        finally:
            _CURRENT.reset(token)

    @asynccontextmanager
    async def _aattempt(self) -> AsyncIterator[None]:
        aio = AsyncApprovals(self._so)
        if self._invoked:
            self._go_on(await aio.begin_again(self.entry, raised=True))
        self._invoked = True
        token = _CURRENT.set(self.entry)
        try:
            yield
        except BaseException as error:
            lost = self.lost(error)
            if lost is not None:
                # A run that is cancelled must still say what became of its call.
                with anyio.CancelScope(shield=True):
                    await aio.finish(
                        lost.entry, lost.move, result=None, summary=lost.summary
                    )
            raise
        finally:
            _CURRENT.reset(token)

    def _go_on(self, again: Entry | None) -> None:
        if again is None:
            raise AttemptsExhausted(self.entry.id, self.entry.attempts)
        self.entry, self.open = again, True


def refused_arguments(error: BaseException) -> bool:
    """Whether pydantic refused the arguments before the tool's own code ran."""
    if not isinstance(error, ValidationError):
        return False
    trace, depth = error.__traceback__, 0
    names = []
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace, depth = trace.tb_next, depth + 1
    return "_run" not in names and "_arun" not in names
