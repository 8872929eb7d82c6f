"""`python -m benchmarks.agentdojo [a b c d]` measures, prints and says what it came to.

It ends with 0 only if all four parts are measured, now or before, and met their target.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Final

from benchmarks.measure import RESULTS, save

NAME: Final = "agentdojo"
PARTS: Final = {"a": "gating", "b": "reverting", "c": "reviewing", "d": "holding"}


def main(wanted: list[str]) -> int:
    """Measure the named parts, or all; the others' results stay as they were."""
    if find_spec("agentdojo") is None:
        print("AgentDojo isn't installed here: run `make agentdojo`, which brings it.")
        return 2
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"no part {unknown[0]!r}; there are: {', '.join(PARTS)}")
        return 2
    measured = {name: _measure(name) for name in wanted or PARTS}
    agentdojo = version("agentdojo")
    parts = {**saved(agentdojo), **measured}
    save(NAME, {"agentdojo": agentdojo, "parts": dict(sorted(parts.items()))})
    print(f"wrote benchmarks/results/{NAME}.json")
    words, code = verdict(parts, measured)
    print(words)
    return code


def verdict(
    parts: Mapping[str, Mapping[str, Any]], now: Collection[str]
) -> tuple[str, int]:
    """What all parts together come to, in words and as the exit code.

    Args:
        parts: What is known of each part, measured now or before.
        now: Those measured now.
    """
    said = {name: _said(parts.get(name), now=name in now) for name in PARTS}
    whole = all(name in parts and parts[name]["met"] is True for name in PARTS)
    words = "; ".join(f"({name}) {what}" for name, what in said.items())
    return f"{'all targets met' if whole else 'NOT all met'}: {words}", int(not whole)


def _said(part: Mapping[str, Any] | None, *, now: bool) -> str:
    if part is None:
        return "NOT MEASURED"
    said = "met" if part["met"] is True else "MISSED"
    return said if now else f"{said}, as measured before"


def _measure(name: str) -> dict[str, Any]:
    part = import_module(f"benchmarks.agentdojo.{PARTS[name]}")
    print(f"== {part.TITLE}", flush=True)
    found: dict[str, Any] = part.measure()
    part.show(found)
    print("target met" if found["met"] else "target MISSED", end="\n\n", flush=True)
    return found


def saved(agentdojo: str) -> dict[str, Any]:
    """The parts that were measured before with this version of AgentDojo."""
    file = RESULTS / f"{NAME}.json"
    if not file.exists():
        return {}
    before = json.loads(file.read_text())
    if before["agentdojo"] != agentdojo:
        return {}
    return {name: part for name, part in before["parts"].items() if name in PARTS}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
