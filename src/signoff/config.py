"""Settings, read once from the environment; every one has a flag or an argument too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from signoff.domain.errors import InvalidSetting

DEFAULT_STORE = "sqlite:///signoff.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the commands use when no flag says otherwise.

    Attributes:
        store: `SIGNOFF_STORE`: sqlite:///file, postgresql://..., or http(s)://server.
        token: `SIGNOFF_TOKEN`, or the content of the file in `SIGNOFF_TOKEN_FILE`.
        policy: `SIGNOFF_POLICY`: the policy file.
        directory: `SIGNOFF_DIRECTORY`: `tokens`, or `open` where an application vouches
            for people without a token.
        payloads: `SIGNOFF_PAYLOADS`: where what undos need is kept.
        payload_key: `SIGNOFF_PAYLOAD_KEY`: what it is sealed with. Never shown.
    """

    store: str = DEFAULT_STORE
    token: str | None = None
    policy: Path | None = None
    directory: str = "tokens"
    payloads: str | None = None
    payload_key: str | None = field(default=None, repr=False)


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        InvalidSetting: If the token file can't be read.
    """
    env = os.environ if environment is None else environment
    policy = env.get("SIGNOFF_POLICY")
    return Settings(
        store=env.get("SIGNOFF_STORE", DEFAULT_STORE),
        token=env.get("SIGNOFF_TOKEN") or _token_file(env.get("SIGNOFF_TOKEN_FILE")),
        policy=None if policy is None else Path(policy),
        directory=env.get("SIGNOFF_DIRECTORY", "tokens"),
        payloads=env.get("SIGNOFF_PAYLOADS") or None,
        payload_key=env.get("SIGNOFF_PAYLOAD_KEY"),
    )


def _token_file(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSetting(
            "SIGNOFF_TOKEN_FILE", f"{path} can't be read: {error.strerror}."
        ) from error
