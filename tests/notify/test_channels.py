"""What every channel does, on real servers: the contract, then each one's own."""

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from signoff.domain.errors import DeliveryFailed, DeliveryRefused
from signoff.domain.notices import Message, Notice
from signoff.notify import Mail, Smtp, Webhook, redact
from signoff.notify.webhook import is_public
from signoff.ports import Channel
from tests.notify.conftest import hook_to, mail_to
from tests.notify.hosts import (
    OLD_SECRET,
    PASSWORD,
    SECRET,
    USER,
    MailHost,
    WebHost,
    authority,
)
from tests.storage.making import request

HOSTILE = (
    "\u202egnp.exe <b>Verified</b> <img src='https://evil.example/beacon.png'>"
    "\r\nBcc: eve@example.com\n[click](https://evil.example) \x1b[31m"
)


def message(kind: str = "asked", recipient: str = "bob", **changes: Any) -> Message:  # noqa: ANN401 - fields of the request
    """A message about a request that has secrets in it."""
    args = {"amount": 10, "to": "ACC", "password": "hunter2", "text": "hello"}
    asked = replace(request(), **{"args": args, **changes})
    notice = Notice(kind=kind, request_id=asked.id, revision=1, by="ann")
    shown, notice, redacted = redact(asked, notice)
    return Message(
        id="dlv_1",
        recipient=recipient,
        notice=notice,
        at=1_700_000_000_000_000,
        request=shown,
        redacted=redacted,
        link=f"https://signoff.example.com/?request={asked.id}",
    )


@dataclass
class Wire:
    """A channel to a host, and what arrived there as text."""

    channel: Channel
    up: Callable[[], AbstractContextManager[None]]
    refuse: Callable[[], None]
    stumble: Callable[[], None]
    arrived: Callable[[], list[str]]


