"""Writes what the commands of docs/policy.md print, from a real run.

Times are different each time, so they are left as dots.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "policy.md"
_FILE = re.compile(
    r"^`(\S+)`:\n\n```(?:toml|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
_PROCESS = re.compile(r"by \S+/\d+,")


def page_of(page: str, folder: Path) -> str:
    """The page with what its commands print now, run in this folder, in order."""
    for name, text in _FILE.findall(page):
        (folder / name).write_text(text, encoding="utf-8")
    return _CONSOLE.sub(lambda block: _printed(block[1], folder), page)


def _printed(block: str, folder: Path) -> str:
    commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    ran = (f"$ {command}\n{_run(command, folder)}" for command in commands)
    return f"```console\n{''.join(ran)}```"


def _run(command: str, folder: Path) -> str:
    words = shlex.split(command)
    program = ["-m", "signoff"] if words[0] == "signoff" else []
    done = subprocess.run(
        [sys.executable, *program, *words[1:]],
        capture_output=True,
        check=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        text=True,
    )
    plain = done.stdout.replace(f"{folder.resolve()}/", "")
    return _PROCESS.sub("by host/pid,", _TIME.sub("...", plain))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as empty:
        told = page_of(PAGE.read_text(encoding="utf-8"), Path(empty))
    PAGE.write_text(told, encoding="utf-8")
    print("wrote docs/policy.md")
