"""The form for an edit, built from the tool's schema, with what it would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from signoff.domain.requests import Edit, Request
from signoff.domain.text import count_hidden, reveal
from signoff.inbox import components
from signoff.inbox.desk import Desk, Opened
from signoff.inbox.forms import (
    Field,
    NotRead,
    Value,
    assembled,
    fields_of,
    read,
    start_text,
)
from signoff.inbox.sinks import safe_text
from signoff.inbox.wording import INSIDE, compact, plain_label, rows

_BUTTONS: Final = 4


def draw_form(desk: Desk, request: Request, opened: Opened) -> None:
    """One widget for each argument, the changes, and the button that sends them."""
    with st.container(border=True, key="signoff_edit"):
        values, problems = _draw_fields(request, desk.problems)
        args = assembled(values)
        changed = compact(args) != compact(dict(request.args))
        _draw_changes(request, args, (*problems, *desk.problems))
        with st.container(horizontal=True):
            sure = st.button(
                "Approve with edits",
                type="primary",
                key="edit_go",
                disabled=not changed or bool(problems),
            )
            cancel = st.button("Cancel edit", key="edit_cancel")
    if sure:
        desk.decide(opened, Edit(args=args))
        st.rerun()
    if cancel:
        desk.close()
        st.rerun()


def _draw_fields(
    request: Request, refused: Sequence[str]
) -> tuple[list[tuple[Field, Value]], list[str]]:
    values: list[tuple[Field, Value]] = []
    problems: list[str] = []
    group: tuple[str, ...] = ()
    for field in fields_of(request.args, request.schema):
        if field.path[:-1] != group:
            group = field.path[:-1]
            if group != ():
                safe_text(INSIDE.join(group))
        try:
            values.append((field, _draw_field(field, request)))
        except NotRead as error:
            problems.append(reveal(error.problem))
        for problem in refused:
            if problem.startswith(f"{reveal(field.name)}:"):
                safe_text(f"⚠ {problem}")
    return values, problems


def _draw_field(field: Field, request: Request) -> Value:
    key = f"edit_{request.id}_{request.revision}_{field.name}"
    if plain_label(field.path[-1], otherwise="") == "":
        safe_text(field.path[-1])
    if not field.may_be_empty:
        return _draw_value(field, key)
    widget, sends = st.columns([0.76, 0.24], vertical_alignment="bottom")
    with sends:
        if _left_empty(field, key):
            return field.nothing()
    with widget:
        return _draw_value(field, key)


def _draw_value(field: Field, key: str) -> Value:
    value = _draw_widget(field, key)
    if isinstance(value, str) and count_hidden(value) > 0:
        safe_text(f"⚠ {count_hidden(value)} hidden characters: {value}")
    return value


def _left_empty(field: Field, key: str) -> bool:
    plain = plain_label(field.path[-1], otherwise="field").lower()
    return not st.checkbox(f"Send {plain}", value=not field.empty, key=f"{key}_sends")


def _draw_widget(field: Field, key: str) -> Value:
    match field.kind:
        case "switch":
            return st.toggle(field.label, value=field.value is True, key=key)
        case "choice":
            return _draw_choice(field, key)
        case "strings":
            return _draw_strings(field, key)
        case "long" | "json":
            typed = st.text_area(field.label, value=start_text(field), key=key)
            return read(field, typed)
        case _:
            typed = st.text_input(field.label, value=start_text(field), key=key)
            return read(field, typed)


def _draw_choice(field: Field, key: str) -> Value:
    texts = [c if isinstance(c, str) else compact(c) for c in field.choices]
    proposed = "" if field.empty else compact(field.value)
    start = next(
        (i for i, c in enumerate(field.choices) if compact(c) == proposed), None
    )
    if len(texts) <= _BUTTONS and all(map(_is_plain, texts)):
        at = st.segmented_control(
            field.label,
            range(len(texts)),
            default=start,
            format_func=texts.__getitem__,
            key=key,
        )
    else:
        at = st.selectbox(
            field.label,
            range(len(texts)),
            index=start,
            format_func=lambda index: reveal(texts[index]),
            key=key,
        )
    if at is None:
        raise NotRead(field, "choose one")
    return field.value if at == start else field.choices[at]


def _is_plain(text: str) -> bool:
    return "_" not in text and plain_label(text, otherwise="") != ""


def _draw_strings(field: Field, key: str) -> Value:
    proposed = [] if field.empty else list(field.value)
    chosen = st.multiselect(
        field.label,
        proposed,
        default=proposed,
        accept_new_options=True,
        key=key,
        placeholder="Type one and press Enter",
    )
    return list(chosen)


def _draw_changes(
    request: Request, args: dict[str, Value], problems: Sequence[str]
) -> None:
    changes = [row for row in rows(args, request.args) if row.changed]
    title = "Your changes" if changes else "Nothing is changed yet"
    data = {
        "title": title,
        "problems": list(problems),
        "compared": True,
        "before": "Proposed",
        "after": "Yours",
        "rows": [row.as_data() for row in changes],
    }
    components.CHANGES("signoff_changes", data)
