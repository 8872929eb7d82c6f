"""Domain objects as JSON. Numbers keep their type: 1.0 stays a float, 1 an integer."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum

from starlette.responses import Response


def plain(value: object) -> object:
    """A JSON value: bytes become base64, sets are sorted, enums are their values."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name)) for field in fields(value)
        }
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | frozenset):
        items = sorted(value) if isinstance(value, frozenset) else value
        return [plain(item) for item in items]
    return value


class Json(Response):
    """A response whose body is one domain object, or a list of them."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        text = json.dumps(plain(content), ensure_ascii=True, allow_nan=False)
        return text.encode()
