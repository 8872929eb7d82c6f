"""Runs a use case in a thread, under a limiter of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread

from signoff.service import Approvals

P = ParamSpec("P")
T = TypeVar("T")


class Running:
    """The sync use cases, and how they are called."""

    def __init__(self, sync: Approvals, *, threads: int = 8) -> None:
        self.sync = sync
        self._limiter = anyio.CapacityLimiter(threads)

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        work = partial(call, *args, **kwargs)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)
