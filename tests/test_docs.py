"""Generated pages are what the code says now."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from signoff.storage.migrate import migrations
from tests.support import ROOT

COMPATIBILITY = (ROOT / "COMPATIBILITY.md").read_text(encoding="utf-8")


def test_the_schemas_number_is_that_of_the_last_migration() -> None:
    (number,) = re.findall(r"last migration: (\d+) in", COMPATIBILITY)
    assert int(number) == migrations("sqlite")[-1].number


def test_what_is_public_says_what_it_lists() -> None:
    sentence = COMPATIBILITY.partition("`__all__`")[0]
    named = re.findall(r"`(signoff[.\w]*)`", sentence)
    assert len(named) > 1
    for module in named:
        assert import_module(module).__all__, module


def test_every_extra_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| (`.*?) \|", COMPATIBILITY, re.MULTILINE)
    extras = set(project["project"]["optional-dependencies"])
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == extras - {"bench"}


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
