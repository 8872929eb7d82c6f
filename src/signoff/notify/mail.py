"""Tells people by e-mail: text and HTML, threaded by request."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import policy
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final, Literal

import aiosmtplib
import anyio
from jinja2 import Environment, PackageLoader, StrictUndefined

from signoff.clock import as_datetime, wall_us
from signoff.domain.errors import DeliveryFailed, DeliveryRefused
from signoff.domain.notices import Message
from signoff.notify.wording import letter, one_line

ATTEMPTS: Final = 12
TIMEOUT_S: Final = 60
GOODBYE_S: Final = 1
LOOK_S: Final = 0.005
CLOSED: Final = -1
_PERMANENT: Final = 500
_ABOUT_THE_MAIL: Final = (
    aiosmtplib.SMTPDataError,
    aiosmtplib.SMTPRecipientRefused,
    aiosmtplib.SMTPRecipientsRefused,
    aiosmtplib.SMTPSenderRefused,
)
Tls = Literal["starttls", "implicit", "none"]
_LOADER: Final = PackageLoader("signoff.notify")
_HTML: Final = Environment(
    loader=_LOADER, autoescape=True, undefined=StrictUndefined
).get_template("mail.html.jinja")
_TEXT: Final = Environment(
    loader=_LOADER,
    autoescape=False,  # noqa: S701 - it makes plain text, which has no markup
    undefined=StrictUndefined,
).get_template("mail.txt.jinja")


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """A mail server, and how to speak to it.

    Attributes:
        tls: `starttls` insists on it, `implicit` is TLS from the first byte, `none` is
            for a server on this machine.
        ca_file: Whom to trust instead of the system's authorities.
    """

    host: str
    port: int
    tls: Tls = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None


class Mail:
    """The channel `email`.

    Args:
        sender: Whom the messages are from, such as `signoff@example.com`.
        addresses: A person's or a group's address, where the name isn't one.
        to: Who is told where no rule names anybody.
    """

    hears_all = False

    def __init__(
        self,
        name: str,
        smtp: Smtp,
        *,
        sender: str,
        addresses: Mapping[str, str],
        to: Sequence[str] = (),
        attempts: int = ATTEMPTS,
    ) -> None:
        self.name, self.attempts = name, attempts
        self._smtp, self._sender = smtp, read_address(sender)
        self._addresses, self._to = dict(addresses), tuple(to)

    def recipients(self, names: Sequence[str] | None) -> Sequence[str]:
        """Those with an address; else the default; else all, to fail where it shows."""
        if names is None:
            return self._to
        reachable = [name for name in names if self._address(name) is not None]
        return reachable or self._to or names

    def send(self, message: Message) -> str:
        address = self._address(message.recipient)
        if address is None:
            who = one_line(message.recipient)
            cure = f"{who!r} has no address; give it one in [people]"
            raise DeliveryRefused(self.name, cure)
        mail = compose(message, sender=self._sender, to=address)
        anyio.run(self._send, mail)
        return str(mail["Message-ID"])

    async def _send(self, mail: EmailMessage) -> None:
        try:
            with anyio.fail_after(TIMEOUT_S):
                await self._hand_over(mail)
        except aiosmtplib.SMTPException as error:
            raise self._failure(error) from error
        except OSError as error:
            raise DeliveryFailed(self.name, _reason(error)) from error

    async def _hand_over(self, mail: EmailMessage) -> None:
        smtp = self._smtp
        context = None
        if smtp.tls != "none":
            context = ssl.create_default_context(cafile=smtp.ca_file)
        server = aiosmtplib.SMTP(
            hostname=smtp.host,
            port=smtp.port,
            use_tls=smtp.tls == "implicit",
            start_tls=smtp.tls == "starttls",
            tls_context=context,
            username=smtp.username,
            password=smtp.password,
            timeout=TIMEOUT_S / 3,
        )
        async with server:
            socket = server.get_transport_info("socket")
            await server.send_message(mail)
        # TLS says goodbye after that, and the event loop ends with this function.
        with anyio.move_on_after(GOODBYE_S):
            while socket.fileno() != CLOSED:  # noqa: ASYNC110 - nothing rings
                await anyio.sleep(LOOK_S)

    def _failure(self, error: aiosmtplib.SMTPException) -> Exception:
        # A refused password or greeting is the operator's to mend; the mail is fine.
        if isinstance(error, _ABOUT_THE_MAIL) and _code(error) >= _PERMANENT:
            return DeliveryRefused(self.name, _reason(error))
        return DeliveryFailed(self.name, _reason(error))

    def _address(self, name: str) -> Address | None:
        written = self._addresses.get(name, name)
        try:
            return read_address(written)
        except ValueError:
            return None


def read_address(text: str) -> Address:
    """An address such as `ann@example.com`.

    Raises:
        ValueError: If it isn't one.
    """
    wrong = ValueError(f"{text!r} is no e-mail address")
    try:
        address = Address(addr_spec=text)
    except (HeaderParseError, IndexError, ValueError) as error:
        raise wrong from error
    if address.username == "" or address.domain == "" or not text.isprintable():
        raise wrong
    return address


def compose(message: Message, *, sender: Address, to: Address) -> EmailMessage:
    """The mail for a message; the same message is the same mail, by its id."""
    says = letter(message)
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = Address("signoff", addr_spec=sender.addr_spec)
    mail["To"] = to
    mail["Subject"] = says.subject if message.earlier == () else f"Re: {says.subject}"
    mail["Date"] = format_datetime(as_datetime(wall_us()))
    mail["Message-ID"] = f"<{message.id}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if message.earlier != ():
        mail["In-Reply-To"] = message.earlier[-1]
        mail["References"] = " ".join(message.earlier)
    mail.set_content(_TEXT.render(letter=says))
    mail.add_alternative(_HTML.render(letter=says), subtype="html")
    return mail


def _code(error: aiosmtplib.SMTPException) -> int:
    """The server's code; 0 if there was no answer at all."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return min((_code(one) for one in error.recipients), default=0)
    found: Any = getattr(error, "code", 0)
    return int(found)


def _reason(error: Exception) -> str:
    text = one_line(str(error)).strip().rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
