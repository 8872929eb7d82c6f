"""What is mounted beside the API: started with it, and guarded like it."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from signoff.server import FromUrl, Server
from tests.server.house import House, open_street


@dataclass
class Page:
    """A user interface with a page and a websocket, which wants to be started."""

    happened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        routes = [
            Route("/{rest:path}", self._page, methods=["GET", "POST"]),
            WebSocketRoute("/stream", self._echo),
        ]
        self._app = Starlette(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/fail":
            raise RuntimeError("the secret cause")
        await self._app(scope, receive, send)

    def lifespan(self) -> Callable[[Any], AbstractAsyncContextManager[None]]:
        @asynccontextmanager
        async def running(_app: object) -> AsyncIterator[None]:
            self.happened.append("started")
            yield
            self.happened.append("stopped")

        return running

    async def _page(self, request: Request) -> Response:
        body = await request.body()
        return PlainTextResponse(f"page {request.url.path} {len(body)}")

    async def _echo(self, page: WebSocket) -> None:
        await page.accept()
        await page.send_text(await page.receive_text())
        await page.close()


def test_it_lives_as_long_as_the_server(house: House) -> None:
    page = Page()
    with open_street(house, ui=page) as street:
        assert page.happened == ["started"]
        assert street.http.get("/some/page").text == "page /some/page 0"
    assert page.happened == ["started", "stopped"]


def test_the_api_keeps_its_paths(house: House) -> None:
    with open_street(house, ui=Page()) as street:
        assert street.http.get("/api/v1/me").status_code == 401
        for path in ("/api", "/api/", "/api/v1/nothing", "/api/v2/requests"):
            assert street.http.get(path).json()["code"] == "no_such_page"
        assert street.http.get("/healthz").json() == {"status": "ok"}
        assert "Your token" in street.http.get("/login").text


def test_its_pages_are_guarded(house: House) -> None:
    with open_street(house, ui=Page()) as street:
        answer = street.http.get("/")
        policy = answer.headers["content-security-policy"]
        assert "img-src 'self' data: blob:;" in policy
        assert "connect-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert street.http.get("/", headers={"Host": "evil.example"}).status_code == 421
        large = b" " * (1024 * 1024 + 1)
        assert street.http.post("/upload", content=large).status_code == 413
        for path in ("/_stcore/metrics", "/_stcore/agent/mcp", "/%5Fstcore/metrics"):
            assert street.http.get(path).status_code == 404


def test_an_error_that_nobody_foresaw_says_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with open_street(house, ui=Page()) as street:
        answer = street.http.get("/fail")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "the secret cause" in caplog.text


def test_it_may_need_the_address_first(house: House) -> None:
    given: list[str] = []

    def make(url: str) -> Page:
        given.append(url)
        return Page()

    with Server(house.so, ui=FromUrl(make)) as server:
        assert given == [server.url]


# Websockets.


def test_the_inboxs_own_page_may_connect(house: House) -> None:
    with open_street(house, ui=Page()) as street:
        own = street.server.url
        address = own.replace("http", "ws") + "/stream"
        with connect(address, origin=Origin(own)) as page:
            page.send("hello")
            assert page.recv() == "hello"


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", "http://127.0.0.1:1", "http://localhost"],
)
def test_another_sites_page_may_not(house: House, origin: str | None) -> None:
    with open_street(house, ui=Page()) as street:
        address = street.server.url.replace("http", "ws") + "/stream"
        said = None if origin is None else Origin(origin)
        with pytest.raises(InvalidStatus) as caught, connect(address, origin=said):
            pass
        assert caught.value.response.status_code == 403


def test_a_name_made_to_point_here_may_not(house: House) -> None:
    with open_street(house, ui=Page()) as street:
        port = int(street.server.url.rpartition(":")[2])
        evil = f"http://evil.example:{port}"
        address = evil.replace("http", "ws") + "/stream"
        with (
            socket.create_connection(("127.0.0.1", port)) as wire,
            pytest.raises(InvalidStatus) as caught,
            connect(address, origin=Origin(evil), sock=wire),
        ):
            pass
        assert caught.value.response.status_code == 403
