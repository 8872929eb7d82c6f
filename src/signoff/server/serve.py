"""Runs the server: in this thread until a signal comes, or beside a program."""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Final, Self

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from signoff.domain.errors import InvalidSetting, PortTaken, ServerUnreachable
from signoff.server.app import create_app
from signoff.service import Approvals

DEFAULT_PORT: Final = 8765
_MAX_PORT: Final = 65_535
_GRACE_S: Final = 5
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - names them, binds none


@dataclass(frozen=True, slots=True)
class FromUrl:
    """A user interface that must know the server's address before it is made."""

    make: Callable[[str], ASGIApp]


class Server:
    """A server in a thread of its own, for tests, demos and programs that embed it.

    Use it as a context manager: it answers from entry to exit.

    Attributes:
        url: Where it answers, such as `http://127.0.0.1:8765`.
        app: What it serves.

    Args:
        so: The use cases. Whoever made it closes it, after the server.
        host: Where it listens; `0.0.0.0` is every address of this machine.
        port: 0 is any free one; `url` says which.
        ui: An ASGI app for all paths that aren't the API's.
        base_url: The address that people use, if it isn't `url`.

    Raises:
        PortTaken: Another program listens there.
        InvalidSetting: The host isn't one of this machine.
    """

    def __init__(
        self,
        so: Approvals,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ui: ASGIApp | FromUrl | None = None,
        base_url: str | None = None,
    ) -> None:
        self._socket = _listen(host, port)
        self.url = _url(host, self._socket)
        try:
            app = create_app(
                so,
                base_url=base_url,
                allowed_hosts={host} - _EVERYWHERE,
                ui=ui.make(self.url) if isinstance(ui, FromUrl) else ui,
            )
        except BaseException:
            self._socket.close()
            raise
        self.app = app
        self._running = False
        self._answers = threading.Event()
        self._uvicorn = _Uvicorn(app, self._answers.set)
        self._thread = threading.Thread(
            target=self._run, name="signoff-server", daemon=True
        )

    def start(self) -> None:
        """Return once it answers.

        Raises:
            ServerUnreachable: It ended instead; its log says why.
        """
        self._thread.start()
        self._answers.wait()
        if not self._uvicorn.started:
            raise ServerUnreachable(self.url, _ENDED)

    def stop(self) -> None:
        """Let requests finish, end the event streams, and return once it is gone."""
        self._uvicorn.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        elif not self._running:
            self._socket.close()

    def run(self, on_ready: Callable[[str], object]) -> None:
        """Serve in this thread until `stop`, SIGINT or SIGTERM.

        Raises:
            ServerUnreachable: It ended before it answered; its log says why.
        """
        self._uvicorn.on_ready = lambda: on_ready(self.url)
        with _signals(self._uvicorn.handle_exit):
            self._run()
        if not self._uvicorn.started:
            raise ServerUnreachable(self.url, _ENDED)

    def _run(self) -> None:
        self._running = True
        try:
            self._uvicorn.run(sockets=[self._socket])
        except SystemExit:
            pass  # uvicorn's way to say that the app didn't start; it was logged
        finally:
            self._socket.close()
            self._answers.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def serve(
    so: Approvals,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    ui: ASGIApp | FromUrl | None = None,
    base_url: str | None = None,
    on_ready: Callable[[str], object] = lambda _url: None,
) -> None:
    """Serve in this thread until SIGINT or SIGTERM; requests under way are finished.

    Args:
        so: The use cases. Whoever made it closes it.
        host: Where it listens; `0.0.0.0` is every address of this machine.
        port: 0 is any free one.
        ui: An ASGI app for all paths that aren't the API's.
        base_url: The address that people use, if it isn't loopback's.
        on_ready: Called with the server's address once it answers.

    Raises:
        PortTaken: Another program listens there; nothing was started.
        InvalidSetting: The host isn't one of this machine.
        ServerUnreachable: It ended before it answered; its log says why.
    """
    Server(so, host=host, port=port, ui=ui, base_url=base_url).run(on_ready)


_ENDED: Final = "it ended before it could answer, and its log says why"


class _Uvicorn(uvicorn.Server):
    """Says when it answers, and ends the event streams before it waits for them."""

    def __init__(self, app: FastAPI, on_ready: Callable[[], object]) -> None:
        config = uvicorn.Config(
            app,
            access_log=False,  # a link that signs in has its token in the address
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=15,
        )
        super().__init__(config)
        self._app, self.on_ready = app, on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.changes.end()
        await super().shutdown(sockets)

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # wider than the decorated one
        """Leave signals to `serve`: uvicorn would raise them again at its end."""
        return nullcontext()


@contextmanager
def _signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket: from now on nobody else gets the port."""
    if not 0 <= port <= _MAX_PORT:
        raise InvalidSetting("port", f"must be 0 to {_MAX_PORT}, not {port}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise InvalidSetting("host", f"{host!r} has no address: {error}.") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _not_bound(error, host, port) from error
    return listener


def _not_bound(error: OSError, host: str, port: int) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(host, port)
    if error.errno == errno.EACCES:
        return InvalidSetting("port", f"{port} may not be used; take one above 1023.")
    return InvalidSetting("host", f"{host!r} can't be listened on: {error.strerror}.")


def _url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    name = "127.0.0.1" if host in _EVERYWHERE else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
