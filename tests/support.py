"""What tests of every part use: waiting, ports, subprocesses, the project's files."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from time import monotonic
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
_POLL_SECONDS = 0.01
T = TypeVar("T")


def wait_until(predicate: Callable[[], T], description: str, timeout: float = 10) -> T:
    """Calls the predicate until its result is true, and returns that result.

    Raises:
        AssertionError: not within `timeout` seconds; says what was awaited.
    """
    deadline = monotonic() + timeout
    pause = Event()
    while not (result := predicate()):
        _check(deadline, description, timeout)
        pause.wait(_POLL_SECONDS)
    return result


async def wait_until_async(
    predicate: Callable[[], T],
    description: str,
    timeout: float = 10,  # noqa: ASYNC109 it decides when to fail, and cancels nothing
) -> T:
    """`wait_until` for a test whose event loop must go on meanwhile."""
    deadline = monotonic() + timeout
    while not (result := predicate()):
        _check(deadline, description, timeout)
        await asyncio.sleep(_POLL_SECONDS)
    return result


def _check(deadline: float, description: str, timeout: float) -> None:
    if monotonic() > deadline:
        message = f"not within {timeout:g} s: {description}"
        raise AssertionError(message)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def run_python(
    code: str | Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Runs source text, or a file, in a new interpreter; warnings are errors there too.

    Args:
        code: source text as `str`, or the `Path` of a file.
        arguments: `sys.argv[1:]` of the new process.
        env: added to this process's environment.
        cwd: where it runs; the project's folder if None.
        timeout: in seconds; TimeoutExpired after it.
    """
    script = [str(code)] if isinstance(code, Path) else ["-c", code]
    return subprocess.run(
        [sys.executable, "-W", "error", *script, *arguments],
        capture_output=True,
        check=False,
        cwd=ROOT if cwd is None else cwd,
        env={**os.environ, **({} if env is None else env)},
        text=True,
        timeout=timeout,
    )


def project_files() -> list[Path]:
    """Every file that belongs to the project: what Git tracks, or would."""
    git = shutil.which("git")
    if git is not None and (ROOT / ".git").exists():
        listing = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.check_output(listing, cwd=ROOT, text=True)
        found = {ROOT / name for name in names.split("\0") if name != ""}
    else:
        found = {path for path in ROOT.rglob("*") if not _is_local(path)}
    return sorted(path for path in found if path.is_file())


def _is_local(path: Path) -> bool:
    local = ("__pycache__", "build", "dist")
    parts = path.relative_to(ROOT).parts
    return any(
        part in local or (part.startswith(".") and part != ".ci") for part in parts[:-1]
    )


def browser_path() -> Path | None:
    """The browser that tests drive: $SIGNOFF_TEST_BROWSER, or the first on PATH."""
    named = os.environ.get("SIGNOFF_TEST_BROWSER")
    if named is not None:
        return Path(named)
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    return None
