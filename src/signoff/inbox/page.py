"""The page, from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import streamlit as st

from signoff.client import Client
from signoff.domain.errors import NotAuthenticated, SignoffError
from signoff.domain.requests import Request, RequestKind, Status
from signoff.inbox import components, viewing
from signoff.inbox.desk import Desk, Opened
from signoff.inbox.dialogs import draw_dialog
from signoff.inbox.editing import draw_form
from signoff.inbox.looking import Case, Seen, look
from signoff.inbox.sinks import safe_code, safe_text
from signoff.inbox.undoing import draw_undo
from signoff.inbox.unknown import draw_unknown
from signoff.inbox.wording import pretty

_ICON: Final = str(files("signoff.inbox") / "assets" / "icon.svg")
_SIGN_IN: Final = {
    "title": "Sign in to the inbox",
    "text": "Decisions are made by people, so the inbox must know who you are.",
}
_SIGN_IN_AGAIN: Final = {
    "title": "Sign in again",
    "text": "Your session has ended, or its token was revoked.",
}
_ABOUT: Final[Mapping[RequestKind, tuple[str, str, str]]] = {
    RequestKind.ACTION: (
        "About the tool",
        "The tool says nothing about itself.",
        "This is the tool's own description; nobody checked it.",
    ),
    RequestKind.GATE: (
        "About the gate",
        "The application asks nothing in words.",
        "This is the application's own question; nobody checked it.",
    ),
}


def draw(api_url: str, token: str | None) -> None:
    """Draw the page for whoever the token stands for; without one, the sign-in."""
    st.set_page_config(page_title="Inbox · signoff", page_icon=_ICON, layout="wide")
    if token is None or token == "":
        _draw_sign_in(_SIGN_IN)
        return
    try:
        desk = _desk(api_url, token)
        seen = look(desk)
    except NotAuthenticated:
        _sign_out()
        _draw_sign_in(_SIGN_IN_AGAIN)
        return
    except SignoffError as error:
        _draw_trouble(error)
        return
    _draw_desk(desk, seen)


def _desk(api_url: str, token: str) -> Desk:
    """The desk of this browser tab, made anew when somebody else signs in."""
    if st.session_state.get("token") != token:
        st.session_state["desk"] = _sit_down(api_url, token)
        st.session_state["token"] = token
    desk: Desk = st.session_state["desk"]
    return desk


def _sit_down(api_url: str, token: str) -> Desk:
    client = Client(api_url, token, channel="inbox")
    try:
        desk = Desk(client=client, me=client.whoami())
    except SignoffError:
        client.close()
        raise
    desk.select(st.query_params.get("request"))
    linked = st.query_params.get("undo")
    if linked is not None:
        desk.take({"entry": linked})
        desk.see_whole(wanted=True)
    return desk


def _sign_out() -> None:
    st.session_state.pop("desk", None)
    st.session_state.pop("token", None)


def _draw_sign_in(said: dict[str, str]) -> None:
    _draw_frame(focused=False)
    components.SIGN_IN("signoff_sign_in", said)


def _draw_trouble(error: SignoffError) -> None:
    _draw_frame(focused=False)
    with st.container(border=True):
        safe_text("The inbox can't be shown right now.")
        safe_text(str(error))
        st.button("Try again", type="primary")


def _draw_frame(*, focused: bool) -> None:
    with st.container(key="signoff_frame"):
        focus = "detail" if focused else "list"
        components.FRAME("signoff_frame_script", {"focus": focus})


def _draw_desk(desk: Desk, seen: Seen) -> None:
    title = f"({seen.waiting}) Inbox · signoff"
    st.set_page_config(page_title=title, page_icon=_ICON, layout="wide")
    _keep_link(desk)
    _draw_frame(focused=desk.focused and seen.case is not None)
    components.BAR(
        "signoff_bar",
        viewing.bar(desk, seen),
        filter=desk.narrow,
        changed=_nothing,
    )
    components.PAUSED("signoff_paused", viewing.paused(seen))
    components.NOTICES(
        "signoff_notices",
        viewing.notices(seen),
        dismiss=desk.dismiss,
        open=desk.select,
        look=_nothing,
    )
    draw_undo(desk, seen)
    draw_unknown(desk, seen)
    if desk.whole:
        return
    left, right = st.columns([0.42, 0.58], gap="medium")
    with left, st.container(key="signoff_list"):
        components.LISTING(
            "signoff_listing",
            viewing.listing(desk, seen),
            select=desk.select,
            more=desk.more,
        )
    with right, st.container(key="signoff_detail"):
        if seen.case is not None:
            _draw_case(desk, seen.case, seen.now)


def _draw_case(desk: Desk, case: Case, now: int) -> None:
    opened = _still_open(desk, case.request)
    components.DETAIL(
        "signoff_case",
        viewing.detail(desk, case, now),
        approve=desk.approve,
        open=desk.open,
        back=desk.back,
    )
    if opened is not None and opened.kind == "edit":
        draw_form(desk, case.request, opened)
    elif opened is not None:
        draw_dialog(desk, case.request, opened)
    _draw_tabs(desk, case, now)


def _still_open(desk: Desk, request: Request) -> Opened | None:
    """What is opened, unless others decided or changed the request meanwhile."""
    opened = desk.opened
    if opened is None:
        return None
    same = (opened.request_id, opened.digest) == (request.id, request.digest)
    if same and request.status is Status.PENDING:
        return opened
    desk.close()
    return None


def _draw_tabs(desk: Desk, case: Case, now: int) -> None:
    request = case.request
    title, empty, whose = _ABOUT[request.kind]
    about, history, raw = st.tabs([title, "History", "Raw"])
    with about:
        safe_text(request.description or empty)
        safe_text(whose)
    with history:
        data = viewing.timeline(case.history, desk.me.id, now)
        components.TIMELINE("signoff_timeline", data)
    with raw:
        safe_text(f"SHA-256 over RFC 8785 of what is below: {request.digest}")
        safe_code(pretty(request.shown()), language="json")


def _keep_link(desk: Desk) -> None:
    """The address names a request that was chosen, so that it can be passed on."""
    if desk.selected is None or not desk.focused:
        st.query_params.pop("request", None)
    elif st.query_params.get("request") != desk.selected:
        st.query_params["request"] = desk.selected


def _nothing(_value: object) -> None:
    """The page is drawn again, and that is all that is wanted."""
