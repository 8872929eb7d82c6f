"""Steps that sync and async code carry out alike: a use case, or making a value."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import anyio.to_thread
from langchain_core.runnables import RunnableConfig

from signoff.aio import AsyncApprovals
from signoff.domain.errors import BlocksEventLoop, PayloadRefused
from signoff.langgraph._steps import Do
from signoff.service import Approvals

T = TypeVar("T")

Payload = Any | Callable[[], Any] | Callable[[], Awaitable[Any]]
"""A JSON value, or a function that makes one; async functions from async code only."""

_CALL: Final = "__pregel_call"


@dataclass(frozen=True, slots=True)
class Make:
    """Take the payload's value; the step gets it or its error."""

    payload: Payload


Steps = Generator[Do | Make, Any, T]


def check_off_loop(config: RunnableConfig, function: str, cure: str) -> None:
    """Refuse sync code on an event loop that runs the graph.

    In a notebook a loop runs as well, but the graph was invoked from sync code.

    Raises:
        BlocksEventLoop: Says what to call instead.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    call = config.get("configurable", {}).get(_CALL)
    if not isinstance(call, partial) or "loop" in call.keywords:
        raise BlocksEventLoop(function, cure)


def drive(so: Approvals, steps: Steps[T]) -> T:
    """Carry out the steps, from sync code."""
    try:
        step = next(steps)
        while True:
            try:
                answer = _make(step) if isinstance(step, Make) else _do(so, step)
            except Exception as error:  # noqa: BLE001 - handed to the steps, which re-raise
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        steps.close()


async def adrive(so: Approvals, steps: Steps[T]) -> T:
    """Carry out the steps, from async code; nothing blocks the event loop."""
    aio = AsyncApprovals(so)
    try:
        step = next(steps)
        while True:
            try:
                made = isinstance(step, Make)
                answer = await (_amake(step) if made else _do(aio, step))  # type: ignore[arg-type]  # as `made` says
            except Exception as error:  # noqa: BLE001 - handed to the steps, which re-raise
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        steps.close()


def check_payload(payload: Payload) -> None:
    """Refuse what could be made only once, so that a re-execution would lack it.

    Raises:
        PayloadRefused: With what to pass instead.
    """
    if inspect.isawaitable(payload):
        _forget(payload)
        raise PayloadRefused(
            "payload", "is a coroutine; pass the function that makes it, not its call"
        )


def _do(so: Approvals | AsyncApprovals, step: Do) -> Any:  # noqa: ANN401 - any use case
    return getattr(so, step.name)(*step.args, **step.kwargs)


def _make(step: Make) -> Any:  # noqa: ANN401 - any JSON value
    value = step.payload() if callable(step.payload) else step.payload
    if inspect.isawaitable(value):
        _forget(value)
        raise PayloadRefused(
            "payload", "comes from an async function; use the async twin in async code"
        )
    return value


async def _amake(step: Make) -> Any:  # noqa: ANN401 - any JSON value
    payload = step.payload
    if inspect.iscoroutinefunction(payload):
        value = await payload()
    elif callable(payload):
        value = await anyio.to_thread.run_sync(payload)
    else:
        value = payload
    return await value if inspect.isawaitable(value) else value


def _forget(value: object) -> None:
    if inspect.iscoroutine(value):
        value.close()
