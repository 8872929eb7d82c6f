"""Tells programs by signed webhooks: https://www.standardwebhooks.com."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from email.utils import parsedate_to_datetime
from typing import Any, Final

import anyio
import httpx2
from standardwebhooks import Webhook as Signer

from signoff.clock import as_datetime, wall_us
from signoff.domain.errors import DeliveryFailed, DeliveryRefused
from signoff.domain.journal import is_entry
from signoff.domain.notices import Message

ATTEMPTS: Final = 12
TIMEOUT_S: Final = 30
_LONGEST_WAIT_S: Final = 24 * 3600
_CONNECT_S: Final = 5
_EMBEDDING_V4: Final = (
    ipaddress.IPv6Network("::/96"),
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64
)


class Webhook:
    """The channel `webhook`: every notice once, as a signed POST.

    Args:
        url: Where to, https unless the receiver is on a private network.
        secrets: `whsec_...` each; the first signs, the others sign too while they are
            being replaced.
        allow_private: Whether the receiver may be on a private network or on this
            machine.
        ca_file: Whom to trust instead of the usual authorities.
    """

    hears_all = True

    def __init__(
        self,
        name: str,
        url: str,
        *,
        secrets: Sequence[str],
        allow_private: bool = False,
        ca_file: str | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._ca_file = ca_file
        self.name, self.attempts = name, attempts
        self._url = httpx2.URL(url)
        self._signers = [Signer(secret) for secret in secrets]
        self._allow_private = allow_private

    def recipients(self, names: Sequence[str] | None) -> Sequence[str]:  # noqa: ARG002 - the port's
        """The receiver, without what may be secret in its address."""
        return (f"{self._url.scheme}://{self._url.netloc.decode('ascii')}",)

    def send(self, message: Message) -> str:
        content = json.dumps(body(message), ensure_ascii=True, allow_nan=False)
        anyio.run(self._send, message.id, content)
        return message.id

    async def _send(self, message_id: str, content: str) -> None:
        try:
            with anyio.fail_after(TIMEOUT_S):
                response = await self._post(message_id, content)
        except (httpx2.HTTPError, OSError) as error:
            reason = str(error).strip().rstrip(".") or type(error).__name__
            raise DeliveryFailed(self.name, reason) from error
        self._check(response)

    async def _post(self, message_id: str, content: str) -> httpx2.Response:
        addresses = await self._resolved()
        async with httpx2.AsyncClient(
            verify=ssl.create_default_context(cafile=self._ca_file),
            follow_redirects=False,
            timeout=httpx2.Timeout(TIMEOUT_S / 2, connect=_CONNECT_S),
            trust_env=False,  # a proxy would resolve the name again
        ) as http:
            for address in addresses[:-1]:
                try:
                    return await self._post_to(http, address, message_id, content)
                except httpx2.ConnectError:
                    continue
            return await self._post_to(http, addresses[-1], message_id, content)

    async def _post_to(
        self, http: httpx2.AsyncClient, address: str, message_id: str, content: str
    ) -> httpx2.Response:
        request = http.build_request(
            "POST",
            # To the address that was checked: a second look-up may say another.
            self._url.copy_with(host=address),
            content=content.encode(),
            headers={
                **self.headers(message_id, content),
                "Host": self._url.netloc.decode("ascii"),
            },
            extensions={"sni_hostname": self._url.host},
        )
        response = await http.send(request, stream=True)
        await response.aclose()  # what it answers isn't needed, however long
        return response

    def headers(self, message_id: str, content: str) -> dict[str, str]:
        """The headers that the receiver checks."""
        at = as_datetime(wall_us())
        signatures = [signer.sign(message_id, at, content) for signer in self._signers]
        return {
            "Content-Type": "application/json",
            "User-Agent": "signoff",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }

    async def _resolved(self) -> Sequence[str]:
        found = await anyio.getaddrinfo(
            self._url.host, self._url.port, type=socket.SOCK_STREAM
        )
        addresses = [str(place[0]) for *_, place in found]
        if not self._allow_private and not all(map(is_public, addresses)):
            raise DeliveryRefused(
                self.name,
                f"{self._url.host} is on a private network; if that is meant, set "
                "allow_private = true",
            )
        return list(dict.fromkeys(addresses))

    def _check(self, response: httpx2.Response) -> None:
        status = response.status_code
        if response.is_success:
            return
        said = f"it answered {status}"
        if status == httpx2.codes.GONE:
            raise DeliveryRefused(self.name, said)
        if response.is_redirect:
            said += ", and redirects aren't followed; correct the url"
        raise DeliveryFailed(self.name, said, _retry_after(response.headers))


def body(message: Message) -> dict[str, Any]:
    """What is sent: the notice, and the whole request with its secrets taken out."""
    notice, request = message.notice, message.request
    content = asdict(request)
    del content["schema"]  # the tool's own text, which no reader of a webhook needs
    return {
        "type": f"{'effect' if is_entry(request.id) else 'request'}.{notice.kind}",
        "timestamp": as_datetime(message.at).isoformat(),
        "data": {
            "kind": notice.kind,
            "by": notice.by,
            "said": notice.said,
            "at": message.at,
            "link": message.link,
            "redacted": message.redacted,
            "request": {**content, "edited": request.edited},
        },
    }


def is_public(address: str) -> bool:
    """Whether an address is on the internet: not private, local, or reserved."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is not None:
            return is_public(str(inner))
        if any(found in network for network in _EMBEDDING_V4):
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)))
    return found.is_global and not found.is_multicast


def _retry_after(headers: Mapping[str, str]) -> float | None:
    written = headers.get("Retry-After", "").strip()
    if written.isdecimal():
        seconds = float(written)
    else:
        try:
            until = parsedate_to_datetime(written)
        except ValueError:
            return None
        seconds = until.timestamp() - wall_us() / 1_000_000
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)
