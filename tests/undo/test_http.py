"""Resources of a real HTTP service are deleted, put back and set back."""

import json
import threading
from collections.abc import Iterator, Mapping
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from signoff.domain.errors import CannotCapture, NotApplied
from signoff.undo.http import Http
from tests.undo.driving import Done, carry_out


class House(ThreadingHTTPServer):
    """A service with resources under any path, ETags, and a memory for what it saw."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.kept: dict[str, bytes] = {}
        self.seen: list[tuple[str, str, Mapping[str, str]]] = []
        self.refuses: dict[str, int] = {}
        self.next = 1

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Door(BaseHTTPRequestHandler):
    server: House

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if body:
            self.send_header("ETag", etag(body))
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def may(self) -> bool:
        """Whether the conditions hold; notes the request."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers))
        kept = self.server.kept.get(self.path)
        if refused := self.server.refuses.get(self.command):
            self.answer(refused)
            return False
        match = headers.get("if-match")
        wrong = match is not None and (kept is None or etag(kept) != match)
        if wrong or ("if-none-match" in headers and kept is not None):
            self.answer(412)
            return False
        return True

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self) -> None:
        kept = self.server.kept.get(self.path)
        if refused := self.server.refuses.get("GET"):
            self.answer(refused)
        elif self.path.endswith("/moved"):
            self.answer(307, Location="/issues/7")
        elif kept is None:
            self.answer(410 if self.path.endswith("/old") else 404)
        else:
            self.answer(200, kept)

    def do_POST(self) -> None:
        number, self.server.next = self.server.next, self.server.next + 1
        made = json.dumps({"id": number, **json.loads(self.body())}).encode()
        self.server.kept[f"{self.path}/{number}"] = made
        self.answer(201, made)

    def do_PUT(self) -> None:
        body = self.body()
        if self.may():
            self.server.kept[self.path] = body
            self.answer(200, body)

    def do_DELETE(self) -> None:
        if self.may():
            gone = self.server.kept.pop(self.path, None)
            self.answer(404 if gone is None else 204)


def etag(body: bytes) -> str:
    return f'"{sha256(body).hexdigest()[:16]}"'


@pytest.fixture
def house() -> Iterator[House]:
    server = House()
    server.kept["/issues/7"] = b'{"title": "was", "by": "ana", "changed": 1}'
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(house: House) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=house.url, timeout=5) as opened:
        yield opened


@pytest.fixture
def http(client: httpx2.Client) -> Http:
    return Http(client, ignore=("changed",))


def created(http: Http, client: httpx2.Client) -> Done:
    def tool() -> Any:  # noqa: ANN401 - any JSON
        return client.post("/issues", json={"title": "new"}).json()

    return carry_out(
        http.create("create_issue", "/issues/{id}"), {"title": "new"}, tool
    )


def changed(http: Http, house: House, **news: object) -> Done:
    def tool() -> None:
        edit(house, changed=2, **news)

    return carry_out(http.change("edit_issue", "/issues/{no}"), {"no": 7}, tool)


def deleted(http: Http, house: House) -> Done:
    def tool() -> None:
        del house.kept["/issues/7"]

    return carry_out(http.delete("delete_issue", "/issues/{no}"), {"no": 7}, tool)


def edit(house: House, **news: object) -> None:
    now = json.loads(house.kept["/issues/7"])
    house.kept["/issues/7"] = json.dumps({**now, **news}).encode()


def test_what_was_created_is_deleted(
    http: Http, client: httpx2.Client, house: House
) -> None:
    done = created(http, client)
    body = house.kept["/issues/1"]
    done.take_back()
    assert "/issues/1" not in house.kept
    (method, path, headers), *others = house.seen
    assert (method, path, others) == ("DELETE", "/issues/1", [])
    assert headers["idempotency-key"] == "undo:act_1"
    assert headers["if-match"] == etag(body)
    assert done.spec.label.word == "compensated"
    done.attempt()  # gone already
    assert len(house.seen) == 1


def test_gone_in_the_meantime_is_gone(
    http: Http, client: httpx2.Client, house: House
) -> None:
    done = created(http, client)
    house.refuses["DELETE"] = 410
    done.attempt()


def test_what_was_deleted_is_put_back(http: Http, house: House) -> None:
    was = house.kept["/issues/7"]
    done = deleted(http, house)
    done.take_back()
    assert house.kept["/issues/7"] == was
    ((method, _, headers),) = house.seen
    assert method == "PUT"
    assert headers["if-none-match"] == "*"
    assert headers["content-type"] == "application/json"


