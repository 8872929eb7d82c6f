"""Values of rows and resources as they are compared and shown."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final

_LONGEST_SHOWN: Final = 100


def shown(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The value itself, or the hash of a long one."""
    known = json.dumps(value, sort_keys=True)
    if len(known) <= _LONGEST_SHOWN:
        return value
    return {"sha256": sha256(known.encode()).hexdigest(), "length": len(known)}
