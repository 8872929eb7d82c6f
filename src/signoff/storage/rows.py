"""Rows to domain objects and back. JSON columns keep 1.0 and 1 apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from signoff.domain.actions import ToolTraits
from signoff.domain.delegations import Delegation
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Event, Fact
from signoff.domain.notices import Delivery, DeliveryState, Notice, Posted
from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.domain.requests import (
    Request,
    RequestKind,
    Status,
    Vote,
    read_terms,
)
from signoff.domain.rules import Risk
from signoff.domain.timeline import read_steps
from signoff.ports import KnownTool, Ruled

Row = Mapping[Any, Any]


def to_json(value: object) -> str:
    """A JSON text; what it can't hold was refused before."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def opt_json(value: object) -> str | None:
    """A JSON text, or NULL for None."""
    return None if value is None else to_json(value)


def from_json(text: str | None) -> Any:  # noqa: ANN401 - any JSON value
    """The value of a JSON text; None for NULL."""
    return None if text is None else json.loads(text)


def action_row(ruled: Ruled, at: int) -> dict[str, Any]:
    action, context = ruled.action, ruled.action.context
    return {
        "id": ruled.action_id,
        "thread": context.thread,
        "message_id": action.message_id,
        "call_id": action.call_id,
        "agent": context.agent,
        "user_id": context.user,
        "team": context.team,
        "tool": action.tool,
        "args": to_json(action.args),
        "traits": to_json(asdict(action.traits)),
        "verdict": ruled.verdict,
        "rule": ruled.rule,
        "policy_version": ruled.policy_version,
        "error": ruled.error,
        "proposed_at": at,
    }


def request_row(request: Request) -> dict[str, Any]:
    return {
        "id": request.id,
        "kind": request.kind.value,
        "action_id": request.action_id,
        "ask": request.ask,
        "thread": request.thread,
        "agent": request.agent,
        "user_id": request.user,
        "team": request.team,
        "proposed": to_json(request.proposed),
        "status": request.status.value,
        "asked_at": request.asked_at,
        "expires_at": request.expires_at,
        "changed_at": request.changed_at,
        "settled_at": request.settled_at,
        "settled_by": request.settled_by,
        "outcome": opt_json(request.outcome),
        "valid_until": request.valid_until,
        "frozen_at": request.frozen_at,
        "assignee": request.assignee,
        "level": request.level,
        "due_at": request.due_at,
        "shift": request.shift,
        **content_row(request),
    }


def content_row(request: Request) -> dict[str, Any]:
    """The columns that an edit changes."""
    return {
        "tool": request.tool,
        "args": to_json(request.args),
        "schema": opt_json(request.schema),
        "description": request.description,
        "digest": request.digest,
        "revision": request.revision,
        "risk": request.risk,
        "risk_rank": Risk(request.risk).rank,
        "rule": request.rule,
        "policy_version": request.policy_version,
        "note": request.note,
        "terms": to_json(asdict(request.terms)),
        "timeline": to_json([asdict(step) for step in request.timeline]),
    }


def request_from(row: Row) -> Request:
    return Request(
        id=row["id"],
        kind=RequestKind(row["kind"]),
        action_id=row["action_id"],
        ask=row["ask"],
        thread=row["thread"],
        agent=row["agent"],
        user=row["user_id"],
        team=row["team"],
        tool=row["tool"],
        args=from_json(row["args"]),
        proposed=from_json(row["proposed"]),
        schema=from_json(row["schema"]),
        description=row["description"],
        digest=row["digest"],
        revision=row["revision"],
        status=Status(row["status"]),
        risk=row["risk"],
        rule=row["rule"],
        policy_version=row["policy_version"],
        terms=read_terms(from_json(row["terms"])),
        note=row["note"],
        asked_at=row["asked_at"],
        expires_at=row["expires_at"],
        changed_at=row["changed_at"],
        settled_at=row["settled_at"],
        settled_by=row["settled_by"],
        outcome=from_json(row["outcome"]),
        valid_until=row["valid_until"],
        frozen_at=row["frozen_at"],
        assignee=row["assignee"],
        timeline=read_steps(from_json(row["timeline"])),
        level=row["level"],
        due_at=row["due_at"],
        shift=row["shift"],
    )


def vote_row(vote: Vote) -> dict[str, Any]:
    return {**asdict(vote), "groups": opt_json(vote.groups)}


def vote_from(row: Row) -> Vote:
    groups = from_json(row["groups"])
    return Vote(**{**row, "groups": None if groups is None else tuple(groups)})


