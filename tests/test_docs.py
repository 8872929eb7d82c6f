"""Generated pages are what the code says now."""

import subprocess
import sys

from tests.support import ROOT


def test_the_life_cycles_are_drawn_from_the_tables() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/lifecycle.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
