"""Starting and stopping as `signoff serve` does: real processes, real signals."""

import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import httpx2
import pytest
from starlette.applications import Starlette

from signoff.domain.errors import InvalidSetting, PortTaken, ServerUnreachable
from signoff.server import Server, create_app, serve
from tests.forked import forked
from tests.server.house import House
from tests.support import run_python

SERVE = """
import sys
from signoff import Signoff
from signoff.server import serve

so = Signoff(sys.argv[1])
_, secret = so.create_token("bo")
serve(so, port=0, on_ready=lambda url: print(url, secret, flush=True))
so.close()
print("closed", flush=True)
"""


@contextmanager
def serving(url: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A server in a process of its own, its address, and a token."""
    pipe = subprocess.PIPE
    process = forked("-c", SERVE, url, stdout=pipe, stderr=pipe)
    with process:
        try:
            assert process.stdout is not None
            address, secret = process.stdout.readline().split()
            yield process, address, secret
        finally:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_gracefully(sqlite_url: str, number: signal.Signals) -> None:
    with serving(sqlite_url) as (process, address, secret):
        headers = {"Authorization": f"Bearer {secret}"}
        with (
            httpx2.Client(base_url=address, headers=headers) as http,
            http.stream("GET", "/api/v1/events") as events,
        ):
            lines = events.iter_lines()
            assert next(lines) == "retry: 1000"
            process.send_signal(number)
            assert [line for line in lines if line.startswith("error")] == []
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "closed\n", "")


def test_a_killed_server_leaves_its_port(sqlite_url: str) -> None:
    with serving(sqlite_url) as (process, address, _):
        port = httpx2.URL(address).port
        assert httpx2.get(f"{address}/healthz").status_code == 200
        process.kill()
        process.wait(timeout=20)
    with socket.create_server(("127.0.0.1", port or 0)):
        pass


def test_a_port_that_is_taken(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ready: list[str] = []
        with pytest.raises(PortTaken) as caught:
            serve(house.so, port=port, on_ready=ready.append)
        assert (caught.value.host, caught.value.port) == ("127.0.0.1", port)
        with pytest.raises(PortTaken):
            Server(house.so, port=port)
    assert ready == []


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [
        ("192.0.2.1", 0, "host"),
        ("no such host", 0, "host"),
        ("127.0.0.1", 70_000, "port"),
        ("127.0.0.1", -1, "port"),
    ],
)
def test_a_place_where_nobody_can_listen(
    house: House, host: str, port: int, name: str
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Server(house.so, host=host, port=port)
    assert caught.value.name == name


@pytest.mark.parametrize(
    "url", ["", "signoff.example", "ftp://x", "http://[", "http://x:y"]
)
def test_a_public_address_that_is_none(house: House, url: str) -> None:
    with pytest.raises(InvalidSetting, match="base_url: "):
        Server(house.so, base_url=url)


def test_every_address_of_the_machine_is_still_guarded(house: House) -> None:
    with Server(house.so, host="0.0.0.0") as server:  # noqa: S104 that is the test
        assert server.url.startswith("http://127.0.0.1:")
        assert httpx2.get(f"{server.url}/healthz").status_code == 200
        foreign = {"Host": "0.0.0.0"}  # noqa: S104 as above
        refused = httpx2.get(f"{server.url}/healthz", headers=foreign)
        assert refused.status_code == 421


def test_it_answers_on_ipv6(house: House) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with Server(house.so, host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx2.get(f"{server.url}/healthz").status_code == 200


def test_stopping_twice_and_before_the_start(house: House) -> None:
    with Server(house.so) as server:
        server.stop()
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{server.url}/healthz")
    Server(house.so).stop()


def test_a_page_that_does_not_start(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Starlette):
        def lifespan(self) -> object:
            @asynccontextmanager
            async def failing(_app: object) -> AsyncIterator[None]:
                if self.routes == []:
                    raise RuntimeError("the page is broken")
                yield

            return failing

    with pytest.raises(ServerUnreachable, match="its log says why"):
        Server(house.so, ui=Broken()).start()
    with pytest.raises(ServerUnreachable, match="its log says why"):
        serve(house.so, port=0, ui=Broken())
    assert caplog.text.count("the page is broken") >= 2


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['fastapi'] = None; import signoff.server"
    ran = run_python(code)
    assert ran.returncode == 1
    assert ran.stderr.strip().endswith("pip install 'signoff[server]'.")


def test_documentation_is_there_when_asked_for(house: House) -> None:
    paths = {getattr(route, "path", "") for route in create_app(house.so).routes}
    asked = create_app(house.so, docs=True).routes
    assert "/docs" not in paths
    assert "/docs" in {getattr(route, "path", "") for route in asked}