def plain(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def html(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


@pytest.fixture(params=["email", "webhook"])
def wire(
    request: pytest.FixtureRequest, mail_host: MailHost, web_host: WebHost
) -> Iterator[Wire]:
    if request.param == "email":
        yield Wire(
            mail_to(mail_host),
            mail_host.up,
            lambda: mail_host.answers.append("554 5.7.1 refused"),
            lambda: mail_host.answers.append("451 4.3.0 later"),
            lambda: [plain(mail) for _, mail in mail_host.mails],
        )
    else:
        yield Wire(
            hook_to(web_host),
            web_host.up,
            lambda: web_host.answers.append(410),
            lambda: web_host.answers.append(503),
            lambda: [
                post.body.decode() for post in web_host.posts[-len(web_host.got) :]
            ],
        )


def test_it_sends_and_says_what_the_message_is_called(wire: Wire) -> None:
    with wire.up():
        first, second = (wire.channel.send(message()) for _ in range(2))
    assert first == second  # the same delivery, so that it can be told
    assert "dlv_1" in first
    assert len(wire.arrived()) == 2


def test_it_says_what_is_asked_and_where(wire: Wire) -> None:
    with wire.up():
        wire.channel.send(message())
    (text,) = wire.arrived()
    for said in ("tool-1", "ACC", message().link):
        assert said in text


@pytest.mark.row("I14")
def test_no_secret_leaves_and_it_says_so(wire: Wire) -> None:
    with wire.up():
        wire.channel.send(message())
    (text,) = wire.arrived()
    assert "hunter2" not in text
    assert "args.password" in text


def test_a_host_that_is_down_fails_for_now(wire: Wire) -> None:
    with pytest.raises(DeliveryFailed):
        wire.channel.send(message())


def test_a_host_that_stumbles_fails_for_now(wire: Wire) -> None:
    wire.stumble()
    with wire.up():
        with pytest.raises(DeliveryFailed):
            wire.channel.send(message())
        wire.channel.send(message())
    assert len(wire.arrived()) == 1


def test_a_host_that_refuses_refuses_for_ever(wire: Wire) -> None:
    wire.refuse()
    with wire.up(), pytest.raises(DeliveryRefused):
        wire.channel.send(message())


@pytest.mark.row("I14", "B16")
def test_hostile_text_arrives(wire: Wire) -> None:
    with wire.up():
        wire.channel.send(message(tool=HOSTILE, args={HOSTILE: HOSTILE}))
    assert len(wire.arrived()) == 1


# E-mail.


@pytest.mark.row("I14", "B16")
def test_agent_text_is_data_in_a_mail(mail_host: MailHost) -> None:
    args, said = {HOSTILE: HOSTILE}, {"reason": HOSTILE}
    proposed = {"tool": HOSTILE, "args": args}
    sent = message(
        "rejected", tool=HOSTILE, args=args, agent=HOSTILE, proposed=proposed
    )
    sent = replace(sent, notice=replace(sent.notice, said=said, by=HOSTILE))
    with mail_host.up():
        mail_to(mail_host).send(sent)
    ((to, mail),) = mail_host.mails
    assert to == mail["To"] == "bob@example.com"
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]
    assert "<img" not in html(mail)
    assert "<b>" not in html(mail)
    assert html(mail).count("<a ") == 1
    for text in (mail["Subject"], plain(mail), html(mail)):
        assert "[U+202E]" in text
        assert not set("\u202e\x1b") & set(text)
    for line in plain(mail).splitlines():
        assert not line.startswith(("Bcc", "[click]"))
    assert "hidden characters are shown" in plain(mail)


def test_mails_are_threaded_by_request(mail_host: MailHost) -> None:
    channel = mail_to(mail_host)
    with mail_host.up():
        first = channel.send(message())
        answer = replace(message("approved"), id="dlv_2", earlier=(first,))
        channel.send(answer)
    (_, asked), (_, approved) = mail_host.mails
    assert asked["Message-ID"] == first == "<dlv_1@example.com>"
    assert asked["In-Reply-To"] is None
    assert approved["In-Reply-To"] == approved["References"] == first
    assert approved["Subject"] == f"Re: {asked['Subject']}"
    assert {asked["Auto-Submitted"], approved["Auto-Submitted"]} == {"auto-generated"}
    assert "Approved by ann." in plain(approved)
    assert "Approved by ann." in html(approved)


def test_a_wrong_password_is_tried_again(mail_host: MailHost) -> None:
    smtp = Smtp(
        host="127.0.0.1",
        port=mail_host.port,
        tls="none",
        username=USER,
        password="wrong",
    )
    channel = Mail("mail", smtp, sender="a@example.com", addresses={})
    with mail_host.up(), pytest.raises(DeliveryFailed, match=r"(?i)auth"):
        channel.send(message(recipient="bob@example.com"))
    assert mail_host.logins
    assert not any(mail_host.logins)


def test_no_connection_is_left_open(mail_host: MailHost, tmp_path: Path) -> None:
    trusted, context = authority(tmp_path)
    smtp = Smtp(
        host="localhost",
        port=mail_host.port,
        username=USER,
        password=PASSWORD,
        ca_file=str(trusted),
    )
    channel = Mail("mail", smtp, sender="a@example.com", addresses={})
    with mail_host.up(tls=context), warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(40):  # one in ten, while nobody waited for them
            channel.send(message(recipient="bob@example.com"))
        gc.collect()
    assert [str(one.message) for one in left if "unclosed" in str(one.message)] == []


def test_starttls_is_insisted_on(mail_host: MailHost, tmp_path: Path) -> None:
    trusted, context = authority(tmp_path)

    def over(ca_file: str | None) -> Mail:
        smtp = Smtp(
            host="localhost",
            port=mail_host.port,
            username=USER,
            password=PASSWORD,
            ca_file=ca_file,
        )
        return Mail("mail", smtp, sender="a@example.com", addresses={})

    to_bob = message(recipient="bob@example.com")
    with mail_host.up(tls=context):
        over(str(trusted)).send(to_bob)
        with pytest.raises(DeliveryFailed, match=r"(?i)certificate"):
            over(None).send(to_bob)
    with mail_host.up(), pytest.raises(DeliveryFailed, match=r"(?i)starttls"):
        over(str(trusted)).send(to_bob)
    assert len(mail_host.mails) == 1


# Webhooks.


@pytest.mark.row("D4")
def test_the_request_is_in_the_signed_body(web_host: WebHost) -> None:
    with web_host.up():
        hook_to(web_host).send(message())
    ((delivery, document),) = web_host.got
    assert delivery == "dlv_1"
    assert document["type"] == "request.asked"
    asked = document["data"]["request"]
    assert asked["id"] == request().id
    assert asked["args"] == {
        "amount": 10,
        "to": "ACC",
        "password": "[redacted]",
        "text": "hello",
    }
    assert asked["digest"] == request().digest
    (post,) = web_host.posts
    tampered = post.body.replace(b"ACC", b"EVE")
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(tampered, dict(post.headers))


def test_secrets_are_replaced_without_a_gap(web_host: WebHost) -> None:
    both = Webhook(
        "hook", web_host.url, secrets=[SECRET, OLD_SECRET], allow_private=True
    )
    with web_host.up():
        for known in (OLD_SECRET, SECRET):
            web_host.secret = known
            both.send(message())
    assert len(web_host.got) == 2


def test_redirects_are_not_followed(web_host: WebHost) -> None:
    web_host.answers, web_host.headers = [307], {"Location": "/elsewhere"}
    with web_host.up(), pytest.raises(DeliveryFailed, match="redirects"):
        hook_to(web_host).send(message())
    assert [post.path for post in web_host.posts] == ["/hook"]


def test_it_waits_as_long_as_it_is_asked_to(web_host: WebHost) -> None:
    web_host.answers, web_host.headers = [429], {"Retry-After": "120"}
    with web_host.up(), pytest.raises(DeliveryFailed) as failed:
        hook_to(web_host).send(message())
    assert failed.value.after == 120


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])  # noqa: S104 - where it must not go
def test_private_networks_are_refused(web_host: WebHost, host: str) -> None:
    url = f"http://{host}:{web_host.port}/hook"
    with web_host.up(), pytest.raises(DeliveryRefused, match="allow_private = true"):
        Webhook("hook", url, secrets=[SECRET]).send(message())
    assert web_host.posts == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
    ],
)
def test_which_addresses_are_public(address: str, *, public: bool) -> None:
    assert is_public(address) is public


def test_https_checks_the_name(web_host: WebHost, tmp_path: Path) -> None:
    trusted, context = authority(tmp_path)

    def to(host: str, ca_file: str | None) -> Webhook:
        return Webhook(
            "hook",
            f"https://{host}:{web_host.port}/hook",
            secrets=[SECRET],
            allow_private=True,
            ca_file=ca_file,
        )

    with web_host.up(tls=context):
        to("localhost", str(trusted)).send(message())
        for wrong in (to("localhost", None), to("127.0.0.1", str(trusted))):
            with pytest.raises(DeliveryFailed, match=r"(?i)certificate"):
                wrong.send(message())
    (post,) = web_host.posts
    assert post.headers["Host"] == f"localhost:{web_host.port}"
