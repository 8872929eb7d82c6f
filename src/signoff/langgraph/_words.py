"""What the model is told, and what a pause shows: LangChain's shapes plus our ids."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from langchain_core.messages import ToolMessage

from signoff.domain.journal import HAPPENED, Entry
from signoff.domain.pauses import Pause
from signoff.domain.requests import Request, Status, approves_by_silence
from signoff.domain.undoing import shown_until, window_of
from signoff.langgraph._calls import Call


def approval_payload(call: Call, request: Request) -> dict[str, Any]:
    """The interrupt's value: LangChain's ToolApprovalRequest, and our ids beside it."""
    return {
        "type": "tool_approval",
        "tool_call_id": call.call_id,
        "name": request.tool,
        "args": dict(request.args),
        "description": request.description,
        "signoff": reference(request),
    }


def batched_payload(call: Call, request: Request) -> dict[str, Any]:
    """The same in LangChain's HITLRequest shape, for screens that know only that."""
    return {
        "action_requests": [
            {
                "name": request.tool,
                "args": dict(request.args),
                "description": request.description,
            }
        ],
        "review_configs": [
            {
                "action_name": request.tool,
                "allowed_decisions": list(request.terms.decisions),
            }
        ],
        "signoff": {**reference(request), "tool_call_id": call.call_id},
    }


