"""Generated pages are what the code says now."""

import subprocess
import sys

import pytest

from tests.support import ROOT


@pytest.mark.parametrize("page", ["lifecycle", "policy_schema"])
def test_a_generated_page_is_made_from_the_code(page: str) -> None:
    done = subprocess.run(
        [sys.executable, f"scripts/{page}.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
