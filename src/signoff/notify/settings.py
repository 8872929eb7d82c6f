"""The channels in the operator's file, beside its rules.

base_url = "https://signoff.example.com"

[people]
bob = "bob@example.com"
finance = "finance-team@example.com"

[channels.mail]
type = "email"
host = "smtp.example.com"
from = "signoff@example.com"
to = ["ops@example.com"]
username = "signoff"
password_env = "SMTP_PASSWORD"

[channels.hook]
type = "webhook"
url = "https://example.com/hooks/signoff"
secret_env = ["HOOK_SECRET"]
"""

from __future__ import annotations

import base64
import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from signoff.domain.errors import PolicyError
from signoff.notify.mail import Mail, Smtp, Tls, read_address
from signoff.notify.webhook import Webhook
from signoff.ports import Channel

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS: Final[Mapping[str, int]] = {"starttls": 587, "implicit": 465, "none": 25}
_MIN_SECRET_BYTES: Final = 24
_SOME_SECRET: Final = "whsec_" + base64.b64encode(bytes(_MIN_SECRET_BYTES)).decode()
_PLAIN_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"


def _email(text: str) -> str:
    read_address(text)
    return text


class _Table(BaseModel):
    """Exactly these settings, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MailTable(_Table):
    """`[channels.NAME]` with `type = "email"`."""

    type: Literal["email"]
    host: Annotated[str, Field(min_length=1)]
    sender: Annotated[str, Field(alias="from")]
    port: Annotated[int | None, Field(ge=1, le=65_535)] = None
    tls: Tls = "starttls"
    username: str | None = None
    password_env: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    to: tuple[str, ...] = ()
    attempts: Annotated[int, Field(ge=1, le=100)] = 12

    _sender_is_one = field_validator("sender")(_email)

    @field_validator("to", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        return tuple(_email(one) for one in value) if isinstance(value, list) else value


class WebhookTable(_Table):
    """`[channels.NAME]` with `type = "webhook"`."""

    type: Literal["webhook"]
    url: str
    secret_env: str | tuple[str, ...] = ()
    secret_file: str | None = None
    allow_private: bool = False
    ca_file: str | None = None
    attempts: Annotated[int, Field(ge=1, le=100)] = 12

    @field_validator("secret_env", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _web_address(value)


_TABLES: Final[Mapping[str, type[MailTable | WebhookTable]]] = {
    "email": MailTable,
    "webhook": WebhookTable,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the file says about telling people.

    Attributes:
        base_url: Where people reach the inbox; None is wherever it is served.
    """

    channels: tuple[Channel, ...]
    base_url: str | None


