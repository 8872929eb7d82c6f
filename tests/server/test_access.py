"""Who gets in: nobody without a token, nobody from another site's page."""

import re
import socket
from collections.abc import Iterator

import httpx2
import pytest

from signoff import Status
from signoff.domain.principals import PrincipalKind
from signoff.server.login import safe_path
from tests.server.house import House, Street, open_street

COOKIE = "signoff_session"
PATHS = re.compile(r"\{[^}]*\}")


def operations(street: Street) -> Iterator[tuple[str, str]]:
    """Every method and path of the API, with something in place of each id."""
    document = street.http.get("/api/v1/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            yield method.upper(), PATHS.sub("req_1", path)


STRANGERS: list[dict[str, str]] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer sgn_00000000_" + "x" * 43},
    {"Authorization": "Basic Ym86Ym8="},
    {"Cookie": f"{COOKIE}="},
    {"Cookie": f"{COOKIE}=sgn_00000000_" + "x" * 43, "Sec-Fetch-Site": "same-origin"},
    {"X-Forwarded-User": "bo", "X-Signoff-Channel": "inbox"},
]


@pytest.mark.row("B5")
def test_nobody_gets_in_without_a_token(street: Street) -> None:
    paths = [one for one in operations(street) if one[1] != "/healthz"]
    assert len(paths) >= 21
    for method, path in paths:
        for headers in STRANGERS:
            answer = street.http.request(method, path, headers=headers)
            assert (path, headers, answer.status_code) == (path, headers, 401)
            assert answer.json()["code"] == "not_authenticated"
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_revoked_token_is_out_at_once(street: Street) -> None:
    headers, so = street.bearer(), street.house.so
    assert street.http.get("/api/v1/me", headers=headers).json()["id"] == "bo"
    so.revoke_token(so.tokens()[0].id)
    assert street.http.get("/api/v1/me", headers=headers).status_code == 401


def test_a_wrong_bearer_is_not_saved_by_a_cookie(street: Street) -> None:
    headers = {
        "Authorization": "Bearer wrong",
        "Cookie": f"{COOKIE}={street.house.secret()}",
    }
    assert street.http.get("/api/v1/me", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("name", "groups", "kind", "status"),
    [
        ("root", ["admin"], PrincipalKind.PERSON, 200),
        ("ci", ["admin"], PrincipalKind.SERVICE, 200),
        ("bot", ["admin"], PrincipalKind.AGENT, 403),
        ("bo", ["finance"], PrincipalKind.PERSON, 403),
        ("admin", [], PrincipalKind.PERSON, 403),
    ],
)
def test_tokens_are_for_admins(
    street: Street, name: str, groups: list[str], kind: PrincipalKind, status: int
) -> None:
    street.house.secret(name, *groups, kind=kind)
    headers, before = street.bearer(name), len(street.house.so.tokens())
    ask = {"principal": "mallory", "groups": ["admin"]}
    listed = street.http.get("/api/v1/tokens", headers=headers)
    made = street.http.post("/api/v1/tokens", headers=headers, json=ask)
    gone = street.http.delete("/api/v1/tokens/0", headers=headers)
    assert (listed.status_code, made.status_code) == (status, status)
    assert gone.status_code == (400 if status == 200 else 403)
    assert len(street.house.so.tokens()) == before + (status == 200)
    assert street.house.secret(name) not in listed.text


@pytest.mark.parametrize(("groups", "status"), [(["admin"], 200), (["finance"], 403)])
def test_deliveries_are_for_admins(
    street: Street, groups: list[str], status: int
) -> None:
    street.house.secret("bo", *groups)
    headers = street.bearer()
    listed = street.http.get("/api/v1/deliveries", headers=headers)
    retried = street.http.post("/api/v1/deliveries/dlv_1/retry", headers=headers)
    assert listed.status_code == status
    assert retried.status_code == (404 if status == 200 else 403)


# The inbox's cookie.


def signed_in(street: Street) -> dict[str, str]:
    """The cookie of somebody who signed in by the form."""
    sent = street.http.post(
        "/login",
        data={"token": street.house.secret(), "next": "/?request=req_1"},
        headers={"Origin": street.server.url},
    )
    assert (sent.status_code, sent.headers["location"]) == (303, "/?request=req_1")
    return {"Cookie": sent.headers["set-cookie"].partition(";")[0]}


def test_signing_in_and_out(street: Street) -> None:
    page = street.http.get("/login", params={"next": '/a"><script>'})
    assert page.status_code == 200
    assert "<script" not in page.text
    cookie = signed_in(street)
    me = street.http.get("/api/v1/me", headers=cookie).json()
    assert (me["id"], me["channel"]) == ("bo", "inbox")
    gone = street.http.post(
        "/logout", headers={**cookie, "Sec-Fetch-Site": "same-origin"}
    )
    assert gone.headers["location"] == "/login"
    assert gone.headers["set-cookie"].startswith(f'{COOKIE}=""; ')
    assert "Max-Age=0" in gone.headers["set-cookie"]


