"""A real mail server and a real web server, which do as a test says."""

import gc
import ssl
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from standardwebhooks import Webhook as Verifier

from tests.support import free_port

USER, PASSWORD = "signoff", "correct horse"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def _forget_refused() -> None:
    # aiosmtpd leaves the transport of a handshake open that the client refused; its
    # warning would come at any time, in any test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@dataclass
class MailHost:
    """An SMTP server with authentication on 127.0.0.1, up only while a test says so.

    Attributes:
        answers: What it says to DATA or RCPT next, first one first; then `250 OK`.
    """

    port: int = field(default_factory=free_port)
    answers: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    mails: list[tuple[str, EmailMessage]] = field(default_factory=list)
    logins: list[bool] = field(default_factory=list)

    @contextmanager
    def up(self, tls: ssl.SSLContext | None = None) -> Iterator[None]:
        """Listen meanwhile; with `tls`, STARTTLS is offered and needed."""
        controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self._authenticate,
            auth_require_tls=tls is not None,
            tls_context=tls,
            require_starttls=tls is not None,
        )
        controller.start()
        try:
            yield
        finally:
            controller.stop()
            if tls is not None:
                _forget_refused()

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append((envelope.rcpt_tos[0], mail))
        return "250 OK"

    def _authenticate(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        mechanism: str,
        data: Any,  # noqa: ANN401 - aiosmtpd's own
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and data == LoginPassword(
            USER.encode(), PASSWORD.encode()
        )
        self.logins.append(right)
        # Not handled: else aiosmtpd sends no answer, and the client waits in vain.
        return AuthResult(success=right, handled=False)

    def to(self, address: str) -> list[EmailMessage]:
        """What somebody got, oldest first."""
        return [mail for to, mail in self.mails if to == address]


@dataclass(frozen=True)
class Post:
    """A request that the web server got."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class WebHost:
    """An HTTP server on 127.0.0.1 that checks signatures, as a receiver does.

    Attributes:
        answers: The statuses of its next answers; then 204.
        headers: Sent with every answer that isn't 204.
        got: The verified documents, each delivery once or more.
        gate: If set, requests are held until it opens.
    """

    port: int = field(default_factory=free_port)
    secret: str = SECRET
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    gate: Event | None = None
    posts: list[Post] = field(default_factory=list)
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @contextmanager
    def up(self, tls: ssl.SSLContext | None = None) -> Iterator[None]:
        """Listen meanwhile."""
        server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                post = Post(self.path, dict(self.headers), self.rfile.read(length))
                status = host.take(post)
                self.send_response(status)
                for name, value in host.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                pass

        return Handler

    def take(self, post: Post) -> int:
        """Check a request as a receiver does; the status to answer."""
        self.posts.append(post)
        if self.gate is not None:
            self.gate.wait(60)
        with self._lock:
            if self.answers:
                return self.answers.pop(0)
            document = Verifier(self.secret).verify(post.body, dict(post.headers))
            headers = {name.lower(): value for name, value in post.headers.items()}
            self.got.append((headers["webhook-id"], document))
            return 204


def authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost, and a server that shows it."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    names = [x509.DNSName("localhost")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "host.pem", folder / "host.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context
