"""Seals captures with Fernet: AES and an HMAC, with keys that can be replaced."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class FernetSeal:
    """Seals with the first key and opens with any.

    What is sealed says whom it belongs to, so that one can't stand in for another.

    Raises:
        ValueError: A key isn't 32 bytes in URL-safe base64.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key.strip()) for key in keys])

    def seal(self, owner: str, data: bytes) -> bytes:
        """The data as only somebody with the key can read it; ASCII."""
        return self._fernet.encrypt(_addressed(owner) + data)

    def unseal(self, owner: str, sealed: bytes) -> bytes | None:
        """The data; None if no key opens it, or it belongs to somebody else."""
        try:
            data = self._fernet.decrypt(sealed)
        except InvalidToken:
            return None
        address = _addressed(owner)
        return data.removeprefix(address) if data.startswith(address) else None


def _addressed(owner: str) -> bytes:
    return f"{owner}\n".encode()