@pytest.mark.row("B11")
def test_a_link_signs_in_and_nothing_more(street: Street) -> None:
    request, secret = street.house.ask(), street.house.secret()
    before = street.house.events()
    asked = {"token": secret, "next": "/?request=" + request.id}
    answer = street.http.get("/login", params=asked)
    assert answer.status_code == 303
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    cookie = answer.headers["set-cookie"]
    assert cookie == f"{COOKIE}={secret}; HttpOnly; Path=/; SameSite=strict"
    assert street.house.so.get(request.id) == request
    assert street.house.events() == before


def test_the_cookie_is_secure_behind_https(house: House) -> None:
    with open_street(house, base_url="https://Signoff.Example.com:443") as street:
        headers = {"Host": "signoff.example.com"}
        sent = {"token": house.secret()}
        answer = street.http.get("/login", params=sent, headers=headers)
        assert answer.headers["set-cookie"].endswith("SameSite=strict; Secure")
        form = {**headers, "Origin": "https://signoff.example.com"}
        assert street.http.post("/login", data=sent, headers=form).status_code == 303


def test_a_wrong_token_shows_the_form_again(street: Street) -> None:
    headers = {"Origin": street.server.url}
    for token in ("wrong", "", "<b>bold</b>", "sgn_" + "x" * 9000):
        posted = street.http.post("/login", data={"token": token}, headers=headers)
        linked = street.http.get("/login", params={"token": token})
        for answer in (posted, linked):
            assert answer.status_code == 401
            assert "set-cookie" not in answer.headers
            assert 'role="alert"' in answer.text
            assert "<b>" not in answer.text


ELSEWHERE = [
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "http:evil.example",
    "javascript:alert(1)",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "evil.example",
    "/a\r\nSet-Cookie: x=1",
    "/é",
    "",
    "@evil.example",
]


def test_signing_in_leads_nowhere_else(street: Street) -> None:
    for after in ELSEWHERE:
        asked = {"token": street.house.secret(), "next": after}
        answer = street.http.get("/login", params=asked)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert safe_path(after) == "/"


def test_signing_in_leads_to_a_page_of_ours() -> None:
    for after in ("/", "/?request=req_1", "/a/b?c=d#e", "/%2F%2Fx"):
        assert safe_path(after) == after


# Other sites' pages.


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://{host}"},
    {"Origin": "http://{host}.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://{host}"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
    {},
]


def test_another_sites_page_decides_nothing(street: Street) -> None:
    request, cookie = street.house.ask(), signed_in(street)
    host = street.server.url.removeprefix("http://")
    body = {"type": "approve", "digest": request.digest}
    path = f"/api/v1/requests/{request.id}/decisions"
    for headers in FOREIGN:
        sent = {name: value.format(host=host) for name, value in headers.items()}
        sent |= cookie
        for answer in (
            street.http.post(path, json=body, headers=sent),
            street.http.post("/login", data={"token": "x"}, headers=sent),
            street.http.post("/logout", headers=sent),
        ):
            told = (answer.status_code, answer.json()["code"])
            assert (headers, *told) == (headers, 403, "foreign_origin")
    assert street.house.so.get(request.id) == request


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://{host}"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    ],
)
def test_the_inboxs_own_page_decides(street: Street, headers: dict[str, str]) -> None:
    request, cookie = street.house.ask(), signed_in(street)
    host = street.server.url.removeprefix("http://")
    sent = {name: value.format(host=host) for name, value in headers.items()} | cookie
    answer = street.http.post(
        f"/api/v1/requests/{request.id}/decisions",
        json={"type": "approve", "digest": request.digest},
        headers=sent,
    )
    assert answer.json()["status"] == "approved"
    assert street.house.so.votes(request.id)[0].channel == "inbox"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_form_can_not_carry_a_decision(street: Street, kind: str) -> None:
    request = street.house.ask()
    answer = street.http.post(
        f"/api/v1/requests/{request.id}/decisions",
        content=f'{{"type": "approve", "digest": "{request.digest}"}}',
        headers={**street.bearer(), "Content-Type": kind},
    )
    assert answer.status_code == 422
    assert street.house.so.get(request.id).status is Status.PENDING


# Names that point here (DNS rebinding).


NOT_OURS = [
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "localhost.",
    "",
    "[::1",
    "2130706433",
]


def test_a_host_that_is_not_ours(street: Street) -> None:
    port = street.server.url.rpartition(":")[2]
    for host in NOT_OURS:
        headers = {**street.bearer(), "Host": host.format(port=port)}
        for path in ("/api/v1/me", "/login", "/healthz", "/"):
            answer = street.http.get(path, headers=headers)
            assert (host, answer.status_code) == (host, 421)
            assert answer.json()["code"] == "unknown_host"


def test_a_host_that_is_ours(street: Street) -> None:
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80"):
        headers = {**street.bearer(), "Host": host}
        answer = street.http.get("/api/v1/me", headers=headers)
        assert (host, answer.status_code) == (host, 200)


@pytest.mark.parametrize("hosts", [[], ["localhost", "evil.example"]])
def test_a_host_must_be_named_once(street: Street, hosts: list[str]) -> None:
    lines = ["GET /healthz HTTP/1.1", *(f"Host: {host}" for host in hosts), "", ""]
    address = httpx2.URL(street.server.url)
    with socket.create_connection((address.host, address.port or 0)) as connection:
        connection.sendall("\r\n".join(lines).encode())
        status = int(connection.recv(4096).split()[1])
    assert status in {400, 421}
