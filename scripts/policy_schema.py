"""Writes docs/signoff.schema.json from the code; `--check` only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from signoff.domain.policy_schema import policy_schema

PAGE = Path(__file__).parent.parent / "docs" / "signoff.schema.json"


def page() -> str:
    """The whole file."""
    return json.dumps(policy_schema(), indent=2) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.read_text(encoding="utf-8") == page() else "run make docs")
    PAGE.write_text(page(), encoding="utf-8")
    print("wrote docs/signoff.schema.json")
