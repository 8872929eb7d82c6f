"""Undos for tools that call HTTP services.

Their limits are in docs/ready-made-undos.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from string import Formatter
from typing import Any, Final
from urllib.parse import quote

import httpx2

from signoff.domain.errors import CannotCapture, NotApplied
from signoff.domain.undoing import Effect, Undo, compensated
from signoff.undo.showing import shown

MAX_BYTES: Final = 1024 * 1024
REMAINS: Final = "what the service told others meanwhile, and its own log, stay"
_GONE: Final = frozenset({404, 410})
_MOVED_ON: Final = 412


class Http:
    """Undos for tools that create, change and delete resources. Label: compensated.

    A resource that was created is deleted. One that was changed gets back the fields
    that the call changed, and keeps what others changed in the rest. One that was
    deleted is put back where it was, so the service must take a PUT there; one that
    gives every new resource an id of its own is not covered.

    Each request of an undo carries an `Idempotency-Key` that is the same at every
    attempt, and `If-Match` with the ETag that was just read, so that nothing is
    overwritten that changed in between. A service without ETags can't say so. A
    resource that is gone already (404 or 410) counts as deleted.

    Args:
        client: An `httpx2.Client` with the address, credentials and time-outs of the
            service. It isn't closed. Redirects aren't followed.
        ignore: Fields of JSON objects that the service sets itself, such as
            `updated_at`. They are neither compared nor put back.
        max_bytes: The largest resource that is kept.
    """

    def __init__(
        self,
        client: httpx2.Client,
        *,
        ignore: tuple[str, ...] = (),
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._service = Service(client, frozenset(ignore), max_bytes)

    def create(self, tool: str, url: str) -> Undo:
        """For a tool that creates a resource.

        Args:
            tool: The tool's name.
            url: Where the new resource is: `/issues/{id}` takes `id` from the result,
                or from the arguments if the result has none.
        """
        return self._undo(tool, _Created(self._service, url))

    def change(self, tool: str, url: str) -> Undo:
        """For a tool that changes a resource; `url` is filled from the arguments."""
        return self._undo(tool, _Known(self._service, url))

    def delete(self, tool: str, url: str) -> Undo:
        """For a tool that deletes a resource; `url` is filled from the arguments."""
        return self._undo(tool, _Known(self._service, url))

    def _undo(self, tool: str, kind: _Known) -> Undo:
        return Undo(
            tool=tool,
            undo=kind.undo,
            capture=kind.capture,
            fingerprint=kind.fingerprint,
            preview=kind.preview,
            bind=kind.bind,
            resource=kind.resource,
            label=compensated(REMAINS),
        )


@dataclass(frozen=True, slots=True)
class Resource:
    """What is at an address."""

    body: bytes
    kind: str
    etag: str | None

    def fields(self) -> dict[str, Any] | None:
        """Its fields, if it is a JSON object."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {"body": self.body.decode("latin-1"), "kind": self.kind}


def kept_resource(kept: Mapping[str, Any] | None) -> Resource | None:
    """What `Resource.as_json` kept."""
    if kept is None:
        return None
    return Resource(kept["body"].encode("latin-1"), kept["kind"], None)


class Service:
    """Reads and writes resources."""

    def __init__(
        self, client: httpx2.Client, ignored: frozenset[str], limit: int
    ) -> None:
        self._client, self._ignored, self._limit = client, ignored, limit

    def read(self, url: str) -> Resource | None:
        """What is there; None if nothing is.

        Raises:
            CannotCapture: The service doesn't say, or says too much.
        """
        with self._client.stream("GET", url, follow_redirects=False) as answer:
            if answer.status_code in _GONE:
                return None
            if not answer.is_success:
                raise CannotCapture(url, f"can't be read: {answer.status_code}")
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > self._limit:
                    raise CannotCapture(url, f"has more than {self._limit:,} bytes")
            kind = answer.headers.get("content-type", "application/octet-stream")
            return Resource(body, kind, answer.headers.get("etag"))

    def delete(self, url: str, key: str) -> None:
        """Delete what is there now, if there is anything."""
        found = self.read(url)
        if found is not None:
            self._send("DELETE", url, {**_only_if(found), "Idempotency-Key": key})

    def put(self, url: str, body: Resource, key: str, *, over: Resource | None) -> None:
        """Put it there, in place of exactly what was just read."""
        headers = {
            **({"If-None-Match": "*"} if over is None else _only_if(over)),
            "Idempotency-Key": key,
            "Content-Type": body.kind,
        }
        self._send("PUT", url, headers, body.body)

    def compared(self, url: str, found: Resource | None) -> dict[str, Any]:
        """A resource as small values by path; nothing if there is none."""
        if found is None:
            return {}
        fields = found.fields()
        if fields is None:
            return {url: {"sha256": sha256(found.body).hexdigest()}}
        return {
            f"{url}#{name}": shown(value)
            for name, value in fields.items()
            if name not in self._ignored
        } | {url: "there"}

    def with_fields_of(
        self, was: Resource, now: Resource, changed: frozenset[str]
    ) -> Resource:
        """What is there now, with the changed fields as they were."""
        old, new = was.fields(), now.fields()
        if old is None or new is None:
            return was
        kept = {name: new[name] for name in new if name not in changed}
        back = {name: old[name] for name in old if name in changed}
        return Resource(json.dumps({**kept, **back}).encode(), was.kind, None)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> None:
        answer = self._client.request(
            method, url, headers=dict(headers), content=body, follow_redirects=False
        )
        status = answer.status_code
        if status == _MOVED_ON:
            raise NotApplied(f"{url} changed in this very moment; try again.")
        if not answer.is_success and not (method == "DELETE" and status in _GONE):
            raise NotApplied(f"{method} {url} was answered with {status}.")


