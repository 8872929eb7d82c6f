"""Payloads in an object store, or wherever else fsspec reaches."""

from __future__ import annotations

from contextlib import suppress

import fsspec
from fsspec.core import url_to_fs

from signoff.domain.errors import InvalidSetting, MissingExtra
from signoff.payloads.naming import checked, folder_of, name_of


class ObjectPayloads:
    """One object for each payload, under its owner's name."""

    def __init__(self, files: fsspec.AbstractFileSystem, folder: str) -> None:
        self._files, self._folder = files, folder.rstrip("/")

    def put(self, owner: str, data: bytes) -> str:
        """Keep it and say what it is called."""
        name = name_of(data)
        self._files.makedirs(self._home(owner), exist_ok=True)
        self._files.pipe_file(f"{self._home(owner)}/{name}", data)
        return name

    def get(self, owner: str, name: str) -> bytes:
        """What was kept.

        Raises:
            PayloadLost: It isn't there, or isn't what it was.
        """
        try:
            data = self._files.cat_file(f"{self._home(owner)}/{folder_of(name)}")
        except FileNotFoundError:
            data = None
        return checked(owner, name, data)

    def purge(self, owner: str) -> None:
        """Remove everything of an owner; nothing, if there is nothing."""
        # Some remember listings, and another process may have put something there.
        self._files.invalidate_cache(self._home(owner))
        with suppress(FileNotFoundError):
            self._files.rm(self._home(owner), recursive=True)

    def _home(self, owner: str) -> str:
        return f"{self._folder}/{folder_of(owner)}"


def open_objects(url: str) -> ObjectPayloads:
    """The objects below an address.

    Raises:
        InvalidSetting: fsspec knows no such address.
        MissingExtra: It needs a library for it.
    """
    try:
        files, folder = url_to_fs(url)
    except ImportError as error:
        raise MissingExtra(str(error), "payloads") from error
    except ValueError as error:
        raise InvalidSetting("payloads", str(error)) from error
    return ObjectPayloads(files, folder)
