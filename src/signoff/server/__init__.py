"""The HTTP API and what runs it; needs the extra `server`."""

from __future__ import annotations

try:
    import fastapi as fastapi
    import uvicorn as uvicorn
except ImportError as error:
    from signoff.domain.errors import InvalidSetting

    raise InvalidSetting(
        "server", "it needs an extra: pip install 'signoff[server]'."
    ) from error

from signoff.server.app import create_app
from signoff.server.serve import DEFAULT_PORT, FromUrl, Server, serve

__all__ = ["DEFAULT_PORT", "FromUrl", "Server", "create_app", "serve"]
