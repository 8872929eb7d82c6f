"""What people are told of effects, in the shape that channels know."""

from __future__ import annotations

from typing import Final

from signoff.domain.agreement import Quorum
from signoff.domain.journal import Entry
from signoff.domain.requests import Request, RequestKind, Status, Terms
from signoff.domain.undoing import undoers_of

EFFECTS: Final = frozenset({"reversible", "irreversible", "held"})
"""Kinds of notices that tell of an effect: none of them wants a decision."""


def as_request(entry: Entry) -> Request:
    """An entry as the request that it would have been; nobody can decide on it."""
    args = dict(entry.args or {})
    return Request(
        id=entry.id,
        kind=RequestKind.ACTION,
        action_id=entry.action_id,
        ask=1,
        thread=entry.thread,
        agent=entry.agent,
        user=entry.user,
        team=None,
        tool=entry.tool,
        args=args,
        proposed={"tool": entry.tool, "args": args},
        schema=None,
        description="",
        digest="",
        revision=1,
        status=Status.APPROVED,
        risk="medium",
        rule="",
        policy_version="",
        terms=Terms(
            agreement=((Quorum(reviewers=undoers_of(entry)),),), self_approval=True
        ),
        note=entry.not_undoable,
        asked_at=entry.started_at,
        expires_at=entry.undo_until or entry.commit_at or entry.started_at,
        changed_at=entry.finished_at or entry.started_at,
    )
