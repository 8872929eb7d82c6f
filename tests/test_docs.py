"""Generated pages are what the code says now."""

import importlib.util
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.slow
def test_the_policy_page_prints_what_its_commands_print(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "policy_page.py"
    spec = importlib.util.spec_from_file_location("policy_page", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.PAGE.read_text(encoding="utf-8")
    assert page.count("\n$ ") >= 6
    cure = "a command prints something else now: run scripts/policy_page.py"
    assert module.page_of(page, tmp_path) == page, cure
