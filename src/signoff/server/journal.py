"""The API's routes about effects: the journal, undos, held calls, unknown outcomes."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from signoff.domain.journal import Entry
from signoff.domain.undo_plan import UndoPlan, UndoRun
from signoff.domain.undoing import Dependent
from signoff.server.auth import Caller, Core, Keeper
from signoff.server.bodies import (
    Name,
    ReasonBody,
    SettleBody,
    UndoBody,
    UndoSinceBody,
    WantedEntries,
    WantedOpen,
    WantedPlan,
)
from signoff.server.wire import Json

router: Final = APIRouter()


@router.get(
    "/entries",
    response_model=list[Entry],
    operation_id="listEntries",
    tags=["journal"],
)
def entries(so: Core, wanted: Annotated[WantedEntries, Query()]) -> Response:
    """Entries of the journal, oldest first."""
    found = so.journal(thread=wanted.thread, state=wanted.state, limit=wanted.limit)
    return Json(found)


@router.get(
    "/open-windows",
    response_model=list[Entry],
    operation_id="listOpenWindows",
    tags=["journal"],
)
def open_windows(so: Core, wanted: Annotated[WantedOpen, Query()]) -> Response:
    """What can still be undone; what closes first comes first."""
    return Json(so.open_windows(limit=wanted.limit))


@router.get(
    "/entries/{entry_id}",
    response_model=Entry,
    operation_id="getEntry",
    tags=["journal"],
)
def entry(so: Core, entry_id: Name) -> Response:
    """One entry of the journal."""
    return Json(so.entry(entry_id))


@router.get(
    "/entries/{entry_id}/dependents",
    response_model=list[Dependent],
    operation_id="listDependents",
    tags=["journal"],
)
def dependents(so: Core, entry_id: Name) -> Response:
    """What came later, stands and needs it; the newest first."""
    return Json(so.dependents(entry_id))


@router.get(
    "/entries/{entry_id}/plan",
    response_model=UndoPlan,
    operation_id="planUndo",
    tags=["undo"],
)
def plan(
    so: Core, _by: Keeper, entry_id: Name, wanted: Annotated[WantedPlan, Query()]
) -> Response:
    """What its undo would meet; with `since`, that of all that came after it too.

    Nothing is undone. Not for agents: it looks at what the tools act on.
    """
    if wanted.since:
        found = so.undo_plan(since=entry_id, only_dependents=wanted.only_dependents)
    else:
        found = so.undo_plan(entry_id)
    return Json(found)


@router.get(
    "/threads/{thread:path}/plan",
    response_model=UndoPlan,
    operation_id="planUndoOfThread",
    tags=["undo"],
)
def plan_of_thread(so: Core, _by: Keeper, thread: Name) -> Response:
    """What undoing a whole thread would meet. Nothing is undone. Not for agents."""
    return Json(so.undo_plan(thread=thread))


@router.post(
    "/entries/{entry_id}/undo",
    response_model=Entry,
    operation_id="undoEntry",
    tags=["undo"],
)
def undo(so: Core, by: Caller, entry_id: Name, body: UndoBody) -> Response:
    """Take an effect back, once, if its window allows it.

    `undoing` in the answer: it is admitted, and a process that has the tool's undo
    carries it out.
    """
    return Json(so.undo_action(entry_id, by=by, reason=body.reason, force=body.force))


@router.post(
    "/entries/{entry_id}/undo-since",
    response_model=UndoRun,
    operation_id="undoSince",
    tags=["undo"],
)
def undo_since(so: Core, by: Caller, entry_id: Name, body: UndoSinceBody) -> Response:
    """Take back it and what came after it in its thread, the newest first.

    It stops at what can't be undone; what was undone by then stays undone.
    """
    ended = so.undo_since(
        entry_id,
        by=by,
        reason=body.reason,
        force=body.force,
        only_dependents=body.only_dependents,
    )
    return Json(ended)


@router.post(
    "/threads/{thread:path}/undo",
    response_model=UndoRun,
    operation_id="undoThread",
    tags=["undo"],
)
def undo_thread(so: Core, by: Caller, thread: Name, body: UndoBody) -> Response:
    """Take back what a thread did, the newest first; as `undoSince`."""
    ended = so.undo_thread(thread, by=by, reason=body.reason, force=body.force)
    return Json(ended)


@router.post(
    "/entries/{entry_id}/close",
    response_model=Entry,
    operation_id="closeWindow",
    tags=["undo"],
)
def close_window(so: Core, by: Caller, entry_id: Name, body: ReasonBody) -> Response:
    """Let its open window close now: the effect stays for good."""
    return Json(so.close_window(entry_id, by=by, reason=body.reason))


@router.post(
    "/entries/{entry_id}/cancel",
    response_model=Entry,
    operation_id="cancelHeld",
    tags=["held"],
)
def cancel_held(so: Core, by: Caller, entry_id: Name, body: ReasonBody) -> Response:
    """Cancel a held call before it has any effect, and what needs it."""
    return Json(so.cancel_held(entry_id, by=by, reason=body.reason))


@router.post(
    "/entries/{entry_id}/release",
    response_model=Entry,
    operation_id="releaseHeld",
    tags=["held"],
)
def release(so: Core, by: Caller, entry_id: Name) -> Response:
    """Send a held call now; policy, precondition and pauses are heeded as ever.

    `held` in the answer: a process that has its tool runs it at once.
    """
    return Json(so.release(entry_id, by=by))


@router.post(
    "/entries/{entry_id}/look",
    response_model=Entry,
    operation_id="lookIntoEntry",
    tags=["journal"],
)
def look_into(so: Core, _by: Keeper, entry_id: Name) -> Response:
    """Ask the probe of an unknown outcome, where the server has one. Not for agents."""
    return Json(so.look_into(so.entry(entry_id)))


@router.post(
    "/entries/{entry_id}/settle",
    response_model=Entry,
    operation_id="settleEntry",
    tags=["journal"],
)
def settle(so: Core, by: Caller, entry_id: Name, body: SettleBody) -> Response:
    """Say how an unknown outcome ended; the thread goes on with that. People only.

    `happened`, with the `result` where it is known; or `again` to let the call be
    tried once more, with the same key.
    """
    settled = so.settle(
        entry_id,
        happened=body.happened,
        note=body.note,
        result=body.result,
        again=body.again,
        by=by,
    )
    return Json(settled)
