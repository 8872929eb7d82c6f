"""What `--json` prints. Names and types stay; new names may come."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from signoff.domain.delegations import Delegation
from signoff.domain.journal import Entry
from signoff.domain.ledger import Event
from signoff.domain.notices import Delivery
from signoff.domain.pauses import Pause
from signoff.domain.principals import Token
from signoff.domain.requests import Request, Vote
from signoff.domain.stages import Stage
from signoff.domain.undo_plan import PlannedUndo, UndoPlan, UndoRun
from signoff.domain.voting import Progress

Json = dict[str, Any]


def request_json(request: Request) -> Json:
    """A request. Times are microseconds since 1970 UTC."""
    return {**asdict(request), "edited": request.edited}


def vote_json(vote: Vote) -> Json:
    """What one person said."""
    return asdict(vote)


def stage_json(stage: Stage) -> Json:
    """Where a stage of the request's workflow stands."""
    return asdict(stage)


def delegation_json(delegation: Delegation) -> Json:
    """Whose right is lent to whom, from when to when."""
    return asdict(delegation)


def progress_json(progress: Progress) -> Json:
    """How far an agreement is."""
    return asdict(progress)


def entry_json(entry: Entry) -> Json:
    """An entry of the journal, without the result's own encoding."""
    shape = asdict(entry)
    del shape["result"]
    return shape


def plan_json(plan: UndoPlan) -> Json:
    """What an undo would do; `reach` is what it comes to before something stops it."""
    return {
        "thread": plan.thread,
        "steps": [_step_json(step) for step in plan.steps],
        "reach": [step.entry.id for step in plan.reach],
    }


def _step_json(step: PlannedUndo) -> Json:
    changes = step.conflict
    return {
        "entry": entry_json(step.entry),
        "barrier": step.barrier,
        "dependents": [
            {"entry": one.entry.id, "how": one.how.value} for one in step.dependents
        ],
        "conflict": None if changes is None else [one.as_json() for one in changes],
    }


def run_json(run: UndoRun) -> Json:
    """What an undo came to."""
    stopped = run.stopped_at
    return {
        "done": [entry_json(entry) for entry in run.done],
        "stopped_at": None if stopped is None else entry_json(stopped),
        "why": run.why,
        "left": [entry_json(entry) for entry in run.left],
    }


def event_json(event: Event) -> Json:
    """An event of the ledger, its fact's parts beside its place."""
    fact = event.fact
    return {
        "thread": event.thread,
        "seq": event.seq,
        "at": event.at,
        "kind": fact.kind,
        "subject": fact.subject,
        "actor": fact.actor,
        "channel": fact.channel,
        "body": dict(fact.body),
        "previous": event.previous,
        "hash": event.hash,
    }


def pause_json(pause: Pause) -> Json:
    """A pause. Times are microseconds since 1970 UTC."""
    return {**asdict(pause), "active": pause.active}


def token_json(token: Token) -> Json:
    """A token without its secret."""
    return asdict(token)


def delivery_json(delivery: Delivery) -> Json:
    """A notice on its way to one recipient."""
    return asdict(delivery)