def read_settings(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the channels in a file; its rules are `Policy.load`'s.

    Raises:
        PolicyError: With file, line and a suggestion.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = tomllib.loads(text)
    except OSError as error:
        raise PolicyError(
            f"can't be read: {error.strerror}. Check the path.", file=str(path)
        ) from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, or too deep
        raise PolicyError(f"is not TOML: {error}.", file=str(path)) from error
    env = os.environ if environment is None else environment
    return _Reader(path, text, data, env).settings()


class _AnySecret(Mapping[str, str]):
    """An environment that this process doesn't have: every name is a good secret."""

    def __getitem__(self, key: str) -> str:
        return _SOME_SECRET

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def check_settings(path: Path) -> None:
    """Check the channels in a file, also where its secrets' environment isn't.

    Raises:
        PolicyError: With file, line and a suggestion.
    """
    read_settings(path, _AnySecret())


class _Reader:
    def __init__(
        self, path: Path, text: str, data: Mapping[str, Any], env: Mapping[str, str]
    ) -> None:
        self.path, self.data, self.env = path, data, env
        self.lines = text.splitlines()

    def settings(self) -> Settings:
        people = self._people()
        channels = [
            self._channel(name, table, people)
            for name, table in self._table("channels").items()
        ]
        return Settings(channels=tuple(channels), base_url=self._base_url())

    def _table(self, name: str) -> Mapping[str, Any]:
        table = self.data.get(name, {})
        if not isinstance(table, dict):
            raise self._error(f"{name} is a table: [{name}].", (name,))
        return table

    def _people(self) -> Mapping[str, str]:
        people = self._table("people")
        for name, address in people.items():
            try:
                _email(address)
            except (ValueError, TypeError):
                problem = f"{name} needs an e-mail address, not {address!r}."
                raise self._error(problem, ("people", name)) from None
        return people

    def _base_url(self) -> str | None:
        found = self.data.get("base_url")
        if found is None:
            return None
        try:
            return _web_address(found)
        except (ValueError, TypeError) as error:
            raise self._error(f"base_url {error}.", ("base_url",)) from None

    def _channel(self, name: str, table: object, people: Mapping[str, str]) -> Channel:
        place = ("channels", name)
        if not re.fullmatch(_PLAIN_NAME, name):
            raise self._error("a channel's name is letters, digits, - and _.", place)
        if not isinstance(table, dict):
            raise self._error(f"a channel is a table: [channels.{name}].", place)
        kind = str(table.get("type"))
        if kind not in _TABLES:
            problem = f"type must be one of {', '.join(_TABLES)}, not {kind!r}."
            raise self._error(problem, (*place, "type"), (kind, list(_TABLES)))
        try:
            read = _TABLES[kind].model_validate(table)
        except ValidationError as error:
            raise self._invalid(error, place, _TABLES[kind]) from None
        if isinstance(read, MailTable):
            return self._mail(name, read, people)
        return self._webhook(name, read)

    def _mail(self, name: str, table: MailTable, people: Mapping[str, str]) -> Mail:
        place = ("channels", name)
        if table.tls == "none" and table.host not in _LOOPBACK:
            problem = 'tls = "none" is for a server on this machine; use "starttls".'
            raise self._error(problem, (*place, "tls"))
        smtp = Smtp(
            host=table.host,
            port=_PORTS[table.tls] if table.port is None else table.port,
            tls=table.tls,
            username=table.username,
            password=self._password(place, table),
            ca_file=self._file(place, "ca_file", table.ca_file),
        )
        return Mail(
            name,
            smtp,
            sender=table.sender,
            addresses=people,
            to=table.to,
            attempts=table.attempts,
        )

    def _password(self, place: tuple[str, ...], table: MailTable) -> str | None:
        given = [table.password_env, table.password_file]
        if table.username is None and given == [None, None]:
            return None
        if table.username is None or given.count(None) != 1:
            problem = "username goes with one of password_env and password_file."
            raise self._error(problem, (*place, "username"))
        if table.password_env is not None:
            return self._env((*place, "password_env"), table.password_env)
        return self._content((*place, "password_file"), table.password_file or "")

    def _webhook(self, name: str, table: WebhookTable) -> Webhook:
        place = ("channels", name)
        names = table.secret_env
        secrets = [
            self._env((*place, "secret_env"), one)
            for one in ((names,) if isinstance(names, str) else names)
        ]
        if table.secret_file is not None:
            found = self._content((*place, "secret_file"), table.secret_file)
            secrets += found.split()
        if secrets == []:
            problem = "a webhook is signed: name its secret_env or secret_file."
            raise self._error(problem, place)
        for secret in secrets:
            self._check_secret(place, secret)
        if not table.allow_private and not table.url.startswith("https://"):
            problem = "url must be https, unless allow_private = true."
            raise self._error(problem, (*place, "url"))
        return Webhook(
            name,
            table.url,
            secrets=secrets,
            allow_private=table.allow_private,
            ca_file=self._file(place, "ca_file", table.ca_file),
            attempts=table.attempts,
        )

    def _check_secret(self, place: tuple[str, ...], secret: str) -> None:
        cure = (
            "a webhook's secret is whsec_ and base64 of 24 bytes or more: "
            'echo "whsec_$(openssl rand -base64 32)".'
        )
        try:
            padded = secret.removeprefix("whsec_") + "=="
            key = base64.b64decode(padded, validate=True)
        except ValueError:
            key = b""
        if not secret.startswith("whsec_") or len(key) < _MIN_SECRET_BYTES:
            raise self._error(cure, place)

    def _env(self, place: tuple[str, ...], name: str) -> str:
        found = self.env.get(name, "")
        if found == "":
            problem = f"the environment has no {name}; set it where signoff runs."
            raise self._error(problem, place)
        return found

    def _content(self, place: tuple[str, ...], name: str) -> str:
        file = self.path.parent / name
        try:
            found = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it isn't text"
            raise self._error(f"{name} can't be read: {why}.", place) from None
        if found == "":
            raise self._error(f"{name} is empty.", place)
        return found

    def _file(self, place: tuple[str, ...], key: str, name: str | None) -> str | None:
        if name is None:
            return None
        file = self.path.parent / name
        if not file.is_file():
            raise self._error(f"there is no file {name}.", (*place, key))
        return str(file)

    def _invalid(
        self, error: ValidationError, place: tuple[str, ...], kind: type[_Table]
    ) -> PolicyError:
        # A setting with a typo is also missing under its right name.
        first = max(error.errors(), key=lambda one: one["type"] == "extra_forbidden")
        key = str(first["loc"][0]) if first["loc"] else "type"
        names = [f.alias or n for n, f in kind.model_fields.items()]
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(names))
            problem = f"{key!r} is no setting here; there are: {known}."
            return self._error(problem, (*place, key), (key, names))
        if first["type"] == "missing":
            return self._error(f"it needs {key}.", place)
        said = first["msg"].removeprefix("Value error, ").rstrip(".")
        return self._error(f"{key}: {said}.", (*place, key))

    def _error(
        self,
        problem: str,
        place: Sequence[str],
        meant: tuple[str, Sequence[str]] | None = None,
    ) -> PolicyError:
        close = [] if meant is None else difflib.get_close_matches(*meant, n=1)
        return PolicyError(
            problem,
            file=str(self.path),
            line=self._line(place),
            suggestion=close[0] if close else None,
        )

    def _line(self, place: Sequence[str]) -> int:
        """The line of the innermost part of a place that is found, from 1."""
        at = 0
        for key in place:
            named = re.compile(
                rf"""\s*(\[[\w\s."'-]*?)?["']?{re.escape(key)}["']?\s*[=.\]].*"""
            )
            found = (
                i for i in range(at, len(self.lines)) if named.match(self.lines[i])
            )
            at = next(found, at)
        return at + 1


def _web_address(text: str) -> str:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise ValueError(f"is no web address: {error}") from error
    if url.scheme not in {"http", "https"} or url.host == "" or url.userinfo != b"":
        raise ValueError("is no web address such as https://signoff.example.com")
    return text
