"""`python -m benchmarks [name ...]` measures, prints tables, writes results/*.json."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

NAMES: Final = ("policy", "allow", "round", "inbox", "undo", "wake")


def main(wanted: list[str]) -> int:
    """Run the named benchmarks, or all."""
    unknown = [name for name in wanted if name not in NAMES]
    if unknown != []:
        print(f"no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}")
        return 2
    for name in wanted or NAMES:
        print(f"== {name}", flush=True)
        import_module(f"benchmarks.{name}").run()
        print(f"   wrote benchmarks/results/{name}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
