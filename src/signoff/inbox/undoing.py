"""Taking back: what can still be undone, what is held, and the dialog that confirms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from signoff.domain.errors import SignoffError
from signoff.domain.journal import Entry, EntryState
from signoff.domain.requests import RequestKind
from signoff.domain.text import reveal
from signoff.domain.undo_plan import PlannedUndo, UndoPlan
from signoff.domain.undoing import ABSENT, Dependence, touched
from signoff.domain.ways_back import closes_at, is_open, time_left, way_back
from signoff.inbox import components
from signoff.inbox.desk import Desk, Taken
from signoff.inbox.looking import Seen
from signoff.inbox.outcome import explain, since
from signoff.inbox.sinks import safe_code, safe_text
from signoff.inbox.wording import headline, pretty

Data = dict[str, Any]


def shown(desk: Desk, seen: Seen) -> Data:
    """What the undo bar, or the whole page of it, is given."""
    threads: dict[str, list[Data]] = {}
    for entry in seen.effects:
        threads.setdefault(entry.thread, []).append(_item(entry, seen.now))
    return {
        "now": seen.now,
        "whole": desk.whole,
        "threads": [
            {"id": name, "shown": reveal(name), "items": items}
            for name, items in threads.items()
        ],
    }


def draw_undo(desk: Desk, seen: Seen) -> None:
    """The bar, and the dialog if something is about to be taken back."""
    components.UNDO(
        "signoff_undo",
        shown(desk, seen),
        take=desk.take,
        release=desk.release,
        cancel=desk.cancel_held,
        whole=desk.see_whole,
        look=_nothing,
    )
    if desk.taken is None:
        return
    try:
        plan = _plan(desk, desk.taken)
    except SignoffError as error:
        desk.tell(explain(error, me=desk.me.id, now=seen.now))
        desk.taken = None
        return
    dialog = st.dialog("Take it back", width="medium", on_dismiss=desk.leave)
    dialog(_confirm)(desk, desk.taken, plan, seen.now)


def _plan(desk: Desk, taken: Taken) -> UndoPlan:
    if taken.thread is not None:
        return desk.client.undo_plan(thread=taken.thread)
    plan = desk.client.undo_plan(taken.entry)
    if plan.steps and plan.steps[0].dependents:
        since = plan.steps[0].entry.id
        return desk.client.undo_plan(since=since, only_dependents=True)
    return plan


def _confirm(desk: Desk, taken: Taken, plan: UndoPlan, now: int) -> None:
    if plan.steps == ():
        safe_text("There is nothing to take back.")
    for number, step in enumerate(plan.steps, start=1):
        _draw_step(number, step, now)
    key = f"undo_{taken.entry or 'thread'}"
    reason = st.text_input(
        "Reason (kept, and the agent is told)", key=f"{key}_reason", autocomplete="off"
    )
    force = False
    if any(step.stops for step in plan.steps) and _may_force(desk, plan):
        force = st.checkbox(
            "Override what is in the way (needs a reason)", key=f"{key}_force"
        )
    with st.container(horizontal=True):
        sure = st.button(
            "Undo",
            type="primary",
            key=f"{key}_go",
            width="stretch",
            disabled=plan.steps == (),
        )
        left = st.button("Keep it as it is", key=f"{key}_keep", width="stretch")
    if left:
        desk.leave()
        st.rerun()
    if sure:
        several = taken.thread is None and len(plan.steps) > 1
        desk.undo(taken, reason=reason, force=force, several=several)
        st.rerun()


def _draw_step(number: int, step: PlannedUndo, now: int) -> None:
    entry = step.entry
    safe_text(f"{number}. {what(entry)}")
    time = time_left(entry, now)
    back = way_back(entry, now) if step.barrier is None else "cannot be undone"
    safe_text(f"Undo: {back}" + ("" if time is None else f" · {time}"))
    if entry.args:
        safe_code(pretty(dict(entry.args)), language="json")
    did = _did(entry)
    if did and not step.conflict:
        safe_text("What it changed; before and after it:")
        safe_code(pretty(did))
    if step.barrier is not None:
        safe_text(f"In the way: {step.barrier}. Nothing older is undone.")
    for one in step.dependents:
        how = "probably needs it" if one.how is Dependence.PROBABLE else "needs it"
        safe_text(f"In the way: {what(one.entry)} {how}.")
    if step.conflict:
        safe_text("Somebody changed this since; before, after it, and now:")
        safe_code(pretty([_change(one.as_json()) for one in step.conflict]))
    elif step.conflict is None and step.barrier is None:
        safe_text("Whether somebody changed it since is looked at before it is undone.")


def _did(entry: Entry) -> list[Data]:
    before, after = entry.before or {}, entry.after or {}
    return [
        {"path": path, "before": before.get(path), "after": after.get(path)}
        for path in touched(entry.before, entry.after)
    ]


def _change(change: Mapping[str, Any]) -> Mapping[str, Any]:
    return {k: "(not there)" if v == ABSENT else v for k, v in change.items()}


def _may_force(desk: Desk, plan: UndoPlan) -> bool:
    named = [(step.entry.undo_terms or {}).get("force_by") for step in plan.steps]
    return all(desk.me.answers_to(tuple(one or ())) for one in named)


def _item(entry: Entry, now: int) -> Data:
    held = entry.state is EntryState.HELD
    until = entry.commit_at if held else closes_at(entry)
    fails = {EntryState.UNDO_FAILED, EntryState.UNDO_UNVERIFIED}
    said = entry.undo_summary if entry.state in fails else None
    open_end = not held and entry.held_open is not None
    runs = held or entry.state is EntryState.DONE
    return {
        "id": entry.id,
        "what": what(entry),
        "label": reveal(way_back(entry, now)),
        "state": entry.state.value.replace("_", " "),
        "said": None if said is None else reveal(said),
        "held": held,
        "open": is_open(entry, now),
        "until": until if runs and not open_end else None,
        "ago": since(entry.started_at, now),
    }


def what(entry: Entry) -> str:
    """The call in one line, hidden characters shown."""
    return headline(entry.tool, entry.args or {}, RequestKind.ACTION)


def _nothing(_value: object) -> None:
    """The page is drawn again, and that is all that is wanted."""