class _Known:
    """A resource that the arguments name."""

    def __init__(self, service: Service, template: str) -> None:
        self.service, self.template = service, template

    @property
    def resource(self) -> tuple[str, ...]:
        """The arguments that say which."""
        names = (name for _, name, _, _ in Formatter().parse(self.template))
        return tuple(name for name in names if name)

    def capture(self, args: Mapping[str, Any]) -> dict[str, Any]:
        url = filled(self.template, args)
        try:
            found = self.service.read(url)
        except httpx2.HTTPError as error:
            raise CannotCapture(url, f"can't be read ({error})") from error
        return {"url": url, "was": None if found is None else found.as_json()}

    def url(self, effect: Effect) -> str | None:
        found: str = effect.captured["url"]
        return found

    def fingerprint(self, effect: Effect) -> dict[str, Any]:
        url = self.url(effect)
        return {} if url is None else self.service.compared(url, self.service.read(url))

    def bind(self, effect: Effect) -> dict[str, Any]:
        """Where it is, and which fields the call changed."""
        url = self.url(effect)
        if url is None:
            raise CannotCapture(self.template, "isn't known after the call")
        was = kept_resource(effect.captured["was"])
        before = self.service.compared(url, was)
        after = self.fingerprint(effect)
        paths = {p for p in before | after if before.get(p) != after.get(p)}
        fields = {path.removeprefix(f"{url}#") for path in paths if path != url}
        return {"url": url, "changed": sorted(fields)}

    def undo(self, effect: Effect) -> None:
        url = effect.bound["url"]
        was = kept_resource(effect.captured["was"])
        if was is None:
            self.service.delete(url, effect.key)
            return
        now = self.service.read(url)
        changed = frozenset(effect.bound["changed"])
        if now is not None:
            was = self.service.with_fields_of(was, now, changed)
        self.service.put(url, was, effect.key, over=now)

    def preview(self, args: Mapping[str, Any]) -> dict[str, str]:
        return {"puts back": filled(self.template, args)}


class _Created(_Known):
    """A resource that the result names."""

    @property
    def resource(self) -> tuple[str, ...]:
        return ()

    def capture(self, args: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - the arguments don't say
        return {"was": None}

    def url(self, effect: Effect) -> str | None:
        if effect.result is None:
            return None
        result = effect.result if isinstance(effect.result, Mapping) else {}
        return filled(self.template, {**effect.args, **result})

    def preview(self, args: Mapping[str, Any]) -> dict[str, str]:  # noqa: ARG002 - as above
        return {"deletes": self.template}


def filled(template: str, values: Mapping[str, Any]) -> str:
    """The address with its parts filled in, so that none of them leads elsewhere.

    Raises:
        CannotCapture: A value is missing, or no part of a path.
    """
    parts = []
    for text, name, _, _ in Formatter().parse(template):
        parts.append(text)
        if name is not None:
            parts.append(_part(name, values.get(name)))
    return "".join(parts)


def _part(name: str, value: object) -> str:
    plain = isinstance(value, int | str) and not isinstance(value, bool)
    if not plain or str(value) in {"", ".", ".."}:
        raise CannotCapture(name, f"is {value!r}, which is no part of an address")
    return quote(str(value), safe="")


def _only_if(found: Resource) -> dict[str, str]:
    weak = found.etag is None or found.etag.startswith("W/")
    return {} if weak or found.etag is None else {"If-Match": found.etag}