def test_what_was_changed_is_set_back_field_by_field(http: Http, house: House) -> None:
    done = changed(http, house, title="mine", new="field")
    edit(house, by="somebody else", changed=3)
    done.take_back()
    assert json.loads(house.kept["/issues/7"]) == {
        "title": "was",
        "by": "somebody else",
        "changed": 3,
    }


@pytest.mark.row("C10")
def test_a_change_of_the_same_field_is_a_conflict(http: Http, house: House) -> None:
    done = changed(http, house, title="mine")
    edit(house, title="theirs")
    assert done.conflicts() == ["/issues/7#title"]


@pytest.mark.row("C11")
def test_an_address_that_is_used_again_is_a_conflict(http: Http, house: House) -> None:
    done = deleted(http, house)
    house.kept["/issues/7"] = b'{"title": "another"}'
    assert "/issues/7#title" in done.conflicts()


def test_a_change_in_the_very_moment_is_not_overwritten(
    http: Http, client: httpx2.Client, house: House
) -> None:
    done = changed(http, house, title="mine")

    def meddle(request: httpx2.Request) -> None:
        if request.method == "PUT":
            edit(house, title="theirs")

    client.event_hooks = {"request": [meddle]}
    with pytest.raises(NotApplied, match="changed in this very moment"):
        done.attempt()
    assert b"theirs" in house.kept["/issues/7"]


def test_a_service_that_refuses_says_so(http: Http, house: House) -> None:
    done = deleted(http, house)
    house.refuses["PUT"] = 405
    with pytest.raises(NotApplied, match="PUT /issues/7 was answered with 405"):
        done.attempt()


@pytest.mark.parametrize("no", ["", ".", "..", None, True, [1]])
def test_a_value_that_leads_elsewhere_is_refused(http: Http, no: object) -> None:
    spec = http.delete("delete_issue", "/issues/{no}")
    with pytest.raises(CannotCapture, match="no part of an address"):
        carry_out(spec, {"no": no}, pytest.fail)


def test_a_hostile_value_is_data(http: Http, house: House) -> None:
    house.kept["/issues/..%2Fadmin%3Fx%23y"] = b"secret"
    spec = http.delete("delete_issue", "/issues/{no}")
    done = carry_out(spec, {"no": "../admin?x#y"}, house.kept.clear)
    done.take_back()
    assert list(house.kept) == ["/issues/..%2Fadmin%3Fx%23y"]


def test_what_can_not_be_read_is_refused(client: httpx2.Client, house: House) -> None:
    spec = Http(client, max_bytes=10).delete("delete_issue", "/issues/{no}")
    with pytest.raises(CannotCapture, match="more than 10 bytes"):
        carry_out(spec, {"no": 7}, pytest.fail)
    house.refuses["GET"] = 403
    with pytest.raises(CannotCapture, match="can't be read: 403"):
        carry_out(spec, {"no": 7}, pytest.fail)
    with httpx2.Client(base_url="http://127.0.0.1:9") as nobody:
        spec = Http(nobody).delete("delete_issue", "/issues/{no}")
        with pytest.raises(CannotCapture, match="can't be read"):
            carry_out(spec, {"no": 7}, pytest.fail)


def test_a_redirect_is_not_followed(house: House) -> None:
    with httpx2.Client(base_url=house.url, follow_redirects=True) as client:
        assert client.get("/issues/moved").json()["title"] == "was"
        spec = Http(client).delete("delete_issue", "/issues/{no}")
        with pytest.raises(CannotCapture, match="can't be read: 307"):
            carry_out(spec, {"no": "moved"}, pytest.fail)


def test_a_result_without_an_id_is_not_reversible(http: Http) -> None:
    spec = http.create("create_issue", "/issues/{id}")
    with pytest.raises(CannotCapture, match="id is None"):
        carry_out(spec, {}, lambda: "created")
    with pytest.raises(CannotCapture, match="id is None"):
        carry_out(spec, {}, lambda: {"number": 7})
    with pytest.raises(CannotCapture, match="isn't known"):
        carry_out(spec, {}, lambda: None)


def test_bytes_come_back_as_they_were(http: Http, house: House) -> None:
    house.kept["/issues/7"] = bytes(range(256))
    done = deleted(http, house)
    done.take_back()
    assert house.kept["/issues/7"] == bytes(range(256))
