"""Calls whose outcome nobody knows: a person says whether they happened."""

from __future__ import annotations

import streamlit as st

from signoff.domain.journal import Entry
from signoff.inbox.desk import Desk
from signoff.inbox.looking import Seen
from signoff.inbox.outcome import since
from signoff.inbox.sinks import safe_text


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
    with st.container(horizontal=True, vertical_alignment="bottom"):
        note = st.text_input(
            "How do you know? (kept in the record)", key=f"note_{entry.id}"
        )
        happened = st.button("It happened", key=f"yes_{entry.id}")
        did_not = st.button("It did not happen", key=f"no_{entry.id}")
    if happened or did_not:
        desk.settle(entry.id, happened=happened, note=note)
        st.rerun()
