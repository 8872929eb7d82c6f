"""The inbox: people look at what agents want to do, and decide. Extra: `ui`."""

try:
    import streamlit as streamlit
except ImportError as error:
    from signoff.domain.errors import InvalidSetting

    raise InvalidSetting(
        "inbox", "it needs an extra: pip install 'signoff[ui]'."
    ) from error

from signoff.inbox.asgi import make_app

__all__ = ["make_app"]
