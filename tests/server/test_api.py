"""What the API takes and gives: exact types, the token's identity, no internals."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import text

from signoff import Approve
from signoff.domain.principals import PrincipalKind
from signoff.server.guard import MAX_BODY
from signoff.storage.engine import make_engine
from tests.server.house import Street


def decide(
    street: Street, request_id: str, body: object, name: str = "bo"
) -> Mapping[str, Any]:
    """Post a decision; the status is put into the document."""
    answer = street.http.post(
        f"/api/v1/requests/{request_id}/decisions",
        content=json.dumps(body),
        headers={**street.bearer(name), "Content-Type": "application/json"},
    )
    return {**answer.json(), "http": answer.status_code}


# Bodies.


@pytest.mark.row("B5")
@pytest.mark.parametrize(
    "field",
    ["by", "principal", "reviewer", "user", "channel", "at", "status", "request_id"],
)
def test_identity_is_never_in_the_body(street: Street, field: str) -> None:
    request = street.house.ask("pay_big")
    street.house.secret("cy", "finance")
    body = {"type": "approve", "digest": request.digest, field: "cy"}
    refused = decide(street, request.id, body)
    assert (refused["http"], refused["code"]) == (422, "invalid_request")
    assert field in refused["detail"]
    assert street.house.so.votes(request.id) == []


@pytest.mark.row("B5")
def test_the_token_says_who_decides(any_street: Street) -> None:
    request = any_street.house.ask("pay_big")
    any_street.house.secret("cy", "finance")
    body = {"type": "approve", "digest": request.digest}
    refused = decide(any_street, request.id, body)
    assert (refused["http"], refused["code"]) == (403, "not_allowed")
    assert (refused["principal"], refused["title"]) == ("bo", "NotAllowed")
    voted = decide(any_street, request.id, body, "cy")
    assert (voted["http"], voted["status"]) == (200, "pending")
    (vote,) = any_street.house.so.votes(request.id)
    assert (vote.principal, vote.channel) == ("cy", "api")


@pytest.mark.row("B6")
def test_an_agents_token_decides_nothing(any_street: Street) -> None:
    house = any_street.house
    house.secret("clerk", "finance", "admin", kind=PrincipalKind.AGENT)
    request, before = house.ask(), house.events()
    for body in (
        {"type": "approve", "digest": request.digest},
        {"type": "reject", "digest": request.digest},
        {"type": "edit", "digest": request.digest, "args": {"amount": 1, "to": "x"}},
        {"type": "respond", "digest": request.digest, "message": "do it"},
    ):
        refused = decide(any_street, request.id, body, "clerk")
        assert (refused["http"], refused["code"]) == (403, "not_allowed")
    assert house.so.get(request.id) == request
    assert house.events() == before


@pytest.mark.row("B3")
def test_the_store_is_the_authority(any_street: Street) -> None:
    house = any_street.house
    request = house.ask("pay", {"amount": 10, "to": "x"})
    forged = {**json.loads(_text(any_street, request.id)), "status": "approved"}
    forged["args"] = {"amount": 10_000, "to": "mallory"}
    headers, path = any_street.bearer(), f"/api/v1/requests/{request.id}"
    for method in ("PUT", "PATCH", "POST", "DELETE"):
        answer = any_street.http.request(method, path, json=forged, headers=headers)
        assert answer.status_code == 404
    made = any_street.http.post("/api/v1/requests", json=forged, headers=headers)
    assert made.status_code == 404
    body = {"type": "approve", "digest": "f" * 64}
    assert decide(any_street, request.id, body)["code"] == "digest_mismatch"
    assert house.so.get(request.id) == request
    assert house.so.begin(request) is None


def _text(street: Street, request_id: str) -> str:
    answer = street.http.get(f"/api/v1/requests/{request_id}", headers=street.bearer())
    assert answer.status_code == 200
    return answer.text


@pytest.mark.row("B2")
def test_numbers_keep_their_type_on_the_wire(any_street: Street) -> None:
    args = {"amount": 1.0, "count": 2, "to": "3", "urgent": False, "big": 1e21}
    request = any_street.house.ask("pay", args)
    shown = re.search(r'"args": (\{[^}]*\})', _text(any_street, request.id))
    assert shown is not None
    assert shown[1] == json.dumps(args)
    body = {"type": "edit", "digest": request.digest}
    for wrong in ({"amount": "5", "to": "x"}, {"amount": 5, "to": 5}):
        refused = decide(any_street, request.id, {**body, "args": wrong})
        assert (refused["http"], refused["code"]) == (422, "invalid_edit")
        assert len(refused["problems"]) == 1
    assert any_street.house.so.get(request.id) == request
    right = {"amount": 5.0, "to": "x", "count": 1}
    assert decide(any_street, request.id, {**body, "args": right})["http"] == 200
    assert repr(dict(any_street.house.so.get(request.id).args)) == repr(right)


BODIES: list[object] = [
    None,
    [],
    "approve",
    {},
    {"type": "approve"},
    {"type": "APPROVE", "digest": "{digest}"},
    {"type": ["approve"], "digest": "{digest}"},
    {"type": "approve", "digest": 7},
    {"type": "approve", "digest": "{digest}", "reason": 7},
    {"type": "approve", "digest": "{digest}", "reason": "x" * 20_001},
    {"type": "approve", "digest": "{digest}", "reason": "nul \x00"},
    {"type": "approve", "digest": "{digest}", "reason": "half \ud800"},
    {"type": "approve", "digest": "{digest}", "args": {}},
    {"type": "approve", "digest": "{digest}", "message": "x"},
    {"type": "edit", "digest": "{digest}"},
    {"type": "edit", "digest": "{digest}", "args": []},
    {"type": "edit", "digest": "{digest}", "args": "{}"},
    {"type": "edit", "digest": "{digest}", "args": {"amount": 1, "to": "x"}, "tool": 1},
    {"type": "respond", "digest": "{digest}"},
    {"type": "respond", "digest": "{digest}", "message": None},
    {"type": "cancel", "digest": "{digest}"},
    {"decision": "approve", "digest": "{digest}"},
]


def test_a_body_that_is_no_decision(street: Street) -> None:
    request = street.house.ask()
    street.house.secret("bo")
    before = street.house.events()
    for body in BODIES:
        sent = body
        if isinstance(body, dict) and body.get("digest") == "{digest}":
            sent = {**body, "digest": request.digest}
        refused = decide(street, request.id, sent)
        assert (body, refused["http"], refused["code"]) == (
            body,
            422,
            "invalid_request",
        )
    assert street.house.so.get(request.id) == request
    assert street.house.events() == before


NO_JSON = [
    b"",
    b"{",
    b"\xff\xfe",
    b"nonsense",
    b'{"type": "approve", "digest": }',
    b"[" * 200_000,
    b'{"type": "approve", "digest": ' + b"9" * 10_000 + b"}",
    b"\x00" * 100,
]


def test_a_body_that_is_no_json(street: Street) -> None:
    request = street.house.ask()
    headers = {**street.bearer(), "Content-Type": "application/json"}
    path = f"/api/v1/requests/{request.id}/decisions"
    for body in NO_JSON:
        answer = street.http.post(path, content=body, headers=headers)
        assert (body[:9], answer.status_code // 100) == (body[:9], 4)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "Traceback" not in answer.text
    assert street.house.so.get(request.id) == request


def test_numbers_that_json_does_not_have(street: Street) -> None:
    request = street.house.ask()
    for number in ("NaN", "Infinity", "-Infinity", "1e999"):
        answer = street.http.post(
            f"/api/v1/requests/{request.id}/decisions",
            content=f'{{"type": "edit", "digest": "{request.digest}", '
            f'"args": {{"amount": {number}, "to": "x"}}}}',
            headers={**street.bearer(), "Content-Type": "application/json"},
        )
        assert answer.json()["code"] == "invalid_edit"
    assert street.house.so.get(request.id) == request


def chunks(size: int) -> Iterator[bytes]:
    """A body whose length nobody is told."""
    for _ in range(size // 1024):
        yield b" " * 1024


def test_a_body_that_is_too_large(street: Street) -> None:
    request = street.house.ask()
    path = f"/api/v1/requests/{request.id}/decisions"
    headers = {**street.bearer(), "Content-Type": "application/json"}
    told = street.http.post(path, content=b" " * (MAX_BODY + 1), headers=headers)
    untold = street.http.post(path, content=chunks(MAX_BODY + 1024), headers=headers)
    form = street.http.post(
        "/login",
        content=chunks(MAX_BODY + 1024),
        headers={"Origin": street.server.url},
    )
    for answer in (told, untold, form):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    large = {"type": "reject", "digest": request.digest, "reason": "x" * 20_000}
    assert decide(street, request.id, large)["http"] == 200


FILTERS = [
    "stauts=pending",
    "status=open",
    "limit=many",
    "limit=0",
    "limit=201",
    "limit=99999999999999999999",
    "order=size",
    "order=",
    "status=any&order=risk",
    "cursor=x",
    "cursor=" + base64.urlsafe_b64encode(b'["deadline","x",{}]').decode(),
    "cursor=" + base64.urlsafe_b64encode(b'["deadline",{},"x"]').decode(),
    "cursor=" + base64.urlsafe_b64encode(b'["deadline",1e999,"x"]').decode(),
    "cursor=" + base64.urlsafe_b64encode(b"[" * 5_000).decode(),
    "tool=%00",
    "thread=" + "x" * 2_001,
]


def test_a_filter_that_makes_no_sense(any_street: Street) -> None:
    any_street.house.ask()
    headers = any_street.bearer()
    for query in FILTERS:
        answer = any_street.http.get(f"/api/v1/requests?{query}", headers=headers)
        assert (query, answer.status_code // 100) == (query, 4)
        assert answer.json()["code"] in {"invalid_setting", "invalid_request"}
    for query in ("stauts=pending", "status=open", "tool=%00", "thread=" + "x" * 2_001):
        count = f"/api/v1/requests/count?{query}"
        answer = any_street.http.get(count, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.row("B11")
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_looking_changes_nothing(any_street: Street, method: str) -> None:
    house, headers = any_street.house, any_street.bearer()
    request, entry = house.ask(), house.lost()
    before = (house.events(), house.so.get(request.id), house.so.changed())
    for path in (
        "/api/v1/requests",
        "/api/v1/tools",
        "/api/v1/audit",
        f"/api/v1/requests/{request.id}",
        f"/api/v1/requests/{request.id}/decisions?type=approve&digest={request.digest}",
        f"/api/v1/requests/{request.id}/cancel?reason=x",
        f"/api/v1/entries/{entry.id}/settle?happened=true",
        "/api/v1/tokens?principal=mallory",
        "/login?next=/logout",
        "/logout",
    ):
        any_street.http.request(method, path, headers=headers)
    assert (house.events(), house.so.get(request.id), house.so.changed()) == before
    assert house.so.journal()[-1] == entry


@pytest.mark.row("B10")
def test_what_is_unknown_is_not_found(street: Street) -> None:
    headers = street.bearer()
    gets = ["", "/votes", "/history", "/entry"]
    for path in [f"/api/v1/requests/req_none{rest}" for rest in gets] + [
        "/api/v1/find?start=req_none",
        "/api/v1/find?start=%25",
    ]:
        answer = street.http.get(path, headers=headers)
        if path.endswith("/votes"):
            assert answer.json() == []
            continue
        assert (path, answer.status_code) == (path, 404)
        assert answer.json()["code"] == "request_not_found"
    body = {"type": "approve", "digest": "0"}
    assert decide(street, "req_none", body)["code"] == "request_not_found"
    for path in ("/api", "/api/v1", "/api/v2/requests", "/nothing", "/docs"):
        answer = street.http.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "no_such_page")


def test_too_late_is_told_by_whom(street: Street) -> None:
    request = street.house.ask()
    settled = street.house.so.decide(
        request.id, Approve(), by=street.house.who("cy"), digest=request.digest
    )
    late = decide(street, request.id, {"type": "reject", "digest": request.digest})
    told = {"request_id": request.id, "outcome": "approved", "by": "cy"}
    assert late == {
        **told,
        "at": settled.settled_at,
        "type": "about:blank",
        "title": "AlreadyDecided",
        "status": 409,
        "detail": f"{request.id} was already approved by cy.",
        "code": "already_decided",
        "http": 409,
    }


# What every answer has.


def test_every_answer_has_its_headers(street: Street) -> None:
    for path, headers in [
        ("/api/v1/me", street.bearer()),
        ("/api/v1/me", {}),
        ("/api/nothing", {}),
        ("/login", {}),
        ("/healthz", {}),
        ("/api/v1/me", {"Host": "evil.example"}),
    ]:
        answer = street.http.get(path, headers=headers)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_a_broken_store_is_told_without_internals(
    any_street: Street, database_url: str
) -> None:
    headers = any_street.bearer()
    assert any_street.http.get("/healthz").json() == {"status": "ok"}
    engine = make_engine(database_url)
    with engine.begin() as connection:
        for table in ("requests", "tokens"):
            connection.execute(text(f"ALTER TABLE {table} RENAME TO lost_{table}"))
    engine.dispose()
    for path in ("/api/v1/me", "/healthz"):
        answer = any_street.http.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (
            503,
            "storage_unavailable",
        )
        for internal in ("lost_", "no such", "sqlite", "postgres", "SELECT"):
            assert internal not in answer.text


# The description of the API.


def test_the_description_is_complete(street: Street) -> None:
    document = street.http.get("/api/v1/openapi.json").json()
    found = [
        operation
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    names = [operation["operationId"] for operation in found]
    assert len(names) == len(set(names)) >= 22
    for operation in found:
        assert re.fullmatch("[a-z]+[A-Za-z]*", operation["operationId"])
        assert len(operation["description"]) > 10
        if operation["operationId"] != "health":
            assert operation["security"] == [{"token": []}]
            assert "default" in operation["responses"]
    assert "signoff.domain" not in json.dumps(document)


ANSWERS = [
    ("/me", "whoami"),
    ("/requests", "listRequests"),
    ("/requests?status=any&order=newest&limit=2", "listRequests"),
    ("/requests/count", "countRequests"),
    ("/requests/{request}", "getRequest"),
    ("/find?start={request}", "findRequest"),
    ("/requests/{request}/votes", "listVotes"),
    ("/requests/{request}/history", "getHistory"),
    ("/requests/{request}/entry", "getEntryOfRequest"),
    ("/entries", "listEntries"),
    ("/threads/t1/requests", "listRequestsOfThread"),
    ("/tools", "listTools"),
    ("/audit", "audit"),
    ("/policies", "listPolicies"),
    ("/policies/{policy}", "getPolicy"),
    ("/advice?since_s=3600", "advise"),
    ("/tokens", "listTokens"),
    ("/now", "now"),
    ("/changed", "changed"),
]


def test_answers_are_as_described(street: Street) -> None:
    street.house.secret("bo", "admin")
    street.house.learn_tool()
    request_id = street.house.lost().request_id
    document = street.http.get("/api/v1/openapi.json").json()
    described = {
        one["operationId"]: one
        for methods in document["paths"].values()
        for one in methods.values()
    }
    for path, operation in ANSWERS:
        version = street.house.so.policy_log()[0].version
        asked = f"/api/v1{path}".format(request=request_id, policy=version)
        answer = street.http.get(asked, headers=street.bearer(), timeout=60)
        assert (path, answer.status_code) == (path, 200)
        assert answer.json() not in ([], {}, None)
        content = described[operation]["responses"]["200"]["content"]
        schema = content["application/json"]["schema"]
        whole = {**schema, "components": document["components"]}
        Draft202012Validator(whole).validate(answer.json())
