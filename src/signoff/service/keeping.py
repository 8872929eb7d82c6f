"""Keeps what an undo needs: in the row, or beside the database; sealed with a key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Protocol

from signoff.domain.actions import canonical
from signoff.domain.errors import CannotCapture, PayloadLost
from signoff.domain.journal import Entry

INLINE: Final = 16 * 1024
INLINE_WITHOUT_PAYLOADS: Final = 1024 * 1024
MOST: Final = 64 * 1024 * 1024
DEFAULT_RETENTION: Final = timedelta(days=1)
KEPT: Final = ("captured", "before", "after", "bound")
"""What an entry keeps for its undo."""


class Payloads(Protocol):
    """Where captures are kept that are too large for a row, by their owner's id.

    The owner is an entry. A payload is called by the SHA-256 of its bytes.
    """

    def put(self, owner: str, data: bytes) -> str: ...
    def get(self, owner: str, name: str) -> bytes: ...
    def purge(self, owner: str) -> None: ...


class Seal(Protocol):
    """Makes captures unreadable for whoever lacks the key."""

    def seal(self, owner: str, data: bytes) -> bytes: ...
    def unseal(self, owner: str, sealed: bytes) -> bytes | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Where captures go, and how.

    Attributes:
        payloads: Takes what is too large for a row; None keeps everything in rows.
        seal: Seals everything; None keeps it in clear.
        inline: The most bytes that stay in a row where there are `payloads`.
        most: The most bytes that are kept at all.
        retention: How long it is kept once it can't be used any more.
    """

    payloads: Payloads | None = None
    seal: Seal | None = None
    inline: int = INLINE
    most: int = MOST
    retention: timedelta = DEFAULT_RETENTION

    def keep(self, owner: str, value: Any, *, at: str = "captured") -> Any:  # noqa: ANN401 - any JSON
        """What goes into the row for a value, which `read` makes the value again.

        A payload is on the disk when this returns, so call it before the row that
        names it is written.

        Raises:
            PayloadRefused: It isn't JSON.
            CannotCapture: It is larger than what is kept.
        """
        data = canonical(value, at=at)
        self._check_size(len(data), at)
        out_of_line = self.payloads is not None and len(data) > self.inline
        if self.seal is None and not out_of_line:
            return {_PLAIN: value} if _is_ours(value) else value
        if self.seal is not None:
            data = self.seal.seal(owner, data)
        if self.payloads is None or not out_of_line:
            return {_SEALED: data.decode("ascii")}
        try:
            name = self.payloads.put(owner, data)
        except Exception as error:
            raise CannotCapture(at, f"can't be kept ({error})") from error
        return {_PAYLOAD: f"sha256:{name}", "sealed": self.seal is not None}

    def read(self, owner: str, kept: Any) -> Any:  # noqa: ANN401 - any JSON
        """The value that was kept.

        Raises:
            PayloadLost: It is gone, or changed, or this process lacks the key.
        """
        if not _is_ours(kept):
            return kept
        if _PLAIN in kept:
            return kept[_PLAIN]
        if _SEALED in kept:
            return json.loads(self._unsealed(owner, kept[_SEALED].encode()))
        if self.payloads is None:
            raise PayloadLost(owner, "this process was given no place of payloads")
        name = str(kept[_PAYLOAD]).removeprefix("sha256:")
        try:
            data = self.payloads.get(owner, name)
        except PayloadLost:
            raise
        except Exception as error:
            raise PayloadLost(owner, str(error)) from error
        return json.loads(self._unsealed(owner, data) if kept["sealed"] else data)

    def keep_parts(self, entry: Entry, *names: str) -> Entry:
        """The entry with these parts of it as its row has them.

        Raises:
            PayloadRefused, CannotCapture: As `keep`.
        """
        kept: dict[str, Any] = {}
        for name in names:
            part = getattr(entry, name)
            kept[name] = None if part is None else self.keep(entry.id, part, at=name)
        return replace(entry, **kept)

    def read_entry(self, entry: Entry) -> Entry:
        """The entry as the functions of its undo see it.

        Raises:
            PayloadLost: As `read`.
        """
        found: dict[str, Any] = {
            name: self.read(entry.id, getattr(entry, name)) for name in KEPT
        }
        return replace(entry, **found)

    def keep_change(self, owner: str, change: Mapping[str, Any]) -> Mapping[str, Any]:
        """A path of a diff as its row has it: without a key as it is."""
        if self.seal is None:
            return change
        values = {name: self.keep(owner, change[name]) for name in change}
        return {**values, "path": change["path"]}

    def read_change(self, owner: str, change: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same in clear; as it is kept, if this process lacks the key."""
        try:
            return {name: self.read(owner, change[name]) for name in change}
        except PayloadLost:
            return change

    def purge(self, owner: str) -> None:
        """Remove what is kept of an owner outside of its row."""
        if self.payloads is not None:
            self.payloads.purge(owner)

    def _check_size(self, size: int, at: str) -> None:
        if size > self.most:
            reason = f"is {size:,} bytes; no more than {self.most:,} are kept"
            raise CannotCapture(at, reason)
        if self.payloads is None and size > INLINE_WITHOUT_PAYLOADS:
            limit = f"{INLINE_WITHOUT_PAYLOADS:,}"
            reason = (
                f"is {size:,} bytes; for more than {limit} give payloads='s3://...'"
            )
            raise CannotCapture(at, reason)

    def _unsealed(self, owner: str, data: bytes) -> bytes:
        if self.seal is None:
            raise PayloadLost(owner, "it is sealed, and SIGNOFF_PAYLOAD_KEY isn't set")
        opened = self.seal.unseal(owner, data)
        if opened is None:
            raise PayloadLost(owner, "no key in SIGNOFF_PAYLOAD_KEY opens it")
        return opened


_PLAIN, _SEALED, _PAYLOAD = "$plain", "$sealed", "$payload"


def _is_ours(value: object) -> bool:
    return isinstance(value, Mapping) and not value.keys().isdisjoint(
        {_PLAIN, _SEALED, _PAYLOAD}
    )
