"""The parts of the page that are our own HTML; what they show arrives as data.

Their JavaScript puts data on the page with `textContent` only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Final, Protocol

import streamlit as st

Handler = Callable[[Any], None]


class Component(Protocol):
    """Draws one component; each handler gets the value of the event of its name."""

    def __call__(
        self, key: str, data: Mapping[str, Any], **handlers: Handler
    ) -> None: ...


def _load(name: str, *parts: str, isolated: bool = True) -> Component:
    """A component made of its own JavaScript and CSS after those of its parts."""
    assets = files("signoff.inbox") / "assets"
    made_of = (*parts, name)
    mount = st.components.v2.component(
        f"signoff.{name}",
        html='<div class="root"></div>',
        css="".join((assets / f"{part}.css").read_text("utf-8") for part in made_of),
        js="".join((assets / f"{part}.js").read_text("utf-8") for part in made_of),
        isolate_styles=isolated,
    )

    def draw(key: str, data: Mapping[str, Any], **handlers: Handler) -> None:
        callbacks: dict[str, Any] = {
            f"on_{event}_change": _calling(key, event, handler)
            for event, handler in handlers.items()
        }
        mount(key=key, data=dict(data), **callbacks)

    return draw


def _calling(key: str, event: str, handler: Handler) -> Callable[[], None]:
    def callback() -> None:
        handler(st.session_state[key][event])

    return callback


FRAME: Final = _load("frame", isolated=False)
BAR: Final = _load("bar", "common")
PAUSED: Final = _load("paused", "common")
NOTICES: Final = _load("notices", "common")
UNDO: Final = _load("undo", "common")
LISTING: Final = _load("listing", "common")
DETAIL: Final = _load("detail", "common", "rows")
CHANGES: Final = _load("changes", "common", "rows")
TIMELINE: Final = _load("timeline", "common")
SIGN_IN: Final = _load("sign_in", "common")
