"""Payloads as files in a folder of this machine."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from signoff.payloads.naming import checked, folder_of, name_of


class FolderPayloads:
    """A folder with one folder for each owner, whose files are named by their contents.

    Only this user may read them. A payload is there whole, on the disk, or not at all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, owner: str, data: bytes) -> str:
        """Keep it and say what it is called."""
        name = name_of(data)
        home = self.folder / folder_of(owner)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=home, prefix=".", delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(home / name)
            finally:
                Path(file.name).unlink(missing_ok=True)
        for above in (home, self.folder, self.folder.parent):
            _to_disk(above)
        return name

    def get(self, owner: str, name: str) -> bytes:
        """What was kept.

        Raises:
            PayloadLost: It isn't there, or isn't what it was.
        """
        try:
            data: bytes | None = self._file(owner, name).read_bytes()
        except FileNotFoundError:
            data = None
        return checked(owner, name, data)

    def purge(self, owner: str) -> None:
        """Remove everything of an owner; nothing, if there is nothing."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder / folder_of(owner))

    def _file(self, owner: str, name: str) -> Path:
        return self.folder / folder_of(owner) / folder_of(name)


def _to_disk(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
