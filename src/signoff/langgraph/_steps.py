"""What happens to a call, one step at a time, and two short drivers of steps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any, Final

import anyio
from langchain.agents.middleware import ToolCallRequest
from langchain_core.messages import ToolMessage

from signoff.aio import AsyncApprovals
from signoff.domain.errors import CallNotRecorded, WorldError
from signoff.langgraph import _words as words
from signoff.langgraph._results import Result
from signoff.langgraph._wakes import pause
from signoff.service import Approvals

log: Final = logging.getLogger("signoff")

Handler = Callable[[ToolCallRequest], Result]
AsyncHandler = Callable[[ToolCallRequest], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Do:
    """Call a use case by its name."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """Run the tool; the step gets its result or its error."""

    request: ToolCallRequest


@dataclass(frozen=True, slots=True)
class Pause:
    """Park the thread until somebody wakes it."""

    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """Another worker runs this call; look again soon."""

    seconds: float


Steps = Generator[Do | Run | Pause | Wait, Any, Result]


def do(name: str, *args: object, **kwargs: object) -> Do:
    """A use case and its arguments."""
    return Do(name, args, kwargs)


def drive(  # noqa: C901 - one arm for each kind of step
    so: Approvals, steps: Steps, handler: Handler
) -> Result:
    """Carry out the steps, from sync code."""
    try:
        step = next(steps)
        while True:
            try:
                answer: Any = None
                if isinstance(step, Do):
                    answer = _call(getattr(so, step.name), step)
                elif isinstance(step, Run):
                    with Unparked():
                        answer = handler(step.request)
                elif isinstance(step, Wait):
                    threading.Event().wait(step.seconds)
                else:
                    _pause(step)
            except Exception as error:  # noqa: BLE001 - handed to the steps, which re-raise
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        result: Result = done.value
        return result
    except _ParkedHere as parked:
        return parked.placeholder


async def adrive(  # noqa: C901 - one arm for each kind of step
    so: AsyncApprovals, steps: Steps, handler: AsyncHandler
) -> Result:
    """Carry out the steps, from async code."""
    try:
        step = next(steps)
        while True:
            try:
                answer: Any = None
                if isinstance(step, Do):
                    answer = await _acall(getattr(so, step.name), step)
                elif isinstance(step, Run):
                    with Unparked():
                        answer = await handler(step.request)
                elif isinstance(step, Wait):
                    await anyio.sleep(step.seconds)
                else:
                    _pause(step)
            except Exception as error:  # noqa: BLE001 - handed to the steps, which re-raise
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        result: Result = done.value
        return result
    except _ParkedHere as parked:
        return parked.placeholder


class _ParkedHere(BaseException):
    """Leaves the steps of a call whose tools node pauses for it later."""

    def __init__(self, placeholder: ToolMessage) -> None:
        self.placeholder = placeholder


def _pause(step: Pause) -> None:
    parked = _PARKED.get()
    if parked is not None:
        raise _ParkedHere(parked.park(step.payload))
    pause(step.payload)


class Parked:
    """The calls of one tools node that wait, so that it pauses once, for all of them.

    Were each call to interrupt on its own, the first one would cut off its neighbours
    in a plain ToolNode, and which answer belongs to which call would be a race.
    """

    def __init__(self) -> None:
        self.payloads: list[dict[str, Any]] = []

    def park(self, payload: dict[str, Any]) -> ToolMessage:
        """Note a pause; the placeholder never reaches the graph's state."""
        self.payloads.append(payload)
        return ToolMessage(content="", tool_call_id=str(payload["tool_call_id"]))

    def value(self) -> dict[str, Any]:
        """The one pause's value: LangChain's shape for one call or for several."""
        if len(self.payloads) == 1:
            return self.payloads[0]
        by_call = sorted(self.payloads, key=lambda p: str(p["tool_call_id"]))
        return words.several_payload(by_call)


_PARKED: Final[ContextVar[Parked | None]] = ContextVar("signoff_parked", default=None)


@contextmanager
def parking() -> Iterator[Parked]:
    """Collect the pauses of a tools node instead of raising each."""
    parked = Parked()
    token = _PARKED.set(parked)
    try:
        yield parked
    finally:
        _PARKED.reset(token)


class Unparked:
    """While a tool runs: an agent inside of it pauses by itself, not this node.

    A class, because every allowed call comes here and a generator costs more.
    """

    __slots__ = ("_token",)
    _token: Token[Parked | None]

    def __enter__(self) -> None:
        """No longer parking."""
        self._token = _PARKED.set(None)

    def __exit__(self, *_: object) -> None:
        """As before."""
        _PARKED.reset(self._token)


@contextmanager
def recorded() -> Iterator[None]:
    """Keep what is wrong with the store from the model, and tell the operator."""
    try:
        yield
    except WorldError as error:
        log.exception("a tool call could not be recorded, so it was not run")
        raise CallNotRecorded from error


def _call(use_case: Callable[..., Any], step: Do) -> Any:  # noqa: ANN401 - any use case
    with recorded():
        return use_case(*step.args, **step.kwargs)


async def _acall(use_case: Callable[..., Any], step: Do) -> Any:  # noqa: ANN401 - any use case
    with recorded():
        return await use_case(*step.args, **step.kwargs)
