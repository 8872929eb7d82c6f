"""The HTTP API, the sign-in page and what is mounted beside them, as one ASGI app."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, NoReturn, Protocol, runtime_checkable

import anyio
from anyio.to_thread import run_sync
from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from signoff import __version__
from signoff.client import PREFIX
from signoff.domain.errors import WorldError
from signoff.server import agreeing, events, journal, login, problems, routes
from signoff.server.auth import BEARER, Core, authenticated
from signoff.server.events import Changes
from signoff.server.guard import Guard, host_names, origin_of
from signoff.server.wire import Json
from signoff.service import Approvals

log: Final = logging.getLogger("signoff.server")

UPKEEP_S: Final = 1.0
_PATIENCE_S: Final = 60.0
_ERRORS: Final = {
    "description": "What is wrong and how it is cured (RFC 9457).",
    "content": {"application/problem+json": {"schema": problems.SCHEMA}},
}
_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_ABOUT: Final = """What waits for people, and their decisions on it.

Send `Authorization: Bearer sgn_...`; `signoff token create NAME` makes a token. Who
decides is the token's identity and never a field of the body. Times are microseconds
since 1970 UTC on the database's clock. Errors are problem documents (RFC 9457) whose
`code` is stable.
"""


@runtime_checkable
class HasLifespan(Protocol):
    """A mounted app that must be started and stopped with this one."""

    def lifespan(self) -> Callable[[Any], AbstractAsyncContextManager[None]]: ...


def create_app(
    so: Approvals,
    *,
    base_url: str | None = None,
    allowed_hosts: Iterable[str] = (),
    ui: ASGIApp | None = None,
    docs: bool = False,
) -> FastAPI:
    """The app that serves a store.

    Args:
        so: The use cases. Whoever made it closes it.
        base_url: The address that people use, if it isn't loopback's.
        allowed_hosts: More names by which the server may be called.
        ui: An ASGI app for all other paths; started and stopped with this one if it
            has a `lifespan`.
        docs: Whether `/docs` shows the API interactively, with scripts of a CDN.

    Raises:
        InvalidSetting: `base_url` is no address.
    """
    hosts = host_names(allowed_hosts, base_url)
    app = FastAPI(
        title="signoff",
        version=__version__,
        description=_ABOUT,
        lifespan=_lifespan(so, ui),
        docs_url="/docs" if docs else None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        redirect_slashes=False,
    )
    app.state.approvals = so
    app.state.origins = frozenset(() if base_url is None else (origin_of(base_url),))
    problems.install(app)
    _route(app, ui)
    app.add_middleware(Guard, hosts=hosts)
    return app


def _route(app: FastAPI, ui: ASGIApp | None) -> None:
    for router in (routes.router, journal.router, agreeing.router, events.router):
        app.include_router(
            router,
            prefix=PREFIX,
            dependencies=[Depends(BEARER), Depends(authenticated)],
            responses={"default": _ERRORS},
        )
    app.include_router(login.router)
    app.add_api_route("/healthz", _healthz, operation_id="health", tags=["server"])
    for path in ("/api", "/api/{rest:path}"):
        app.add_api_route(
            path,
            _unknown,
            methods=_METHODS,
            response_model=None,
            include_in_schema=False,
        )
    if ui is not None:
        app.mount("/", ui)


def _healthz(so: Core) -> Response:
    """Whether the server can read its store. Needs no token."""
    so.changed()
    return Json({"status": "ok"})


def _unknown() -> NoReturn:
    raise HTTPException(404, "The API has no such path, or not with this method.")


def _lifespan(
    so: Approvals, ui: object
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    inner = ui.lifespan() if isinstance(ui, HasLifespan) else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        changes = app.state.changes = Changes(so)
        async with AsyncExitStack() as stack:
            if inner is not None:
                await stack.enter_async_context(inner(app))
            tasks = await stack.enter_async_context(anyio.create_task_group())
            tasks.start_soon(changes.watch)
            tasks.start_soon(_expire, so)
            yield
            changes.end()
            tasks.cancel_scope.cancel()

    return lifespan


async def _expire(so: Approvals) -> None:
    """Settle what nobody answered in time: silence is no."""
    wait = UPKEEP_S
    while True:
        try:
            await run_sync(so.run_due)
            wait = UPKEEP_S
        except WorldError:
            log.exception("overdue requests can't be settled; trying on")
            wait = min(2 * wait, _PATIENCE_S)
        await anyio.sleep(wait)
