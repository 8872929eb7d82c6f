"""A worker tells people too, and lets no notice pile up where there are no channels."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import Executable, select

from signoff import Reject
from signoff.storage import tables as t
from signoff.storage.engine import make_engine
from tests.durable.conftest import Shop, StartWorker
from tests.langgraph.agents import MARIA
from tests.notify.hosts import PASSWORD, MailHost
from tests.support import wait_until

SLOW_S = 30


def policy_file(folder: Path, mail: MailHost, first: str) -> Path:
    """A file with a mail channel, after a first line."""
    file = folder / "signoff.toml"
    file.write_text(f"""{first}
[channels.mail]
type = "email"
host = "127.0.0.1"
port = {mail.port}
tls = "none"
from = "signoff@example.com"
to = ["ops@example.com"]
username = "signoff"
password_env = "MAIL_PASSWORD"
""")
    return file


def _on(shop: Shop, statement: Executable) -> list[str]:
    engine = make_engine(shop.url)
    with engine.begin() as connection:
        done = connection.execute(statement)
        found = sorted(done.scalars()) if done.returns_rows else []
    engine.dispose()
    return found


def _told(shop: Shop) -> list[str]:
    """The requests of the notices that are kept."""
    return _on(shop, select(t.notices.c.request_id))


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


@pytest.mark.slow
@pytest.mark.row("I12", "D3")
def test_a_worker_tells_people(
    shop: Shop, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = MailHost()
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    file = policy_file(shop.folder, mail, 'base_url = "https://signoff.example.com"')
    with mail.up():
        worker = start_worker("--policy", str(file)).ready()
        assert "Telling people over: mail." in worker.said
        request = shop.ask()
        wait_until(lambda: mail.mails, "they are asked", SLOW_S)
        shop.approve(request)
        wait_until(lambda: shop.finished("t1"), "the thread goes on", SLOW_S)
        wait_until(lambda: len(mail.mails) == 2, "they hear the end", SLOW_S)
    asked, decided = mail.to("ops@example.com")
    assert f"https://signoff.example.com/?request={request.id}" in _text(asked)
    assert "Approved by maria@example.com." in _text(decided)
    assert decided["In-Reply-To"] == asked["Message-ID"]


@pytest.mark.slow
def test_a_worker_must_know_where_the_inbox_is(
    shop: Shop, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    file = policy_file(shop.folder, MailHost(), "")
    worker = start_worker("--policy", str(file))
    assert worker.end() == 2
    assert "base_url" in worker.said


@pytest.mark.slow
def test_a_worker_without_channels_removes_what_nobody_takes(
    shop: Shop, start_worker: StartWorker
) -> None:
    settled, waits = shop.ask("t1"), shop.ask("t2")
    shop.so.decide(settled.id, Reject(reason="no"), by=MARIA, digest=settled.digest)
    _on(shop, t.notices.update().values(at=1))
    assert _told(shop) == sorted([settled.id, settled.id, waits.id])
    start_worker().ready()
    wait_until(lambda: _told(shop) == [waits.id], "they are removed", SLOW_S)
