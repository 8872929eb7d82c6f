"""Fixtures for every test: two real databases, a real browser, the rows of a list."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

from tests.postgres import (
    Databases,
    PostgresUnavailableError,
    bundled_server,
    database_name,
)
from tests.support import browser_path

# How long an example takes says nothing here: processes share two cores.
settings.register_profile("signoff", deadline=None)
settings.load_profile("signoff")

_LIFETIME = pytest.StashKey[ExitStack]()
_SERVER = pytest.StashKey[str]()
_IN_CI = os.environ.get("CI") == "true"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --row."""
    parser.addoption(
        "--row",
        metavar="NUMBER",
        help="run only the tests marked with this row, such as A3",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Opens what lives as long as the session."""
    config.stash[_LIFETIME] = ExitStack()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops PostgreSQL, if this process started it."""
    config.stash[_LIFETIME].close()


def pytest_configure_node(node: object) -> None:
    """Parallel runs: the first process starts PostgreSQL, the workers share it."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]  # xdist has no types
    node.workerinput["postgres"] = _server(config)  # type: ignore[attr-defined]  # as above


def _server(config: pytest.Config) -> str:
    """The URL of the PostgreSQL server, which is started at the first call."""
    if _SERVER not in config.stash:
        config.stash[_SERVER] = _find_server(config)
    return config.stash[_SERVER]


def _find_server(config: pytest.Config) -> str:
    worker: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker is not None:
        return worker["postgres"]
    named = os.environ.get("SIGNOFF_TEST_POSTGRES")
    if named is not None:
        return named
    try:
        return config.stash[_LIFETIME].enter_context(bundled_server())
    except PostgresUnavailableError as error:
        pytest.exit(str(error), returncode=1)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Marks the browser's tests; with --row keeps only that row's tests."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
    row = config.getoption("--row")
    if row is None:
        return
    others = [item for item in items if row not in _rows(item)]
    items[:] = [item for item in items if row in _rows(item)]
    config.hook.pytest_deselected(items=others)


def _rows(item: pytest.Item) -> set[str]:
    return {number for mark in item.iter_markers("row") for number in mark.args}


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Databases:
    """A real PostgreSQL server on which tests make their databases."""
    return Databases.on(_server(pytestconfig))


@pytest.fixture(scope="session")
def postgres_template(postgres: Databases) -> Iterator[str]:
    """The name of a migrated database that is copied for each test."""
    with postgres.fresh() as url:
        _migrate(url)
        yield database_name(url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that is copied for each test."""
    folder = tmp_path_factory.mktemp("template")
    template = folder / "signoff.db"
    _migrate(f"sqlite:///{template}")
    assert list(folder.iterdir()) == [template]  # a copy needs no -wal beside it
    return template


def _migrate(url: str) -> None:
    from signoff.storage.engine import make_engine
    from signoff.storage.migrate import migrate

    engine = make_engine(url)
    migrate(engine)
    engine.dispose()


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite file of the test's own."""
    file = tmp_path / "signoff.db"
    shutil.copy(sqlite_template, file)
    return f"sqlite:///{file}"


@pytest.fixture
def postgres_url(postgres: Databases, postgres_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database of the test's own."""
    with postgres.fresh(template=postgres_template) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Both: the test runs once on a migrated SQLite file, once on PostgreSQL."""
    fixtures = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}
    url: str = request.getfixturevalue(fixtures[request.param])
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Both, before any migration."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    postgres: Databases = request.getfixturevalue("postgres")
    with postgres.fresh() as url:
        yield url


@pytest.fixture  # for one test only: while Playwright runs, no other event loop can
def chromium() -> Iterator[Browser]:
    """A real browser. Absent: the test is skipped; in CI it fails."""
    path = browser_path()
    if path is None:
        missing = "no browser; `make test` installs one, SIGNOFF_TEST_BROWSER names one"
        pytest.fail(missing) if _IN_CI else pytest.skip(missing)
    sandbox = os.geteuid() != 0  # Chromium refuses its sandbox to root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, chromium_sandbox=sandbox
        )
        yield browser
        browser.close()
