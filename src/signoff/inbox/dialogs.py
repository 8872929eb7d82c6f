"""Dialogs for the decisions that need words: reject, and respond."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import streamlit as st

from signoff.domain.requests import Approve, Reject, Request, RequestKind, Respond
from signoff.inbox.desk import Desk, Opened
from signoff.inbox.sinks import safe_code, safe_text
from signoff.inbox.wording import confirmation, headline, pretty

_STOPPED: Final = "It doesn't go on with this. The workflow is told why."
_REASONS: Final = (
    "Wrong recipient",
    "Wrong amount",
    "Against policy",
    "Not now",
    "Needs more information",
)


def draw_dialog(desk: Desk, request: Request, opened: Opened) -> None:
    """The dialog that is open; it stays open when the page is drawn again."""
    gate = request.kind is RequestKind.GATE
    title, content = (_AT_GATES if gate else _DIALOGS)[opened.kind]
    dialog = st.dialog(title, width="medium", on_dismiss=desk.close)
    dialog(content)(desk, request, opened)


def _confirm(desk: Desk, request: Request, opened: Opened) -> None:
    key = f"confirm_{request.id}"
    word = confirmation(request)
    safe_text(headline(request.tool, request.args, request.kind))
    safe_code(pretty(dict(request.args)), language="json")
    safe_text(f"To approve it, type: {word}")
    typed = st.text_input("Confirmation", key=f"{key}_word", autocomplete="off")
    with st.container(horizontal=True):
        sure = st.button("Approve", type="primary", key=f"{key}_go", width="stretch")
        _cancel_button(desk, key)
    if sure and typed.strip() != word:
        safe_text(f"Nothing was approved: {word} was not typed.")
    elif sure:
        desk.decide(opened, Approve())
        st.rerun()


def _reject(desk: Desk, request: Request, opened: Opened) -> None:
    safe_text(headline(request.tool, request.args, request.kind))
    gate = request.kind is RequestKind.GATE
    safe_text(_STOPPED if gate else "It will not run. The agent is told why.")
    key = f"reject_{request.id}"
    quick = st.pills("Quick reasons", _REASONS, key=f"{key}_quick")
    text = st.text_area(
        "Reason (sent to the agent)", key=f"{key}_text", placeholder="Optional"
    )
    with st.container(horizontal=True):
        sure = st.button("Reject", type="primary", key=f"{key}_go", width="stretch")
        _cancel_button(desk, key)
    if sure:
        said = [part for part in (quick, text.strip()) if part]
        desk.decide(opened, Reject(reason=". ".join(said) or None))
        st.rerun()


def _respond(desk: Desk, request: Request, opened: Opened) -> None:
    safe_text(headline(request.tool, request.args, request.kind))
    safe_text("It will not run. The agent gets your answer as the tool's result.")
    key = f"respond_{request.id}"
    text = st.text_area("Answer (sent to the agent)", key=f"{key}_text")
    _send(desk, opened, text, missing="Write an answer first.")


def _change(desk: Desk, request: Request, opened: Opened) -> None:
    safe_text(headline(request.tool, request.args, request.kind))
    safe_text("It doesn't go on with this. What is made from your words is asked anew.")
    key = f"respond_{request.id}"
    text = st.text_area("Changes (sent to the workflow)", key=f"{key}_text")
    _send(desk, opened, text, missing="Write what is to be changed first.")


def _send(desk: Desk, opened: Opened, text: str, *, missing: str) -> None:
    key = f"respond_{opened.request_id}"
    with st.container(horizontal=True):
        sure = st.button("Send", type="primary", key=f"{key}_go", width="stretch")
        _cancel_button(desk, key)
    if sure and text.strip() == "":
        safe_text(missing)
    elif sure:
        desk.decide(opened, Respond(message=text))
        st.rerun()


_Draw = Callable[[Desk, Request, Opened], None]
_DIALOGS: Final[Mapping[str, tuple[str, _Draw]]] = {
    "confirm": ("Approve a critical action", _confirm),
    "reject": ("Reject this action", _reject),
    "respond": ("Answer the agent instead", _respond),
}
_AT_GATES: Final[Mapping[str, tuple[str, _Draw]]] = {
    "confirm": ("Approve a critical stage", _confirm),
    "reject": ("Reject this stage", _reject),
    "respond": ("Request changes", _change),
}


def _cancel_button(desk: Desk, key: str) -> None:
    if st.button("Cancel", key=f"{key}_cancel", width="stretch"):
        desk.close()
        st.rerun()
