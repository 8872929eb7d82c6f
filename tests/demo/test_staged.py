"""The staged workflow of the examples, also with a process killed at every gate."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

EXAMPLE = ROOT / "examples" / "staged_report.py"
BOTH = "'Sales rose by 12 %.\\nItem 7 lasts for 9 days.'"
ENDS = {
    "approve": ("research, plan, execute, publish", BOTH),
    "reject": ("research, plan", "None"),
    "edit": ("research, plan, execute, publish", "'Item 7 lasts for 9 days.'"),
    "respond": ("research, plan, plan, execute, publish", "'Sales rose by 12 %.'"),
}


def run(folder: Path, *arguments: str) -> str:
    """What the example prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE, *arguments],
        capture_output=True,
        check=False,
        env={"TMPDIR": str(folder), "PYTHONPATH": str(ROOT / "src")},
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("answer", ENDS)
def test_every_answer(tmp_path: Path, answer: str, *, killed: bool) -> None:
    more = ["--kill-between-stages"] if killed else []
    said = run(tmp_path, "--auto", answer, *more).splitlines()
    work, published = ENDS[answer]
    assert said[0] == "research: done, plan: waiting, execute: ahead, publish: ahead"
    assert f"Work done: {work}" in said
    assert f"Published: {published}" in said
    assert said[-3:] == [
        "ok: nothing was done twice",
        "ok: published is what was approved",
        "ok: the ledger holds",
    ]
    (folder,) = tmp_path.iterdir()
    outbox = folder / "outbox.txt"
    assert outbox.exists() == (published != "None")
