"""Domain objects from the server's documents. Fields that aren't known are left out."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from signoff.domain.actions import ToolTraits
from signoff.domain.advice import Advice, Direction, Kept, Limits, Proposal
from signoff.domain.delegations import Delegation, Lent
from signoff.domain.journal import Entry, EntryKind, EntryState
from signoff.domain.ledger import Event, Fact
from signoff.domain.notices import Delivery, DeliveryState
from signoff.domain.policy_changes import Published, Recorded, read_change
from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.domain.requests import (
    Request,
    RequestKind,
    Status,
    Terms,
    Vote,
    read_terms,
)
from signoff.domain.simulation import (
    Effort,
    Example,
    Measured,
    Move,
    Simulation,
    ToolMoves,
)
from signoff.domain.stages import Stage, StageState
from signoff.domain.timeline import read_steps
from signoff.domain.undo_plan import PlannedUndo, UndoPlan, UndoRun
from signoff.domain.undoing import Change, Dependence, Dependent
from signoff.domain.voting import Alternative, Progress
from signoff.ports import KnownTool

T = TypeVar("T")


def read_plain(kind: Callable[..., T], data: Mapping[str, Any], /, **read: object) -> T:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # dataclasses only
    given = {name: value for name, value in data.items() if name in known}
    return kind(**{**given, **read})


def read_request(data: Mapping[str, Any]) -> Request:
    names = {field.name for field in fields(Terms)}
    terms = {name: value for name, value in data["terms"].items() if name in names}
    return read_plain(
        Request,
        data,
        kind=RequestKind(data["kind"]),
        status=Status(data["status"]),
        terms=read_terms(terms),
        timeline=read_steps(data.get("timeline", ())),
    )


def read_vote(data: Mapping[str, Any]) -> Vote:
    groups = data["groups"]
    return read_plain(Vote, data, groups=None if groups is None else tuple(groups))


def read_delegation(data: Mapping[str, Any]) -> Delegation:
    return read_plain(Delegation, data, groups=tuple(data["groups"]))


def read_lent(data: Mapping[str, Any]) -> Lent:
    return read_plain(Lent, data, holder=read_principal(data["holder"]))


def read_progress(data: Mapping[str, Any]) -> Progress:
    clauses = tuple(tuple(map(_alternative, clause)) for clause in data["clauses"])
    return read_plain(Progress, data, clauses=clauses)


def _alternative(data: Mapping[str, Any]) -> Alternative:
    names = data["reviewers"]
    reviewers = None if names is None else tuple(names)
    people = tuple(data["people"])
    return read_plain(Alternative, data, reviewers=reviewers, people=people)


def read_event(data: Mapping[str, Any]) -> Event:
    return read_plain(Event, data, fact=read_plain(Fact, data["fact"]))


def read_entry(data: Mapping[str, Any]) -> Entry:
    result = data["result"]
    return read_plain(
        Entry,
        data,
        state=EntryState(data["state"]),
        kind=EntryKind(data["kind"]),
        result=None if result is None else base64.b64decode(result),
    )


def read_dependent(data: Mapping[str, Any]) -> Dependent:
    entry, how = read_entry(data["entry"]), Dependence(data["how"])
    return Dependent(entry=entry, how=how)


def read_plan(data: Mapping[str, Any]) -> UndoPlan:
    return read_plain(UndoPlan, data, steps=tuple(map(_planned, data["steps"])))


def _planned(data: Mapping[str, Any]) -> PlannedUndo:
    found = data["conflict"]
    return read_plain(
        PlannedUndo,
        data,
        entry=read_entry(data["entry"]),
        dependents=tuple(map(read_dependent, data["dependents"])),
        conflict=None
        if found is None
        else tuple(read_plain(Change, one) for one in found),
    )


def read_run(data: Mapping[str, Any]) -> UndoRun:
    stopped = data["stopped_at"]
    return read_plain(
        UndoRun,
        data,
        done=tuple(map(read_entry, data["done"])),
        stopped_at=None if stopped is None else read_entry(stopped),
        left=tuple(map(read_entry, data["left"])),
    )


def read_delivery(data: Mapping[str, Any]) -> Delivery:
    return read_plain(Delivery, data, state=DeliveryState(data["state"]))


def read_tool(data: Mapping[str, Any]) -> KnownTool:
    return read_plain(KnownTool, data, traits=read_plain(ToolTraits, data["traits"]))


def read_stage(data: Mapping[str, Any]) -> Stage:
    state, remarks = StageState(data["state"]), tuple(data["remarks"])
    return read_plain(Stage, data, state=state, remarks=remarks)


def read_published(data: Mapping[str, Any]) -> Published:
    changed = data["changes"]
    read = None if changed is None else tuple(map(read_change, changed))
    return read_plain(Published, data, changes=read)


def read_recorded(data: Mapping[str, Any]) -> Recorded:
    return read_plain(Recorded, data, rules=tuple(data["rules"]))


def read_simulation(data: Mapping[str, Any]) -> Simulation:
    return read_plain(
        Simulation,
        data,
        untraced=tuple(data["untraced"]),
        before=read_plain(Effort, data["before"]),
        after=read_plain(Effort, data["after"]),
        tools=tuple(map(_tool_moves, data["tools"])),
    )


def _tool_moves(data: Mapping[str, Any]) -> ToolMoves:
    return read_plain(
        ToolMoves,
        data,
        moves=tuple(map(_move, data["moves"])),
        measured=Measured(data["measured"]),
        before=read_plain(Effort, data["before"]),
        after=read_plain(Effort, data["after"]),
    )


def _move(data: Mapping[str, Any]) -> Move:
    shown = tuple(read_plain(Example, one) for one in data["examples"])
    return read_plain(Move, data, examples=shown)


def read_advice(data: Mapping[str, Any]) -> Advice:
    return read_plain(
        Advice,
        data,
        limits=read_plain(Limits, data["limits"]),
        proposals=tuple(map(_proposal, data["proposals"])),
        kept=tuple(read_plain(Kept, one) for one in data["kept"]),
    )


def _proposal(data: Mapping[str, Any]) -> Proposal:
    cautions, direction = tuple(data["cautions"]), Direction(data["direction"])
    return read_plain(Proposal, data, cautions=cautions, direction=direction)


def read_token(data: Mapping[str, Any]) -> Token:
    kind, groups = PrincipalKind(data["kind"]), tuple(data["groups"])
    return read_plain(Token, data, kind=kind, groups=groups)


def read_principal(data: Mapping[str, Any]) -> Principal:
    kind, groups = PrincipalKind(data["kind"]), frozenset(data["groups"])
    return read_plain(Principal, data, kind=kind, groups=groups)
