"""The demo as a program of its own, started, read, killed."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.forked import forked, run_forked
from tests.support import ROOT, wait_until


def run_demo(
    *arguments: str, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    given = {**os.environ, **({} if env is None else env)}
    return run_forked("signoff", "demo", *arguments, cwd=cwd, env=given)


class Program:
    """A demo that runs, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return "\n".join(self.lines)

    def wait_for(self, text: str, timeout: float = 60) -> str:
        """The first line with this text."""

        def found() -> str:
            ended = self.process.poll() is not None
            line = next((line for line in self.lines if text in line), "")
            assert line or not ended, f"it ended without {text!r}:\n{self.output}"
            return line

        return wait_until(found, f"{text!r} in:\n{self.output}", timeout)

    def end(self, number: int) -> int:
        """Send a signal and wait; returns the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        self._reader.join(timeout=10)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip("\n"))


@contextmanager
def running_demo(*arguments: str) -> Iterator[Program]:
    """Start it; it is gone afterwards, whatever happens."""
    process = forked(
        "signoff",
        *("demo", "--no-browser", "--port", "0", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    program = Program(process)
    try:
        yield program
    finally:
        if process.poll() is None:
            program.end(signal.SIGKILL)
