"""A mail server on loopback that really receives mail, one .eml file each."""

from __future__ import annotations

import asyncio
import email
import email.policy
import smtplib
import socket
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

LOOPBACK: Final = "127.0.0.1"
SENDER: Final = "books@example.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail that arrived; `file` is where it lies, not part of what was sent."""

    file: str = field(compare=False)
    to: tuple[str, ...]
    subject: str
    body: str


class MailServer:
    """An SMTP server on a free port of 127.0.0.1, in a thread of its own.

    Args:
        folder: Where arriving mail is written, `0001.eml` first.

    Attributes:
        port: Where it listens; 0 while it doesn't.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listen meanwhile; `port` is known inside."""
        controller = _Controller(_Inbox(self._folder))
        controller.start()
        self.port = controller.port
        try:
            yield
        finally:
            controller.stop()

    def send(self, to: Sequence[str], subject: str, body: str) -> None:
        """Send a mail through this server."""
        message = EmailMessage()
        message["From"] = SENDER
        message["To"] = ", ".join(to)
        message["Subject"] = subject
        message.set_content(body)
        with smtplib.SMTP(LOOPBACK, self.port, timeout=10) as smtp:
            smtp.send_message(message)

    def received(self) -> tuple[Mail, ...]:
        """Every mail that arrived, oldest first."""
        return tuple(read_mail(file) for file in sorted(self._folder.glob("*.eml")))


def read_mail(file: Path) -> Mail:
    """Read one .eml file."""
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    part = message.get_body(("plain",))
    addresses = message["To"].addresses
    return Mail(
        file=file.name,
        to=tuple(address.addr_spec for address in addresses),
        subject=str(message["Subject"]),
        body="" if part is None else plain(part.get_content()),
    )


def plain(body: str) -> str:
    """A body as mail keeps it: plain line ends, none at the end."""
    return body.replace("\r\n", "\n").rstrip("\n")


class _Inbox:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: object, _session: object, envelope: Envelope
    ) -> str:
        number = len(list(self._folder.glob("*.eml"))) + 1
        arriving = self._folder / f"{number:04}.part"
        arriving.write_bytes(envelope.original_content or b"")
        arriving.rename(self._folder / f"{number:04}.eml")
        return "250 Message accepted for delivery"


class _Controller(Controller):
    """Listens on a port that the system chooses, so nothing can take it before us."""

    def __init__(self, handler: _Inbox) -> None:
        super().__init__(handler, hostname=LOOPBACK, port=0)

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        listener = socket.create_server((LOOPBACK, 0))
        self.port = listener.getsockname()[1]
        made: Awaitable[asyncio.AbstractServer] = self.loop.create_server(
            self._factory_invoker, sock=listener
        )
        return made
