"""LangChain's own tests of its middleware, from its source distribution, never kept.

The file comes from the package index, in the version that is installed and with the
hash that the requirements pin, into `.cache/` of this project.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.support import ROOT

TESTS = "tests/unit_tests/agents/middleware/implementations/test_human_in_the_loop.py"
MODEL = "tests/unit_tests/agents/model.py"
PLUGIN = "tests.langgraph.dropin.plugin"
_SECONDS = 90


class UpstreamUnavailableError(Exception):
    """LangChain's tests could not be fetched; the message says why and what helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of each test, by its name with its parameters."""

    passed: frozenset[str]
    failed: frozenset[str]
    skipped: frozenset[str]
    output: str


def upstream_tests() -> Path:
    """The folder with LangChain's test file and the model that it uses."""
    installed = version("langchain")
    folder = ROOT / ".cache" / "langchain" / installed
    if not (folder / TESTS).exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
            _fetch(installed, Path(fresh))
            _put_in_place(Path(fresh) / "unpacked", folder)
    return folder


def run_upstream(*, mode: str, template: str) -> Report:
    """Run them in a process of their own, against our class in the given mode.

    Args:
        mode: `vouched`, `strict`, or `untouched` for LangChain's own class.
        template: The URL of a migrated database; each test gets a copy.
    """
    folder = upstream_tests()
    with tempfile.TemporaryDirectory() as scratch:
        xml = Path(scratch) / "report.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *_options(xml, Path(scratch)), TESTS],
            cwd=folder,
            env={**os.environ, **_environment(folder, mode, template)},
            capture_output=True,
            check=False,
            text=True,
            timeout=_SECONDS,
        )
        if not xml.exists():
            raise AssertionError(f"pytest wrote no report:\n{done.stdout}{done.stderr}")
        return _read(xml, done.stdout)


def _options(xml: Path, scratch: Path) -> list[str]:
    return [
        "--quiet",
        "--import-mode=importlib",
        "--asyncio-mode=auto",
        f"--rootdir={scratch}",
        f"--basetemp={scratch / 'tests'}",
        f"--junit-xml={xml}",
        f"-p{PLUGIN}",
        "-pno:cacheprovider",
        "-pno:langsmith_plugin",
    ]


def _environment(folder: Path, mode: str, template: str) -> Mapping[str, str]:
    # Two folders `tests` without an __init__.py are one namespace: ours and theirs.
    return {
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "SIGNOFF_DROPIN_MODE": mode,
        "SIGNOFF_DROPIN_TEMPLATE": template,
        "PYTEST_ADDOPTS": "",
    }


def _read(xml: Path, output: str) -> Report:
    found: dict[str, set[str]] = {"passed": set(), "failed": set(), "skipped": set()}
    for case in ET.parse(xml).iter("testcase"):  # noqa: S314 - our own pytest wrote it
        inside = {child.tag for child in case}
        kind = "failed" if inside & {"failure", "error"} else "passed"
        found["skipped" if "skipped" in inside else kind].add(case.attrib["name"])
    return Report(
        passed=frozenset(found["passed"]),
        failed=frozenset(found["failed"]),
        skipped=frozenset(found["skipped"]),
        output=output,
    )


def _fetch(installed: str, folder: Path) -> None:
    wanted = folder / "wanted.txt"
    wanted.write_text(_pinned(installed))
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    source = ["--no-binary=langchain", "--no-build-isolation", "--require-hashes"]
    patience = ["--retries=1", "--timeout=20", "--disable-pip-version-check"]
    done = subprocess.run(
        [*download, *source, *patience, "-r", wanted, "-d", folder],
        capture_output=True,
        check=False,
        text=True,
        timeout=_SECONDS,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:]
        raise UpstreamUnavailableError(
            f"LangChain {installed}'s own tests could not be fetched from the package "
            f"index ({' '.join(reason)}). Run this once where pip reaches an index."
        )
    archive = folder / f"langchain-{installed}.tar.gz"
    with tarfile.open(archive) as packed:
        for name in (TESTS, MODEL):
            member = packed.getmember(f"langchain-{installed}/{name}")
            content = packed.extractfile(member)
            assert content is not None
            target = folder / "unpacked" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())


def _pinned(installed: str) -> str:
    """The installed version in the requirements, with the hashes of its files."""
    line = re.compile(
        rf"^langchain=={re.escape(installed)} (?:.*\\\n)*.*\n", re.MULTILINE
    )
    for name in ("dev", "lowest"):
        found = line.search((ROOT / "requirements" / f"{name}.txt").read_text())
        if found is not None:
            return found.group()
    raise UpstreamUnavailableError(
        f"langchain {installed} is installed, but no file in requirements/ pins it: "
        "`make lock` does."
    )


def _put_in_place(fresh: Path, folder: Path) -> None:
    try:
        fresh.rename(folder)
    except OSError:  # another process was faster, with the same file
        if not (folder / TESTS).exists():
            raise
