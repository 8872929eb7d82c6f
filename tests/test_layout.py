"""Rules about the files themselves, which no linter checks."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support import ROOT, project_files

SOURCE_LINES = 500
TEST_LINES = 800
GENERATED = re.compile(r"requirements/.*\.txt")
LOCK_FILES = {
    "Pipfile.lock",
    "package-lock.json",
    "pdm.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "pylock.toml",
    "uv.lock",
    "yarn.lock",
}
REGISTRY = re.compile(
    r"index-url|--find-links|registry\.npmjs|files\.pythonhosted|pypi\.org/simple"
)
MACHINE_PATH = re.compile(
    r"(?<![\w./~-])/(?:work|root|home/\w+|Users/\w+|opt|mnt)(?:/|\b(?![-\w]))"
)
SUPPRESSION = re.compile(r"#\s*noqa\b")
EXPLAINED = re.compile(r"# noqa: [A-Z]+\d+(?:, [A-Z]+\d+)*\s+\S+")


def name(path: Path) -> str:
    """The path as people write it."""
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str:
    """The file's text; none if it is binary."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every file of the project by its name, but this one, which names the evils."""
    others = [path for path in project_files() if path != Path(__file__)]
    return {name(path): text_of(path) for path in others}


def matches(pattern: re.Pattern[str], texts: dict[str, str]) -> list[str]:
    """`file:line: text` of every line in which the pattern is found."""
    return [
        f"{file}:{number}: {line.strip()}"
        for file, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_is_too_long(texts: dict[str, str]) -> None:
    too_long = {
        file: lines
        for file, text in texts.items()
        if file.endswith((".py", ".sh", ".sql"))
        and (lines := text.count("\n"))
        > (TEST_LINES if file.startswith("tests/") else SOURCE_LINES)
    }
    assert too_long == {}


def test_packages_have_one_level() -> None:
    package = ROOT / "src" / "signoff"
    deep = [
        name(path)
        for path in package.rglob("*.py")
        if len(path.relative_to(package).parts) > 2
    ]
    assert deep == []


def test_no_lock_file_is_committed(texts: dict[str, str]) -> None:
    assert [file for file in texts if Path(file).name in LOCK_FILES] == []


def test_no_registry_is_named(texts: dict[str, str]) -> None:
    found = matches(REGISTRY, texts)
    assert [line for line in found if "--no-emit-index-url" not in line] == []


def test_requirements_name_only_packages_and_hashes(texts: dict[str, str]) -> None:
    pinned = re.compile(r"[a-z0-9][a-z0-9._-]*==\S+( ; .+)? \\|    --hash=sha256:\w+.*")
    files = [file for file in texts if GENERATED.fullmatch(file)]
    assert files != []
    for file in files:
        lines = [line for line in texts[file].splitlines() if line[:1] != "#"]
        assert [line for line in lines if not pinned.fullmatch(line)] == []


def test_no_path_of_one_machine_is_named(texts: dict[str, str]) -> None:
    assert matches(MACHINE_PATH, texts) == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("ls /work", True),
        ('"/home/anna/signoff"', True),
        ("in /root", True),
        ("GET /api/v1/work", False),
        ("the server's /requests/7/home/", False),
        ("/usr/bin/env bash", False),
    ],
)
def test_a_machine_path_is_recognised(line: str, *, named: bool) -> None:
    assert (MACHINE_PATH.search(line) is not None) is named


def test_every_ignored_rule_has_its_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    lint = tomllib.loads("\n".join(lines))["tool"]["ruff"]["lint"]
    ignored = set(lint["ignore"]).union(*lint["per-file-ignores"].values())
    explained = {
        match[1]
        for line in lines
        if (match := re.match(r'\s+"([A-Z]+\d*)",\s+# \S+', line))
    }
    assert ignored - explained == set()
    assert "COM812" in ignored & explained


def test_every_suppression_has_its_reason(texts: dict[str, str]) -> None:
    lines = matches(SUPPRESSION, texts)
    assert [line for line in lines if not EXPLAINED.search(line)] == []
