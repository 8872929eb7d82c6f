"""Takes secrets out of what leaves for a channel; the digest stays over the whole.

Found are: values under names that say so, what detect-secrets' named detectors know
(not its entropy guesses, which take prose for secrets), and card numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from detect_secrets.plugins.artifactory import ArtifactoryDetector
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.cloudant import CloudantDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.ibm_cloud_iam import IbmCloudIamDetector
from detect_secrets.plugins.ibm_cos_hmac import IbmCosHmacDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.keyword import KeywordDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.softlayer import SoftlayerDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from signoff.domain.notices import Notice
from signoff.domain.requests import Request

MASK: Final = "[redacted]"
_PLUGINS: Final[tuple[Callable[[], RegexBasedDetector], ...]] = (
    ArtifactoryDetector,
    AWSKeyDetector,
    AzureStorageKeyDetector,
    CloudantDetector,
    DiscordBotTokenDetector,
    GitHubTokenDetector,
    GitLabTokenDetector,
    IbmCloudIamDetector,
    IbmCosHmacDetector,
    JwtTokenDetector,
    MailchimpDetector,
    NpmDetector,
    OpenAIDetector,
    PypiTokenDetector,
    SendGridDetector,
    SlackDetector,
    SoftlayerDetector,
    SquareOAuthDetector,
    StripeDetector,
    TelegramBotTokenDetector,
    TwilioKeyDetector,
)
_DETECTORS: Final = tuple(make() for make in _PLUGINS)
_WITH_CONTEXT: Final = (BasicAuthDetector(), KeywordDetector())
_REST: Final = re.compile(r"[\w.+/=-]*")
_PRIVATE_KEY: Final = PrivateKeyDetector()
_OWN: Final = (
    # signoff's own tokens, webhook secrets, and what an Authorization header holds.
    re.compile(r"sgn_[0-9a-f]{8}_[A-Za-z0-9_-]{43}"),
    re.compile(r"whsec_[A-Za-z0-9+/=]{16,}"),
    re.compile(
        r"(?i)(?:password|passwd|pwd|secret|token|api[_-]?key)\w*\s*[=:]\s*"
        r"([^\s,;\"'&]{4,})"
    ),
    re.compile(r"(?i)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/-]{8,}=*)"),
)
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+|\d+")
_SECRET_WORDS: Final = frozenset(
    [
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "cvc",
        "cvv",
        "passcode",
        "passphrase",
        "passwd",
        "password",
        "passwords",
        "pin",
        "pwd",
        "secret",
        "secrets",
        "token",
    ]
)
_SECRET_ENDS: Final = ("accesskey", "apikey", "authkey", "cardnumber", "privatekey")
_CARD: Final = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)")
_CARD_STARTS: Final = re.compile(r"3[0-9]|4|5[0-9]|6|2[2-7]")


@dataclass(slots=True)
class _Redaction:
    """Goes through a value and notes where it took something out."""

    found: dict[str, None] = field(default_factory=dict)

    def value(self, value: object, at: str) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, str):
            return self.text(value, at)
        if isinstance(value, Mapping):
            return {
                self.text(key, at): self._member(key, item, at)
                for key, item in value.items()
            }
        if isinstance(value, Sequence):
            return [self.value(item, f"{at}[{i}]") for i, item in enumerate(value)]
        if isinstance(value, int) and is_card(str(value)):
            return self._mask(at)
        return value

    def text(self, text: str, at: str) -> str:
        if next(iter(_PRIVATE_KEY.analyze_string(text)), None) is not None:
            return self._mask(at)  # what is found is its first line only
        shown = text
        for secret in sorted(set(secrets_in(text)), key=len, reverse=True):
            shown = shown.replace(secret, MASK)
        if shown != text:
            self.found[at] = None
        return shown

    def optional(self, text: str | None, at: str) -> str | None:
        return None if text is None else self.text(text, at)

    def _member(self, key: str, item: object, at: str) -> Any:  # noqa: ANN401 - as above
        place = f"{at}.{self.text(key, at)}"
        if says_secret(key) and item not in (None, True, False, "", [], {}):
            return self._mask(place)
        return self.value(item, place)

    def _mask(self, at: str) -> str:
        self.found[at] = None
        return MASK


def redact(request: Request, notice: Notice) -> tuple[Request, Notice, tuple[str, ...]]:
    """A request and a notice whose texts hold no secret, and where some were.

    Names that decide where a message goes (ids, the thread) stay as they are.
    """
    taken, hidden = _Redaction(), _Redaction()
    shown = replace(
        request,
        tool=taken.text(request.tool, "tool"),
        args=taken.value(request.args, "args"),
        # What was proposed is told by `args` once more, unless it was edited.
        proposed=(taken if request.edited else hidden).value(
            request.proposed, "proposed"
        ),
        description=taken.text(request.description, "description"),
        note=taken.optional(request.note, "note"),
        outcome=hidden.value(request.outcome, "outcome"),
    )
    said = taken.value(notice.said, "said")
    return shown, replace(notice, said=said), tuple(taken.found)


def secrets_in(text: str) -> Iterator[str]:
    """Each secret that a text holds."""
    yield from _known(text)
    for detector in _WITH_CONTEXT:
        yield from (found for found in detector.analyze_string(text) if found)
    for pattern in _OWN:
        for match in pattern.finditer(text):
            yield match[match.lastindex or 0]
    for match in _CARD.finditer(text):
        if is_card(match[0]):
            yield match[0]


def _known(text: str) -> Iterator[str]:
    for detector in _DETECTORS:
        # Not analyze_string: of a pattern with a group it yields that group alone.
        for pattern in detector.denylist:
            for match in pattern.finditer(text):
                yield match[0] + _rest(text, match.end())


def _rest(text: str, end: int) -> str:
    """What follows a match without a break: some patterns stop inside the secret."""
    match = _REST.match(text, end)
    return "" if match is None else match[0]


def says_secret(name: str) -> bool:
    """Whether a name says that its value is a secret: `apiKey`, `db_password`."""
    words = [word.lower() for word in _WORDS.findall(name)]
    joined = "".join(words)
    return not _SECRET_WORDS.isdisjoint(words) or joined.endswith(_SECRET_ENDS)


def is_card(text: str) -> bool:
    """Whether digits are a payment card's number: its length, its start, its Luhn."""
    digits = re.sub(r"[ -]", "", text)
    if not (re.fullmatch(r"\d{13,19}", digits) and _CARD_STARTS.match(digits)):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled  # noqa: PLR2004 - Luhn's own
    return total % 10 == 0
