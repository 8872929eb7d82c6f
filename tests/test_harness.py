"""The harness itself: what every other test relies on."""

import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from threading import Event, Timer

import psycopg
import pytest
from playwright.sync_api import Browser

from tests.postgres import Databases, bundled_server, database_name
from tests.support import (
    ROOT,
    free_port,
    project_files,
    run_python,
    wait_until,
    wait_until_async,
)


def tables(url: str) -> set[str]:
    """The names of the tables in the database at a URL of either kind."""
    if url.startswith("sqlite:///"):
        listing = "SELECT name FROM sqlite_master WHERE type = 'table'"
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        try:
            return {name for (name,) in connection.execute(listing)}
        finally:
            connection.close()
    with psycopg.connect(url) as server:
        public = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return {name for (name,) in server.execute(public)}


def create_table(url: str) -> None:
    """Leaves a mark in a database."""
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        connection.execute("CREATE TABLE mark (id integer)")
        connection.close()
        return
    with psycopg.connect(url) as server:
        server.execute("CREATE TABLE mark (id integer)")


@pytest.mark.parametrize("visit", ["first", "second"])
def test_each_test_has_an_empty_database(empty_database_url: str, visit: str) -> None:
    assert tables(empty_database_url) == set()
    create_table(empty_database_url)
    assert tables(empty_database_url) == {"mark"}


@pytest.mark.parametrize("visit", ["first", "second"])
def test_each_test_has_a_migrated_database(database_url: str, visit: str) -> None:
    assert len(tables(database_url)) > 1
    assert "mark" not in tables(database_url)
    create_table(database_url)


def test_both_templates_hold_the_same_tables(
    sqlite_url: str, postgres_url: str
) -> None:
    own = {name for name in tables(sqlite_url) if not name.startswith("sqlite_")}
    assert own == tables(postgres_url)


def test_databases_are_dropped_though_somebody_is_connected(
    postgres: Databases,
) -> None:
    with postgres.fresh() as url:
        name = database_name(url)
        straggler = psycopg.connect(url)
    with psycopg.connect(postgres.server) as connection:
        names = connection.execute("SELECT datname FROM pg_database").fetchall()
    assert (name,) not in names
    with pytest.raises(psycopg.OperationalError):
        straggler.execute("SELECT 1")
    straggler.close()


def test_postgres_stops_when_its_tests_are_killed() -> None:
    code = """
import sys
from tests.postgres import bundled_server
with bundled_server() as url:
    print(url, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as killed:
        assert killed.stdout is not None
        url = killed.stdout.readline().decode().strip()
        psycopg.connect(url).close()
        killed.kill()
    socket_file = Path(url.partition("host=")[2], ".s.PGSQL.5432")
    wait_until(lambda: not socket_file.exists(), "PostgreSQL stops", timeout=30)
    assert socket_file.parent.exists()
    with bundled_server() as next_url:
        psycopg.connect(next_url).close()
        assert not socket_file.parent.exists()


def test_wait_until_returns_what_became_true() -> None:
    ready = Event()
    timer = Timer(0.05, ready.set)
    timer.start()
    assert wait_until(lambda: ready.is_set() and "now", "the timer") == "now"
    timer.join()


def test_wait_until_names_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the impossible"):
        wait_until(lambda: False, "the impossible", timeout=0.05)


async def test_wait_until_async_lets_the_loop_run() -> None:
    import asyncio

    ready = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, ready.set)
    assert await wait_until_async(ready.is_set, "the loop's timer")
    with pytest.raises(AssertionError, match="the impossible"):
        await wait_until_async(lambda: False, "the impossible", timeout=0.05)


def test_a_free_port_can_be_bound() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        assert listener.fileno() >= 0


def test_run_python_runs_text_and_files_with_their_environment(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import os, sys; print(os.environ['WORD'], sys.argv[1])")
    for code in (script, script.read_text()):
        done = run_python(code, "argument", env={"WORD": "hello"})
        assert (done.returncode, done.stdout) == (0, "hello argument\n")


def test_run_python_turns_warnings_into_errors() -> None:
    done = run_python("import warnings; warnings.warn('careless')")
    assert done.returncode == 1
    assert "UserWarning: careless" in done.stderr


def test_project_files_are_the_project_without_its_environment() -> None:
    names = {str(path.relative_to(ROOT)) for path in project_files()}
    assert {"pyproject.toml", "tests/support.py", ".ci/run"} <= names
    assert not any(name.startswith((".venv", ".git/")) for name in names)


def pytest_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs this project's pytest on a file of its own tests, with our options."""
    command = [sys.executable, "-m", "pytest", "--strict-markers", "-p"]
    command += ["tests.conftest", "-c", str(ROOT / "pyproject.toml"), "-q"]
    return subprocess.run(
        [*command, "--rootdir", str(folder), str(folder), *arguments],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=60,
    )


def test_a_row_selects_its_tests_and_no_longer_number(tmp_path: Path) -> None:
    (tmp_path / "test_rows.py").write_text(
        "import pytest\n"
        "@pytest.mark.row('A3')\ndef test_third(): pass\n"
        "@pytest.mark.row('A30')\ndef test_thirtieth(): pass\n"
        "@pytest.mark.row('B1', 'A3')\ndef test_two_rows(): pass\n"
    )
    done = pytest_run(tmp_path, "--row", "A3")
    assert "2 passed, 1 deselected" in done.stdout, done.stdout + done.stderr


def test_a_browser_opens_a_page(chromium: Browser) -> None:
    page = chromium.new_page()
    page.set_content("<h1>Approve?</h1>")
    assert page.locator("h1").inner_text() == "Approve?"
    page.close()


@pytest.mark.parametrize("count", [1, 2])
async def test_async_tests_run_after_the_browser(count: int) -> None:
    await wait_until_async(lambda: count, "nothing")
