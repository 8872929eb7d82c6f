"""Server-sent events: every open inbox hears that something changed, in any process."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final, TypeVar

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from signoff.domain.errors import NotAuthenticated, WorldError
from signoff.server.auth import Caller, Core, authenticated
from signoff.service import Approvals

log: Final = logging.getLogger("signoff.server")
router: Final = APIRouter()

POLL_S: Final = 0.25
HEARTBEAT_S: Final = 15.0
_AFTER_ERROR_S: Final = 2.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """By which an inbox knows whether to look again.

    Attributes:
        changed: Grows whenever a request is made or changes.
        pending: How many requests wait.
    """

    changed: int
    pending: int


class Changes:
    """Watches the store once for all who listen, and not at all while nobody does.

    A ring in this process is heard at once; what another process wrote is seen within
    a quarter of a second.
    """

    def __init__(self, so: Approvals, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._so, self._heartbeat_s = so, heartbeat_s
        self._threads = anyio.CapacityLimiter(2)
        self._state: State | None = None
        self._version = 0
        self._listeners = 0
        self._ended = False
        self._wanted = asyncio.Event()
        self._news = asyncio.Event()

    async def watch(self) -> None:
        """Look for changes until cancelled."""
        heard = self._so.bell.rings
        while True:
            await self._wanted.wait()
            rings = await self._in_thread(self._so.bell.wait, heard, POLL_S)
            try:
                state = await self._in_thread(self._look)
            except WorldError:
                log.exception("the events can't see the store")
                await anyio.sleep(_AFTER_ERROR_S)
                continue
            if state != self._state or rings != heard:
                self._publish(state)
            heard = rings

    async def listen(self, check: Callable[[], object]) -> AsyncIterator[str]:
        """The stream of one listener: how it stands now, then every change.

        Args:
            check: Raises NotAuthenticated when the listener's token has ended, which
                ends the stream.
        """
        self._listeners += 1
        self._wanted.set()
        seen = 0
        try:
            yield "retry: 1000\n\n"
            while not self._ended:
                version, state = await self._next(seen)
                if state is not None and version != seen:
                    seen = version
                    yield f"event: changed\ndata: {json.dumps(asdict(state))}\n\n"
                    continue
                if await self._in_thread(_is_over, check):
                    return
                yield ": still here\n\n"
        finally:
            self._leave()

    def end(self) -> None:
        """End every stream and the watch's wait, so that the server can stop."""
        self._ended = True
        self._wake()
        self._so.bell.ring()

    @property
    def listeners(self) -> int:
        """How many listen just now."""
        return self._listeners

    def _look(self) -> State:
        return State(changed=self._so.changed(), pending=self._so.count())

    def _publish(self, state: State) -> None:
        self._state, self._version = state, self._version + 1
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _next(self, seen: int) -> tuple[int, State | None]:
        """What is new after `seen`, or what was, after the silence of a heartbeat."""
        news = self._news
        if not (self._ended or self._is_news(seen)):
            with anyio.move_on_after(self._heartbeat_s):
                await news.wait()
        return self._version, self._state

    def _is_news(self, seen: int) -> bool:
        return self._state is not None and self._version != seen

    def _leave(self) -> None:
        self._listeners -= 1
        if self._listeners == 0:
            self._wanted.clear()
            self._state = None  # stale by the time that somebody comes

    async def _in_thread(self, call: Callable[..., T], *args: object) -> T:
        return await run_sync(call, *args, limiter=self._threads)


def _is_over(check: Callable[[], object]) -> bool:
    try:
        check()
    except NotAuthenticated:
        return True
    except WorldError:
        return False  # the store is down; that says nothing about the token
    return False


@router.get(
    "/events",
    operation_id="listenToEvents",
    tags=["server"],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(request: Request, so: Core, _by: Caller) -> StreamingResponse:
    """Server-sent events: `changed` with `{"changed": ..., "pending": ...}`.

    The first says how it stands; then one follows whenever a request is made or
    changes, by whatever process.
    """
    changes: Changes = request.app.state.changes
    check = partial(authenticated, request, so)
    return StreamingResponse(changes.listen(check), media_type="text/event-stream")
