"""Writes the output of the demo into README.md; `--check` says whether it is still so.

Run it with the project's Python: .venv/bin/python scripts/readme.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

README: Final = Path(__file__).resolve().parent.parent / "README.md"
BEGIN: Final = "<!-- demo: written by scripts/readme.py -->\n"
END: Final = "<!-- /demo -->\n"
_VARIES: Final = (
    (re.compile(r"(?<=world: )\S+"), "/tmp/signoff-demo"),  # noqa: S108 - text, not a file
    (re.compile(r"\b[0-9a-f]{7}\b"), "3f2a91c"),
)


def demo_output() -> str:
    """What `make demo ARGS="--auto approve"` prints, with one folder and one commit.

    Raises:
        CalledProcessError: A check of the demo did not hold.
    """
    command = [sys.executable, "-m", "signoff", "demo", "--auto", "approve"]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return settled(printed.stdout)


def settled(text: str) -> str:
    """The text with what differs from run to run made the same."""
    for pattern, stand_in in _VARIES:
        text = pattern.sub(stand_in, text)
    return text


def block_in(readme: str) -> str:
    """The output that README shows."""
    found = readme.partition(BEGIN)[2].partition(END)[0]
    return found.removeprefix("```text\n").removesuffix("```\n")


def with_block(readme: str, output: str) -> str:
    """README with this output."""
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}```text\n{output}```\n{END}{after}"


def main() -> int:
    """Write or check; returns the exit code."""
    readme = README.read_text(encoding="utf-8")
    output = demo_output()
    if "--check" in sys.argv[1:]:
        return int(block_in(readme) != output)
    README.write_text(with_block(readme, output), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
