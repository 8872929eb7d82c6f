"""A Signoff on both databases, and hosts that listen for what it tells."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from signoff import Policy, Rule, Signoff
from signoff.notify import Mail, Smtp, Webhook, redact
from signoff.ports import Channel, Outlets
from signoff.testing import MovableClock
from tests.notify.hosts import PASSWORD, SECRET, USER, MailHost, WebHost
from tests.service.conftest import Opener

ADDRESSES = {"bob": "bob@example.com", "cfo": "cfo@example.com"}


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def open_signoff(database_url: str, clock: MovableClock) -> Iterator[Opener]:
    """Opens a Signoff on this test's database, with the rules that the test gives."""
    with ExitStack() as opened:

        def opener(*rules: Rule) -> Signoff:
            policy = Policy(rules) if rules else None
            so = Signoff(database_url, policy=policy, clock=clock)
            opened.callback(so.close)
            return so

        yield opener


@pytest.fixture
def mail_host() -> MailHost:
    return MailHost()


@pytest.fixture
def web_host() -> WebHost:
    return WebHost()


def mail_to(host: MailHost, *to: str, attempts: int = 12) -> Mail:
    """The e-mail channel to a test's host; `to` is its default."""
    smtp = Smtp(
        host="127.0.0.1",
        port=host.port,
        tls="none",
        username=USER,
        password=PASSWORD,
    )
    return Mail(
        "mail",
        smtp,
        sender="signoff@example.com",
        addresses=ADDRESSES,
        to=to,
        attempts=attempts,
    )


def hook_to(host: WebHost, name: str = "hook", attempts: int = 12) -> Webhook:
    """The webhook channel to a test's host."""
    return Webhook(
        name, host.url, secrets=[SECRET], allow_private=True, attempts=attempts
    )


def outlets(*channels: Channel) -> Outlets:
    """Channels as a deliverer has them."""
    return Outlets(
        channels=channels, redact=redact, base_url="https://signoff.example.com/"
    )
