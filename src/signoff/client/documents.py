"""Domain objects from the server's documents. Fields that aren't known are left out."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from signoff.domain.actions import ToolTraits
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Event, Fact
from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.domain.requests import Request, RequestKind, Status, Terms
from signoff.domain.timeline import read_steps
from signoff.ports import KnownTool

T = TypeVar("T")


def read_plain(kind: Callable[..., T], data: Mapping[str, Any], /, **read: object) -> T:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # dataclasses only
    given = {name: value for name, value in data.items() if name in known}
    return kind(**{**given, **read})


def read_request(data: Mapping[str, Any]) -> Request:
    terms = data["terms"]
    reviewers = terms["reviewers"]
    return read_plain(
        Request,
        data,
        kind=RequestKind(data["kind"]),
        status=Status(data["status"]),
        terms=read_plain(
            Terms,
            terms,
            reviewers=None if reviewers is None else tuple(reviewers),
            decisions=tuple(terms["decisions"]),
            escalated=tuple(terms.get("escalated", ())),
        ),
        timeline=read_steps(data.get("timeline", ())),
    )


def read_event(data: Mapping[str, Any]) -> Event:
    return read_plain(Event, data, fact=read_plain(Fact, data["fact"]))


def read_entry(data: Mapping[str, Any]) -> Entry:
    result = data["result"]
    return read_plain(
        Entry,
        data,
        state=EntryState(data["state"]),
        result=None if result is None else base64.b64decode(result),
    )


def read_tool(data: Mapping[str, Any]) -> KnownTool:
    return read_plain(KnownTool, data, traits=read_plain(ToolTraits, data["traits"]))


def read_token(data: Mapping[str, Any]) -> Token:
    kind, groups = PrincipalKind(data["kind"]), tuple(data["groups"])
    return read_plain(Token, data, kind=kind, groups=groups)


def read_principal(data: Mapping[str, Any]) -> Principal:
    kind, groups = PrincipalKind(data["kind"]), frozenset(data["groups"])
    return read_plain(Principal, data, kind=kind, groups=groups)
