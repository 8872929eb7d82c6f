"""The inbox as an ASGI app, with the settings that it needs wherever it is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import streamlit as st
from streamlit import config
from streamlit.web.bootstrap import load_config_options

from signoff.domain.errors import InvalidSetting

log: Final = logging.getLogger("signoff.inbox")

_AGENT_API: Final = "server.enableAgentApi"

_SETTINGS: Final[Mapping[str, Any]] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "server.enableStaticServing": False,
    "server.enableXsrfProtection": True,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.showEmailPrompt": False,
    "server.runOnSave": False,
    "runner.magicEnabled": False,
    "theme.baseRadius": "0.5rem",
    "theme.buttonRadius": "0.5rem",
    "theme.baseFontSize": 15,
    "theme.showWidgetBorder": True,
    "theme.light.primaryColor": "#2f5bea",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f4f5f7",
    "theme.light.textColor": "#1a1c22",
    "theme.light.borderColor": "#e3e5ea",
    "theme.dark.primaryColor": "#3d66f0",
    "theme.dark.backgroundColor": "#0f1117",
    "theme.dark.secondaryBackgroundColor": "#1a1d26",
    "theme.dark.textColor": "#eef0f4",
    "theme.dark.borderColor": "#333743",
}


def make_app(api_url: str) -> st.App:
    """The inbox, to be mounted at `/` by the server or run by any ASGI server.

    Args:
        api_url: Where the HTTP API answers, such as `http://127.0.0.1:8765`.

    Raises:
        InvalidSetting: Streamlit's agent API is on. It lets any program press buttons,
            and only people decide.
    """
    load_config_options(dict(_SETTINGS))
    if config.get_option(_AGENT_API):
        raise InvalidSetting(
            _AGENT_API,
            "this lets programs press Approve; set it to false in Streamlit's "
            "config.toml, then start again.",
        )
    script = Path(__file__).with_name("app.py")
    return st.App(
        script, secrets={"signoff_url": api_url}, on_script_error=_log_script_error
    )


def _log_script_error(error: Exception) -> None:
    log.error("the inbox could not be drawn", exc_info=error)
