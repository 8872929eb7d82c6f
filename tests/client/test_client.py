"""What only the client has: addresses, tokens, servers that fail or aren't ours."""

import inspect
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from signoff import Approve, Signoff
from signoff.client import Client, read_problem
from signoff.domain import errors
from signoff.domain.errors import (
    CallerError,
    InvalidSetting,
    NotAuthenticated,
    ServerUnreachable,
    SignoffError,
    StorageUnavailable,
    WorldError,
)
from signoff.server import Server
from signoff.server.problems import problem_of
from tests.support import free_port

TOKEN = "sgn_00000000_" + "x" * 43
SAMPLES: dict[str, object] = {
    "str": "some text",
    "str | None": None,
    "int": 3,
    "int | None": 12,
    "float | None": 1.5,
    "tuple[str, ...] | None": ("finance",),
    "tuple[str, ...]": ("one", "two"),
    "tuple[tuple[str, str], ...]": (("ent_2", "declared"), ("ent_1", "probable")),
    "Sequence[Mapping[str, Any]]": (
        {"path": "a.b", "before": None, "after": [1.0, "x"], "now": {"$absent": True}},
    ),
}


def every_error() -> Iterator[SignoffError]:
    """One of each, with something in every field."""
    for kind in vars(errors).values():
        if not (isinstance(kind, type) and issubclass(kind, SignoffError)):
            continue
        if "__init__" not in vars(kind):
            yield kind("what happened")
            continue
        parameters = inspect.signature(kind).parameters.values()
        yield kind(**{p.name: SAMPLES[p.annotation] for p in parameters})


@pytest.mark.parametrize("error", [*every_error()], ids=lambda error: error.code)
def test_an_error_arrives_as_it_left(error: SignoffError) -> None:
    sent = problem_of(error)
    arrived = read_problem("http://server", json.loads(bytes(sent.body)))
    if isinstance(error, StorageUnavailable):
        assert isinstance(arrived, StorageUnavailable)
        assert "some text" not in str(arrived)  # where it is, is the server's own
        return
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
    assert sent.status_code == error.status


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        ({"code": "of_tomorrow", "status": 409, "detail": "new"}, CallerError),
        ({"code": "of_tomorrow", "status": 503, "detail": "new"}, WorldError),
        ({"code": "already_decided", "status": 409, "detail": "new"}, CallerError),
    ],
)
def test_an_error_of_another_version(
    problem: dict[str, object], kind: type[SignoffError]
) -> None:
    error = read_problem("http://server", problem)
    assert (type(error), str(error)) == (kind, "new")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8765",
        "ftp://localhost",
        "sqlite:///signoff.db",
        "http://",
        "http://user:secret@localhost",
        "http://localhost?x=1",
        "http://localhost/#x",
        "http://local host:x",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InvalidSetting, match="url: "):
        Client(url, TOKEN)


@pytest.mark.parametrize("token", ["", " ", "sgn_\n", "sgn_é", "a\r\nX-Evil: 1"])
def test_a_token_that_is_none(token: str) -> None:
    with pytest.raises(NotAuthenticated):
        Client("http://127.0.0.1:1", token)


def test_a_channel_that_is_none(sqlite_url: str) -> None:
    so = Signoff(sqlite_url)
    _, secret = so.create_token("bo")
    with (
        Server(so) as server,
        Client(server.url, secret, channel="carrier pigeon") as client,
        pytest.raises(InvalidSetting, match="channel: must be one of"),
    ):
        client.whoami()
    so.close()


@pytest.mark.parametrize("channel", ["api", "cli", "inbox"])
def test_the_record_names_the_channel(sqlite_url: str, channel: str) -> None:
    so = Signoff(sqlite_url)
    _, secret = so.create_token("bo")
    with (
        Server(so) as server,
        Client(server.url + "/", secret, channel=channel) as client,
    ):
        assert client.url == server.url
        assert client.whoami().channel == channel
    so.close()


def test_no_server_answers() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with (
        Client(url, TOKEN) as client,
        pytest.raises(ServerUnreachable, match="signoff serve") as caught,
    ):
        client.count()
    assert caught.value.url == url
    assert TOKEN not in str(caught.value)


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, Callable[[], list[bytes]]]]:
    """A server that gives each connection the next of these answers and closes it."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            with suppress(OSError):  # nobody came, or nobody waited for the answer
                connection, _ = listener.accept()
                with connection:
                    heard.append(connection.recv(65536))
                    connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", lambda: heard
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def response(
    body: str, kind: str = "application/json", status: str = "200 OK"
) -> bytes:
    """An HTTP response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    "answer",
    [
        response("<html>", "text/html"),
        response("<html>", "text/html", "404 Not Found"),
        response("{", "application/json"),
        response('{"detail": "no"}', status="404 Not Found"),
        response("[]", status="500 Oops"),
        b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
def test_something_else_answers(answer: bytes) -> None:
    with (
        answering(answer, answer) as (url, _),
        Client(url, TOKEN) as client,
        pytest.raises(ServerUnreachable),
    ):
        client.whoami()


def test_a_look_is_repeated_when_the_server_closes_an_idle_connection() -> None:
    with (
        answering(b"", response("7")) as (url, heard),
        Client(url, TOKEN) as client,
    ):
        assert client.now() == 7
        assert len(heard()) == 2


def test_a_decision_is_never_repeated() -> None:
    with (
        answering(b"", response("{}")) as (url, heard),
        Client(url, TOKEN) as client,
        pytest.raises(ServerUnreachable),
    ):
        client.decide("req_1", Approve(), digest="0")
    assert [sent.partition(b" HTTP")[0] for sent in heard()] == [
        b"POST /api/v1/requests/req_1/decisions"
    ]


def test_a_proxy_never_sees_what_stays_here(
    monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    so = Signoff(sqlite_url)
    _, secret = so.create_token("bo")
    with Server(so) as server, Client(server.url, secret) as client:
        assert client.count() == 0
    so.close()


def test_fields_of_a_newer_server_are_left_out() -> None:
    me = {"id": "bo", "kind": "person", "groups": [], "channel": "api", "mood": "fine"}
    with answering(response(json.dumps(me))) as (url, _), Client(url, TOKEN) as client:
        assert client.whoami().id == "bo"
