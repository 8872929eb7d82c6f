"""Where captures are kept that are too large for a row, and how they are sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from signoff.domain.errors import InvalidSetting, MissingExtra
from signoff.payloads.folder import FolderPayloads
from signoff.service.keeping import Payloads, Seal

__all__ = ["FolderPayloads", "open_payloads", "read_key"]

EXTRA: Final = "payloads"


def open_payloads(url: str | None, store: str) -> Payloads | None:
    """The payloads at an address; None is the folder beside a SQLite file.

    Args:
        url: A folder, `file:///folder`, or an address that fsspec knows, such as
            `s3://bucket/folder`. Its access keys are found as that library finds them.
        store: The database's address. Beside PostgreSQL there is no folder that every
            process has, so there is none by default.

    Raises:
        InvalidSetting: Nobody knows such an address.
        MissingExtra: fsspec, or what it needs for this address, isn't installed.
    """
    if url is None:
        kind, _, file = store.partition(":///")
        if not kind.startswith("sqlite"):
            return None
        return FolderPayloads(Path(f"{file.partition('?')[0]}.payloads"))
    kind, found, rest = url.partition("://")
    if not found or kind == "file":
        return FolderPayloads(Path(rest if found else url))
    try:
        from signoff.payloads.objects import open_objects  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra("fsspec", EXTRA) from error
    return open_objects(url)


def read_key(text: str | None) -> Seal | None:
    """What seals captures, or None without a key.

    Args:
        text: Keys as `Fernet.generate_key()` makes them, with commas between them. The
            first seals, all open: so a key is replaced by putting a new one before it.

    Raises:
        InvalidSetting: It is no such key.
        MissingExtra: cryptography isn't installed.
    """
    if text is None:
        return None
    try:
        from signoff.payloads.sealing import FernetSeal  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra("cryptography", EXTRA) from error
    try:
        return FernetSeal(text.split(","))
    except ValueError:
        raise InvalidSetting(
            "SIGNOFF_PAYLOAD_KEY",
            "must be keys that `python -c 'from cryptography.fernet import Fernet; "
            "print(Fernet.generate_key().decode())'` prints, with commas between them.",
        ) from None