def several_payload(payloads: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One pause for several calls of a tools node, in LangChain's HITLRequest shape."""
    return {
        "action_requests": [
            {key: one[key] for key in ("name", "args", "description")}
            for one in payloads
        ],
        "review_configs": [
            {
                "action_name": one["name"],
                "allowed_decisions": one["signoff"].get("decisions", []),
            }
            for one in payloads
        ],
        "signoff": {
            "calls": [
                {"tool_call_id": one["tool_call_id"], **one["signoff"]}
                for one in payloads
            ]
        },
    }


def reference(request: Request) -> dict[str, Any]:
    """How a screen finds the request: answers go to signoff, not into the resume."""
    return {
        "request_id": request.id,
        "digest": request.digest,
        "expires_at": request.expires_at,
        "on_expiry": "approve" if approves_by_silence(request) else "reject",
        "decisions": list(request.terms.decisions),
    }


def unknown_payload(call: Call, entry: Entry) -> dict[str, Any]:
    """The interrupt's value while a person finds out whether a call happened."""
    return {
        "type": "unknown_outcome",
        "tool_call_id": call.call_id,
        "name": entry.tool,
        "args": dict(call.action.args),
        "description": f"Did this happen? {entry.summary or ''}".strip(),
        "signoff": {"entry_id": entry.id, "request_id": entry.request_id},
    }


def stalled_payload(call: Call, pauses: Sequence[Pause]) -> dict[str, Any]:
    """The interrupt's value while people have paused what this call is part of."""
    return {
        "type": "paused",
        "tool_call_id": call.call_id,
        "name": call.action.tool,
        "args": dict(call.action.args),
        "description": why_paused(pauses),
        "signoff": {"pause": pauses[0].id, "pauses": [one.id for one in pauses]},
    }


def why_paused(pauses: Sequence[Pause]) -> str:
    """Who paused what, and why, for people."""
    first = pauses[0]
    why = "" if first.reason is None else f": {first.reason}"
    return f"Paused by {first.paused_by} ({first.scope()}){why}"


def refused_message(call: Call, reason: str) -> ToolMessage:
    """The call was never asked about and never run."""
    return _message(call, f"Not run: {reason}", status="error")


def denied_message(call: Call, reason: str | None) -> ToolMessage:
    """Policy denies the call."""
    why = f" Reason: {reason}" if reason else ""
    return _message(
        call,
        f"Policy denies `{call.action.tool}`; it was not run.{why} "
        "Do not try this call again.",
        status="error",
    )


def settled_message(call: Call, request: Request) -> ToolMessage:
    """What people decided instead of running the call."""
    said = request.outcome or {}
    if request.status is Status.RESPONDED:
        return _message(call, str(said.get("message", "")), status="success")
    return _message(call, _why_not(call, request), status="error")


def _why_not(call: Call, request: Request) -> str:
    reason = (request.outcome or {}).get("reason")
    why = f" with reason: {reason}" if reason else "."
    name = call.action.tool
    if request.status is Status.REJECTED:
        told = f"A reviewer rejected the call of `{name}`{why}"
    elif request.status is Status.EXPIRED:
        told = f"Nobody approved the call of `{name}` in time{_escalated(request)}."
    else:
        told = f"The call of `{name}` was cancelled{why}"
    return (
        f"{told}\nIt was not executed. Do not try it again unless the user asks for it."
    )


def _escalated(request: Request) -> str:
    names = ", ".join(request.terms.escalated)
    return f", not even after it was escalated to {names}" if names else ""


def ended_message(call: Call, entry: Entry) -> ToolMessage:
    """A call that ran before, told from the journal because no result could be kept."""
    if entry.state in HAPPENED:
        told = "" if entry.output is None else f" It returned {_json(entry.output)}."
        return _message(
            call, f"This call took effect: {entry.summary}{told}", status="success"
        )
    return _message(
        call, f"This call failed and had no effect: {entry.summary}", status="error"
    )


def queued_message(call: Call, entry: Entry) -> ToolMessage:
    """A held call: it hasn't happened, and may be cancelled until then."""
    return _message(
        call,
        f"Queued, not done: `{entry.tool}` has not been executed. {_when(entry)} Until "
        f"then it can be cancelled; its id is {entry.id}. You will be told what became "
        "of it: do not call it again, and do not say that it is done.",
        status="success",
    )


def _when(entry: Entry) -> str:
    if entry.commit_at is None:
        return "It runs once people approve it."
    until = shown_until(entry.commit_at, window_of(entry))
    at = datetime.fromtimestamp(until // 1_000_000, UTC)
    return f"It will be at {at:%Y-%m-%d %H:%M:%S} UTC, unless somebody cancels it."


def needs_message(call: Call, entry: Entry) -> ToolMessage:
    """It was not run, since what it needs never happened, or maybe didn't."""
    return _message(
        call,
        f"Not run: `{call.action.tool}` needs {entry.id} (`{entry.tool}`), which is "
        f"{entry.state.value}.",
        status="error",
    )


def behind_payload(call: Call, entry: Entry) -> dict[str, Any]:
    """The interrupt's value while a call waits for a held one to happen."""
    return {
        "type": "held",
        "tool_call_id": call.call_id,
        "name": call.action.tool,
        "args": dict(call.action.args),
        "description": f"Waits until `{entry.tool}` has run ({entry.id}).",
        "signoff": {"entry_id": entry.id},
    }


def cancelled_message(call: Call, entry: Entry) -> ToolMessage:
    """A held call that was cancelled before it had any effect."""
    why = f" Reason: {entry.undo_reason}" if entry.undo_reason else ""
    return _message(
        call,
        f"`{entry.tool}` was cancelled by {entry.undo_by} and never executed.{why} Do "
        "not try it again unless the user asks for it.",
        status="error",
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def exhausted_message(call: Call, entry: Entry) -> ToolMessage:
    """The approval is used up, and what the last attempt did isn't known."""
    return _message(
        call,
        f"`{entry.tool}` was approved for {entry.attempts} attempt(s) and has used "
        f"them. The last one ended with: {entry.summary}. Whether it had an effect is "
        "not known; a person will find out. Do not try it again.",
        status="error",
    )


EDIT_NOTICE: Final = (
    "Note: a reviewer changed this call before it ran, on purpose and with authority. "
    "Do not issue your original call again."
)


def edit_notice(request: Request, notice: str = EDIT_NOTICE) -> str:
    """Tells the model that a person changed its call, so that it doesn't repeat it."""
    args = json.dumps(request.args, ensure_ascii=False)
    return f"{notice} Executed instead: {request.tool} with arguments {args}."


SILENCE_NOTICE: Final = (
    "Note: nobody answered in time. This call ran because its rule takes silence for "
    "a yes; no person looked at it."
)


def by_silence(request: Request) -> bool:
    """Whether its deadline approved it, and no person."""
    return request.status is Status.APPROVED and request.settled_by is None


def _message(call: Call, content: str, *, status: str) -> ToolMessage:
    return ToolMessage(
        content=content,
        name=call.action.tool,
        tool_call_id=call.call_id,
        status=status,
    )
