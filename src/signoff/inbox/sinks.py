"""The only places where text that we did not write reaches a Streamlit element.

Both elements are literal: no Markdown, no HTML, no link is made of what they show.
Components get such text as data and put it on the page with `textContent`.
"""

from __future__ import annotations

import streamlit as st

from signoff.domain.text import reveal


def safe_text(text: str) -> None:
    """Show a text as it is, hidden characters revealed."""
    st.text(reveal(text))


def safe_code(text: str, *, language: str | None = None) -> None:
    """Show a text in a fixed-width block, hidden characters revealed."""
    st.code(reveal(text), language=language, wrap_lines=True)
