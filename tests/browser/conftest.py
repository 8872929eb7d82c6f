"""A real server in its own process, a real browser, and an agent's side to act from."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from signoff import (
    Action,
    Context,
    Principal,
    Request,
    Signoff,
    hold,
    reversible,
    review,
)
from signoff.service.propose import Asked
from tests.support import ROOT, browser_path, wait_until

QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
RULES = [
    review("wipe_*", risk="critical"),
    review("transfer", approvals=2, risk="high"),
    review("publish", risk="high"),
    reversible("set_*", window="10m"),
    hold("mail_*", window="1h"),
    review("*", risk="medium"),
]
PATIENCE_MS = 20_000  # a first load is 5 MB of JavaScript, on a machine that is busy
expect.set_options(timeout=PATIENCE_MS)
_numbers = count(1)


@dataclass
class Site:
    """A running inbox, and the same store from another process: this one.

    Attributes:
        url: Where the inbox answers.
        so: What an agent's process and other channels do.
        secrets: Tokens of mira and sam.
    """

    url: str
    so: Signoff
    secrets: Mapping[str, str]

    def ask(
        self,
        tool: str,
        args: Mapping[str, Any],
        schema: Mapping[str, Any] | None = None,
        agent: str = "agent-7",
    ) -> Request:
        """Propose a call; it waits for people."""
        number = next(_numbers)
        action = Action(
            context=Context(thread=f"thread-{number}", agent=agent),
            message_id=f"message-{number}",
            call_id="call",
            tool=tool,
            args=args,
        )
        asked = Asked(schema=schema, description="What the tool says it does.")
        request = self.so.propose(action, asked).request
        assert request is not None
        return request

    def status(self, request: Request) -> str:
        """Where a request stands in the store."""
        return self.so.get(request.id).status.value

    def clear(self) -> None:
        """Leave nothing that waits."""
        operator = Principal(id="operator@example.com")
        for request in self.so.pending().requests:
            self.so.cancel(request.id, by=operator, reason="the test has ended")


@pytest.fixture(scope="session")
def running_site(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'signoff.db')}"
    so = Signoff(url, policy=RULES)
    names = ("mira", "sam")
    secrets = {name: so.create_token(f"{name}@example.com")[1] for name in names}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("site.py")), url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as server,
    ):
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        assert address.startswith("http"), (folder / "log").read_text("utf-8")
        yield Site(url=address, so=so, secrets=secrets)
        server.terminate()
    so.close()


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    """The site, with nothing that waits from another test."""
    running_site.clear()
    yield running_site
    running_site.clear()


@pytest.fixture(scope="module")  # the tests of this folder have no other event loop
def chromium() -> Iterator[Browser]:
    """One browser for a file's tests, so that its cache is warm."""
    path = browser_path()
    if path is None:
        missing = "no browser; `make test` installs one, SIGNOFF_TEST_BROWSER names one"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    sandbox = os.geteuid() != 0  # Chromium refuses its sandbox to root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, chromium_sandbox=sandbox, args=QUIET
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def signed_in(
    chromium: Browser, running_site: Site
) -> Iterator[Callable[[str], BrowserContext]]:
    """The browser profile of a person who is signed in."""
    contexts: dict[str, BrowserContext] = {}

    def context_of(name: str) -> BrowserContext:
        if name not in contexts:
            contexts[name] = new_context(chromium, running_site, name)
        return contexts[name]

    yield context_of
    for context in contexts.values():
        context.close()


def new_context(
    browser: Browser, site: Site, name: str | None, **options: object
) -> BrowserContext:
    """A fresh browser profile; with a name, that person is signed in."""
    chosen: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, **options}
    context = browser.new_context(**chosen)
    context.set_default_timeout(PATIENCE_MS)
    if name is not None:
        secret = site.secrets[name]
        context.add_cookies(
            [{"name": "signoff_session", "value": secret, "url": site.url}]
        )
    return context


@pytest.fixture
def page_of(
    signed_in: Callable[[str], BrowserContext], site: Site
) -> Iterator[Callable[..., Page]]:
    """Open the inbox as somebody; nothing may go wrong or leave the site meanwhile."""
    pages: list[Page] = []
    troubles: list[str] = []

    def open_page(name: str = "mira", path: str = "/", *, live: bool = True) -> Page:
        page = signed_in(name).new_page()
        watch(page, site.url, troubles)
        if not live:
            page.route("**/api/v1/events", lambda route: route.abort())
        page.goto(site.url + path)
        page.locator(".list").wait_for()
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert troubles == []


def watch(page: Page, origin: str, troubles: list[str]) -> None:
    """Collect script errors, and every request that leaves the site."""
    own = (origin, "blob:", "data:")
    page.on("pageerror", lambda error: troubles.append(f"script: {error}"))
    page.on(
        "request",
        lambda r: None if r.url.startswith(own) else troubles.append(f"out: {r.url}"),
    )


def settled(site: Site, request: Request, status: str) -> Request:
    """The request once it has that status."""
    wait_until(lambda: site.status(request) == status, f"{request.tool} is {status}")
    return site.so.get(request.id)


def exact(value: object) -> str:
    """JSON text, in which 1 and 1.0 differ, as they do not for `==`."""
    return json.dumps(value, sort_keys=True)
