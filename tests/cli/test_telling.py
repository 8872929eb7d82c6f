"""Telling people: serve delivers; deliveries shows what is dead, and sends it again."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from signoff import Signoff
from signoff.domain.notices import DeliveryState
from tests.cli.shop import POLICY, Shop, environment, signoff
from tests.forked import forked
from tests.notify.conftest import mail_to, outlets
from tests.notify.hosts import PASSWORD, SECRET, MailHost, WebHost
from tests.support import wait_until

pytestmark = pytest.mark.slow  # each command is a process of its own


@pytest.fixture
def mail_host() -> MailHost:
    return MailHost()


@pytest.fixture
def web_host() -> WebHost:
    return WebHost()


def policy_file(folder: Path, mail: MailHost, web: WebHost) -> Path:
    file = folder / "signoff.toml"
    file.write_text(f"""
base_url = "https://signoff.example.com"

[people]
finance = "finance@example.com"

[channels.mail]
type = "email"
host = "127.0.0.1"
port = {mail.port}
tls = "none"
from = "signoff@example.com"
username = "signoff"
password_env = "MAIL_PASSWORD"

[channels.hook]
type = "webhook"
url = "{web.url}"
secret_env = "HOOK_SECRET"
allow_private = true
""")
    return file


SECRETS = {"MAIL_PASSWORD": PASSWORD, "HOOK_SECRET": SECRET}


@contextmanager
def serving(shop: Shop, file: Path) -> Iterator[subprocess.Popen[str]]:
    """`signoff serve` as people run it."""
    command = ["signoff", "serve", "--port", "0", "--no-inbox", "--policy", str(file)]
    env = environment({"SIGNOFF_STORE": shop.address, **SECRETS})
    pipe = subprocess.PIPE
    with forked(*command, env=env, stdout=pipe, stderr=pipe) as running:
        try:
            assert running.stdout is not None
            assert "Serving at" in running.stdout.readline()
            yield running
        finally:
            running.terminate()
            running.wait(30)


@pytest.mark.row("I12", "D3")
def test_serve_tells_people_and_goes_on_where_it_was_killed(
    database_url: str, tmp_path: Path, mail_host: MailHost, web_host: WebHost
) -> None:
    so = Signoff(database_url, policy=POLICY)
    shop = Shop(so, database_url)
    file = policy_file(tmp_path, mail_host, web_host)
    first = shop.ask("pay_big")
    with serving(shop, file) as running, web_host.up():
        wait_until(lambda: web_host.got, "the webhook hears", 30)
        running.send_signal(signal.SIGKILL)
    second = shop.ask("pay_big")
    with serving(shop, file), web_host.up(), mail_host.up():
        shop.so.cancel(
            second.id,
            by=shop.so.authenticate(shop.person("sam", "finance"), channel="cli"),
            reason="not needed",
        )
        wait_until(lambda: len(web_host.got) == 3, "it hears the rest", 30)
    so.close()
    asked = [document["data"]["request"]["id"] for _, document in web_host.got]
    assert asked == [first.id, second.id, second.id]
    assert web_host.got[0][1]["data"]["link"] == (
        f"https://signoff.example.com/?request={first.id}"
    )


def test_deliveries_are_listed_and_sent_again(
    shop: Shop, tmp_path: Path, mail_host: MailHost, web_host: WebHost
) -> None:
    assert "Nobody was told" in shop.run("deliveries").err
    request = shop.ask("pay_big")
    shop.so.deliver_due(outlets(mail_to(mail_host)))
    listed = shop.run("deliveries", "--dead")
    assert listed.code == 0
    assert "[people]" in " ".join(listed.out.split())
    (dead,) = shop.run("deliveries", "--dead", "--json").json["deliveries"]
    assert (dead["request_id"], dead["state"]) == (request.id, "dead")
    assert shop.run("deliveries", "--json").json["deliveries"] == [dead]
    shop.run("deliveries", "retry").failed(2, "--all-dead")
    shop.run("deliveries", "retry", "dlv_none").failed(3, "dlv_none")
    assert shop.run("deliveries", "retry", dead["id"]).code == 0
    shop.run("deliveries", "retry", dead["id"]).failed(5, "is queued")
    shop.so.deliver_due(outlets(mail_to(mail_host)))
    again = shop.run("deliveries", "retry", "--all-dead")
    assert (again.code, again.out) == (0, "queued again: 1\n")
    with mail_host.up():
        shop.so.create_token("ann@example.com", groups=["finance"])
        shop.so.deliver_due(outlets(mail_to(mail_host, "ops@example.com")))
    assert [one.state for one in shop.so.deliveries()] == [DeliveryState.DEAD]


def test_a_channel_is_tried(
    tmp_path: Path, mail_host: MailHost, web_host: WebHost
) -> None:
    file = policy_file(tmp_path, mail_host, web_host)
    command = ("notify", "test", "mail", "--policy", str(file))
    with mail_host.up(), web_host.up():
        sent = signoff(*command, "--to", "finance", env=SECRETS)
        assert sent.code == 0, sent.err
        assert re.fullmatch(r"sent to finance: <dlv_test\d+@example.com>\n", sent.out)
        hook = signoff(
            "notify", "test", "hook", env={**SECRETS, "SIGNOFF_POLICY": str(file)}
        )
        assert hook.code == 0, hook.err
    ((to, mail),) = mail_host.mails
    assert to == "finance@example.com"
    assert "test_message" in mail["Subject"]
    assert web_host.got[0][1]["type"] == "request.test"
    signoff(*command, "--to", "finance", env=SECRETS).failed(6, "tried again")
    signoff(*command, env=SECRETS).failed(2, "--to")
    signoff(*command, "--to", "finance").failed(
        1, "no MAIL_PASSWORD", "signoff.toml:14"
    )
    signoff("notify", "test", "maill", "--policy", str(file), env=SECRETS).failed(
        2, "maill", "mail, hook"
    )
    signoff("notify", "test", "mail").failed(2, "--policy")
