"""Calls whose outcome nobody knows: a person says whether they happened."""

from __future__ import annotations

import json

import streamlit as st

from signoff.domain.journal import Entry
from signoff.inbox.desk import Desk
from signoff.inbox.looking import Seen
from signoff.inbox.outcome import since
from signoff.inbox.sinks import safe_code, safe_text
from signoff.inbox.wording import pretty


def draw_unknown(desk: Desk, seen: Seen) -> None:
    """A box for each of them; none, if there is none."""
    for entry, what in seen.unknown:
        with st.container(border=True, key=f"unknown_{entry.id}"):
            _draw_entry(desk, entry, what, seen.now)


def _draw_entry(desk: Desk, entry: Entry, what: str, now: int) -> None:
    safe_text(f"Did this happen? {what}")
    cause = entry.summary or "the worker that ran it went silent"
    when = since(entry.started_at, now)
    safe_text(f"Started {when} by {entry.worker}, attempt {entry.attempt}. {cause}")
    if entry.args:
        safe_code(pretty(dict(entry.args)), language="json")
    note = st.text_input(
        "How do you know? (kept in the record)", key=f"note_{entry.id}"
    )
    result = st.text_input(
        "What did it return? (JSON, if you know it)", key=f"result_{entry.id}"
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        happened = st.button("It happened", key=f"yes_{entry.id}")
        did_not = st.button("It did not happen", key=f"no_{entry.id}")
        again = st.button("Try again, same key", key=f"again_{entry.id}")
        probe = st.button("Ask its probe", key=f"probe_{entry.id}")
    if probe:
        desk.look_into(entry)
        st.rerun()
    if happened or did_not or again:
        said = None if again else happened
        _settle(desk, entry, happened=said, note=note, typed=result)


def _settle(
    desk: Desk, entry: Entry, *, happened: bool | None, note: str, typed: str
) -> None:
    try:
        result = json.loads(typed) if happened and typed.strip() else None
    except (ValueError, RecursionError):
        safe_text("Nothing was sent: what it returned has to be JSON, or left empty.")
        return
    if typed.strip() and not happened:
        safe_text(
            "Nothing was sent: only what happened returned something. "
            'Empty that field, or choose "It happened".'
        )
        return
    again = happened is None
    desk.settle(entry.id, happened=happened, note=note, result=result, again=again)
    st.rerun()