def delegation_row(delegation: Delegation) -> dict[str, Any]:
    return {**asdict(delegation), "groups": to_json(delegation.groups)}


def delegation_from(row: Row) -> Delegation:
    names = Delegation.__dataclass_fields__
    data = {name: row[name] for name in names}
    return Delegation(**{**data, "groups": tuple(from_json(row["groups"]))})


def entry_row(entry: Entry) -> dict[str, Any]:
    # Named one by one: `asdict` copies deeply, and a call waits for this.
    return {
        "id": entry.id,
        "action_id": entry.action_id,
        "request_id": entry.request_id,
        "thread": entry.thread,
        "tool": entry.tool,
        "idempotency_key": entry.key,
        "state": entry.state.value,
        "attempt": entry.attempt,
        "attempts": entry.attempts,
        "idempotent": int(entry.idempotent),
        "worker": entry.worker,
        "lease_until": entry.lease_until,
        "started_at": entry.started_at,
        "finished_at": entry.finished_at,
        "result": entry.result,
        "summary": entry.summary,
        "changed_at": entry.started_at,
    }


def entry_from(row: Row) -> Entry:
    data = {name: row[name] for name in row if name != "changed_at"}
    data["key"] = data.pop("idempotency_key")
    data["state"] = EntryState(data["state"])
    data["idempotent"] = bool(data["idempotent"])
    return Entry(**data)


def event_row(event: Event) -> dict[str, Any]:
    fact = event.fact
    return {
        "thread": event.thread,
        "seq": event.seq,
        "at": event.at,
        "kind": fact.kind,
        "subject": fact.subject,
        "actor": fact.actor,
        "channel": fact.channel,
        "body": to_json(fact.body),
        "previous": event.previous,
        "hash": event.hash,
    }


def event_from(row: Row) -> Event:
    fact = Fact(
        kind=row["kind"],
        subject=row["subject"],
        actor=row["actor"],
        channel=row["channel"],
        body=_body(row["body"]),
    )
    return Event(
        thread=row["thread"],
        seq=row["seq"],
        at=row["at"],
        fact=fact,
        previous=row["previous"],
        hash=row["hash"],
    )


def _body(text: str) -> Mapping[str, Any]:
    try:
        return dict(from_json(text))
    except (TypeError, ValueError):
        # Somebody wrote here; its hash can't match, so an audit shows it.
        return {"unreadable": text}


def token_row(token: Token) -> dict[str, Any]:
    return {
        **asdict(token),
        "kind": token.kind.value,
        "groups": to_json(token.groups),
    }


def token_from(row: Row) -> Token:
    data = {key: row[key] for key in row if key != "secret_hash"}
    data["kind"] = PrincipalKind(row["kind"])
    data["groups"] = tuple(from_json(row["groups"]))
    return Token(**data)


def principal_from(row: Row) -> Principal:
    return Principal(
        id=row["principal"],
        kind=PrincipalKind(row["kind"]),
        groups=frozenset(from_json(row["groups"])),
    )


def tool_row(tool: KnownTool) -> dict[str, Any]:
    return {
        "agent": tool.agent,
        "name": tool.name,
        "description": tool.description,
        "schema": opt_json(tool.schema),
        "traits": to_json(asdict(tool.traits)),
    }


def tool_from(row: Row) -> KnownTool:
    return KnownTool(
        agent=row["agent"],
        name=row["name"],
        description=row["description"],
        schema=from_json(row["schema"]),
        traits=ToolTraits(**from_json(row["traits"])),
    )


def notice_row(posted: Posted) -> dict[str, Any]:
    body = asdict(posted.notice)
    named = {name: body.pop(name) for name in ("kind", "request_id")}
    return {
        **named,
        "id": posted.id,
        "thread": posted.thread,
        "seq": posted.seq,
        "at": posted.at,
        "body": to_json(body),
        "state": "new",
    }


def posted_from(row: Row) -> Posted:
    body = from_json(row["body"])
    to = body.pop("to")
    notice = Notice(
        kind=row["kind"],
        request_id=row["request_id"],
        to=None if to is None else tuple(to),
        **body,
    )
    return Posted(
        id=row["id"], thread=row["thread"], seq=row["seq"], at=row["at"], notice=notice
    )


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    return {**asdict(delivery), "state": delivery.state.value}


def delivery_from(row: Row) -> Delivery:
    return Delivery(**{**row, "state": DeliveryState(row["state"])})
