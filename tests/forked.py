"""Python programs as processes of their own, without an import each.

`forked` is `subprocess.Popen` for what would follow `python -m`, for `-c` and a text,
or for the path of a `.py` file: the process is made by a server
that has imported everything already, so that it begins at once. It has its own memory,
files, environment and signals, and is killed and frozen like any other.
"""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing import reduction
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tests.support import ROOT

PRELOADED: Final = [
    "langgraph.checkpoint.postgres",
    "langgraph.checkpoint.sqlite",
    "rich.console",
    "rich.table",
    "rich.traceback",
    "typer",
    "uvicorn",
    "signoff.cli",
    "signoff.client",
    "signoff.demo",
    "signoff.durable.jobs",
    "signoff.langgraph",
    "signoff.server",
    "tests.conformance.children",
    "tests.conformance.killed",
    "tests.crash.people",
    "tests.durable.shop",
    "tests.langgraph.worker",
]


class _Process(ForkServerProcess):
    def start(self) -> None:
        # The child would run this process's main program again, which may be pytest's,
        # or a page that Streamlit's AppTest put in its place.
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


class _Context(ForkServerContext):
    Process = _Process


def processes() -> ForkServerContext:
    """Makes clean processes at once; one server for everything in this process."""
    context = _Context()
    context.set_forkserver_preload(PRELOADED)
    return context


class _Descriptor:
    """An open file on its way to the child."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self.number),)


def _received(sent: Any) -> int:  # noqa: ANN401 - of no public type
    return int(sent.detach())


class Forked(subprocess.Popen[str]):
    """A program that was forked, as subprocess sees one that it started."""

    def _execute_child(self, *given: Any) -> None:  # noqa: ANN401 - as in subprocess
        args, cwd, env, session = given[0], given[5], given[6], given[-2]
        ends = given[10:16]
        theirs = [
            ours if end == -1 else end
            for end, ours in zip((ends[0], ends[3], ends[5]), range(3), strict=True)
        ]
        self._process = processes().Process(
            target=_become,
            args=(
                list(args),
                str(ROOT if cwd is None else cwd),
                dict(os.environ if env is None else env),
                [_Descriptor(number) for number in theirs],
                session,
            ),
            daemon=True,
        )
        self._process.start()
        self.pid = self._process.pid or 0
        self._child_created = True
        self._close_pipe_fds(*ends)  # type: ignore[attr-defined]  # of subprocess

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:  # noqa: ANN401 - as in subprocess
        if self.returncode is None:
            self.returncode = self._process.exitcode
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if not wait([self._process.sentinel], timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self._internal_poll() or 0


def forked(
    *command: str,
    stdin: Any = None,  # noqa: ANN401 - as subprocess has it
    stdout: Any = None,  # noqa: ANN401 - as above
    stderr: Any = None,  # noqa: ANN401 - as above
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    start_new_session: bool = False,
) -> Forked:
    """Start a program with its arguments; warnings are errors there too."""
    return Forked(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=env,
        start_new_session=start_new_session,
        text=True,
    )


def run_forked(
    *command: str,
    stdin: str = "",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and what it printed."""
    pipe = subprocess.PIPE
    with forked(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=cwd, env=env
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _run(what: str) -> None:
    if what == "-c":
        code = compile(sys.argv.pop(1), "<string>", "exec")
        exec(code, {"__name__": "__main__"})  # noqa: S102 - as `python -c` does
    elif what.endswith(".py"):
        runpy.run_path(what, run_name="__main__")
    else:
        sys.modules.pop(what, None)  # it was preloaded for what it imports
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def _become(
    command: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    descriptors: Sequence[int],
    session: bool,  # noqa: FBT001 - given by position to a process
) -> None:
    """In the child: the program, as the interpreter would run it."""
    if session:
        os.setsid()
    for number, given in enumerate(descriptors):
        os.dup2(given, number)
    for given in set(map(int, descriptors)) - {0, 1, 2}:
        os.close(given)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False, buffering=1)  # noqa: SIM115 - a descriptor, for good
        for number, mode in enumerate(("r", "w", "w"))
    )
    sys.path.insert(0, cwd)
    sys.argv = list(command)
    # A shell that starts the tests in the background lets them ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.resetwarnings()
    warnings.simplefilter("error")
    try:
        _run(command[0])
    finally:
        atexit._run_exitfuncs()  # noqa: SLF001 - multiprocessing leaves them out
