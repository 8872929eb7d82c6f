"""Payloads are named by their contents, so that a wrong one is noticed."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from signoff.domain.errors import PayloadLost

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


def name_of(data: bytes) -> str:
    """What a payload with these contents is called."""
    return sha256(data).hexdigest()


def folder_of(part: str) -> str:
    """An owner or a name as a part of a path.

    Raises:
        PayloadLost: Nothing is called so; it would lead somewhere else.
    """
    if _PLAIN.fullmatch(part) is None:
        raise PayloadLost(part, "it has a name that no payload has")
    return part


def checked(owner: str, name: str, data: bytes | None) -> bytes:
    """The data, if it is what the name says.

    Raises:
        PayloadLost: It isn't.
    """
    if data is None:
        raise PayloadLost(owner, "it isn't there any more")
    if name_of(data) != name:
        raise PayloadLost(owner, "it isn't what was kept: its contents changed")
    return data
