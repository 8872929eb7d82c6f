"""A folder that an agent works in: what is at a path, and how it gets there again.

Every component of a path is opened without following links, so that a link which was
put there meanwhile leads nothing out of the folder.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from signoff.domain.errors import CannotCapture

State = Mapping[str, Any]
"""What is at a path: `type`, `mode`, and by type `sha256`, `entries` or `target`."""
States = Mapping[str, State | None]

LONGEST_CHAIN: Final = 40
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
}
_OPENED: Final = frozenset({"file", "directory"})
_COMPARED: Final = frozenset({"type", "mode", "sha256", "target", "entries"})
_UNSPEAKABLE: Final = re.compile("[%\udc80-\udcff]")
_GONE: Final = "the folder isn't there any more"


def in_json(path: str) -> str:
    """A path as JSON holds it: bytes that are no UTF-8, and `%`, are written as %XX."""
    return _UNSPEAKABLE.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", path)


def from_json(text: str) -> str:
    """The path that `in_json` wrote."""
    return os.fsdecode(unquote_to_bytes(text))


def seen(state: State | None) -> State | None:
    """The part of a state that counts as the same or changed: not the times."""
    if state is None:
        return None
    return {name: value for name, value in state.items() if name in _COMPARED}


class Workspace:
    """A folder, below which paths are found, read and written.

    Raises:
        CannotCapture: It isn't there, or isn't a folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.realpath(root)
        if not Path(self.root).is_dir():
            raise CannotCapture(os.fspath(root), "is no folder; make it first")

    def locate(self, given: object) -> str:
        """The path below the root that a tool's argument means.

        Raises:
            CannotCapture: It is no path, leads out of the root, or is the root.
        """
        if not isinstance(given, str) or not given.strip("/") or "\0" in given:
            raise CannotCapture(repr(given), "is not a path")
        if _goes_back_from_nowhere(Path(self.root, given)):
            raise CannotCapture(given, "goes back out of a folder that isn't there")
        folder, name = os.path.split(Path(self.root, given).as_posix())
        whole = str(Path(os.path.realpath(folder), name))
        if name == "..":
            whole = os.path.realpath(whole)
        if whole == self.root:
            raise CannotCapture(given, "is the workspace itself")
        if not whole.startswith(self.root.rstrip("/") + "/"):
            raise CannotCapture(given, "leads out of the workspace")
        return os.path.relpath(whole, self.root)

    def followed(self, path: str) -> tuple[str, ...]:
        """The path and, where it is a link, what writing through it would write to."""
        chain = [path]
        while (state := self.look(chain[-1])) and state["type"] == "symlink":
            if len(chain) > LONGEST_CHAIN:
                raise CannotCapture(in_json(path), "is a link that leads in circles")
            target = from_json(state["target"])
            beside = Path(self.root, chain[-1]).parent / target
            chain.append(self.locate(str(beside)))
        return tuple(chain)

    def highest_missing(self, path: str) -> str:
        """The path, or the first folder above it that isn't there and may be made."""
        above = [str(folder) for folder in reversed(Path(path).parents)][1:]
        missing = (folder for folder in above if self.look(folder) is None)
        return next(missing, path)

    def look(self, path: str) -> State | None:
        """What is at a path, without what is in it."""
        with self._folder(_above(path)) as parent:
            return None if parent is None else _state(parent, _name(path))

    def tree(self, path: str, limit: int) -> dict[str, State | None]:
        """What is at a path and at every path below it, with what is in them.

        Raises:
            CannotCapture: More than `limit` paths.
        """
        found: dict[str, State | None] = {}
        pending = [path]
        while pending:
            if len(found) == limit:
                raise CannotCapture(in_json(path), f"holds more than {limit} paths")
            at = pending.pop()
            found[at], names = self._read(at)
            pending.extend(f"{at}/{name}" for name in names)
        return found

    def state(self, path: str) -> State | None:
        """What is at a path, with the sum of what is in it."""
        return self._read(path)[0]

    def device(self, path: str) -> int | None:
        """The file system that a path, or what would hold it, is on."""
        with self._folder(_above(path)) as parent:
            return None if parent is None else os.fstat(parent).st_dev

    def obstacle(self, path: str) -> str | None:
        """Why what is at a path could not be put back as it is; None if it could."""
        with self._sure_folder(_above(path)) as parent:
            found = os.stat(_name(path), dir_fd=parent, follow_symlinks=False)
        kind = _KINDS.get(stat.S_IFMT(found.st_mode))
        if kind is None:
            return "is neither a file nor a folder nor a link"
        if kind == "file" and found.st_nlink > 1:
            return "has other names too (hard links), which would be cut off"
        if os.geteuid() not in {0, found.st_uid}:
            return "belongs to another user, and would belong to this one"
        return None

    def contents(self, path: str, limit: int) -> bytes | None:
        """The bytes of a file, or None if there are more than `limit`."""
        with self._sure_folder(_above(path)) as parent:
            descriptor = os.open(_name(path), _OPEN_FILE, dir_fd=parent)
        with os.fdopen(descriptor, "rb") as file:
            kept = file.read(limit + 1)
        return kept if len(kept) <= limit else None

    def mtime(self, folder: str) -> str | None:
        """When something was last added to or taken from a folder, in nanoseconds."""
        with self._folder(folder) as opened:
            return None if opened is None else str(os.fstat(opened).st_mtime_ns)

    def set_mtime(self, folder: str, mtime: str) -> None:
        """The same, as it was."""
        with self._sure_folder(folder) as opened:
            os.utime(opened, ns=(os.fstat(opened).st_atime_ns, int(mtime)))

    def remove(self, path: str) -> None:
        """Take away a file, a link or an empty folder, if it is there."""
        with self._folder(_above(path)) as parent:
            state = None if parent is None else _state(parent, _name(path))
            if state is None:
                return
            away = os.rmdir if state["type"] == "directory" else os.unlink
            away(_name(path), dir_fd=parent)

    def put_folder(self, path: str) -> None:
        """A folder that can be written to for now; `finish_folder` ends that."""
        with self._sure_folder(_above(path)) as parent, suppress(FileExistsError):
            os.mkdir(_name(path), 0o700, dir_fd=parent)
        with self._sure_folder(path) as opened:
            mode = stat.S_IMODE(os.fstat(opened).st_mode)
            os.fchmod(opened, mode | stat.S_IRWXU)

    def finish_folder(self, path: str, state: State) -> None:
        """Give a folder the owner, mode and time that it had."""
        with self._sure_folder(path) as opened:
            _finish(opened, state)

    def finish_file(self, path: str, state: State) -> None:
        """Give a file the owner, mode and time that it had."""
        with self._sure_folder(_above(path)) as parent:
            opened = os.open(_name(path), _OPEN_FILE, dir_fd=parent)
            try:
                _finish(opened, state)
            finally:
                os.close(opened)

    def put_file(self, path: str, state: State, contents: bytes, token: str) -> None:
        """Put a file there whole and at once, also in place of another."""
        with self._sure_folder(_above(path)) as parent:
            new = _free(parent, token)
            descriptor = os.open(new, _NEW_FILE, 0o600, dir_fd=parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(contents)
                file.flush()
                _finish(descriptor, state)
                os.fsync(descriptor)
            _place(parent, new, _name(path))

    def put_link(self, path: str, state: State, token: str) -> None:
        """The same for a link; where it leads is none of this function's business."""
        with self._sure_folder(_above(path)) as parent:
            new = _free(parent, token)
            os.symlink(from_json(state["target"]), new, dir_fd=parent)
            times = (int(state["mtime"]), int(state["mtime"]))
            os.utime(new, ns=times, dir_fd=parent, follow_symlinks=False)
            owner, group = state["owner"]
            os.chown(new, owner, group, dir_fd=parent, follow_symlinks=False)
            _place(parent, new, _name(path))

    def rename(self, source: str, target: str) -> None:
        """Move what is at `source` to `target`."""
        with (
            self._sure_folder(_above(source)) as here,
            self._sure_folder(_above(target)) as there,
        ):
            names = (_name(source), _name(target))
            os.rename(*names, src_dir_fd=here, dst_dir_fd=there)
            os.fsync(there)

    def _read(self, path: str) -> tuple[State | None, list[str]]:
        with self._folder(_above(path)) as parent:
            return (None, []) if parent is None else _read(parent, _name(path))

    @contextmanager
    def _folder(self, folder: str) -> Iterator[int | None]:
        """A descriptor of a folder, or None if there is none."""
        with ExitStack() as stack:
            opened = _open_folder(stack, self.root)
            for name in Path(folder).parts:
                if opened is not None:
                    opened = _open_folder(stack, name, opened)
            yield opened

    @contextmanager
    def _sure_folder(self, folder: str) -> Iterator[int]:
        with self._folder(folder) as opened:
            if opened is None:
                raise FileNotFoundError(errno.ENOENT, _GONE, in_json(folder))
            yield opened


def _goes_back_from_nowhere(path: Path) -> bool:
    """Whether a tool may make a folder that isn't above the path in the end."""
    steps = (
        Path(*path.parts[:at]) for at, name in enumerate(path.parts) if name == ".."
    )
    return any(not step.exists() for step in steps)


def _above(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _open_folder(stack: ExitStack, name: str, above: int | None = None) -> int | None:
    try:
        opened = os.open(name, _OPEN_FOLDER, dir_fd=above)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return None
        raise
    stack.callback(os.close, opened)
    return opened


def _state(parent: int, name: str) -> dict[str, Any] | None:
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    kind = _KINDS.get(stat.S_IFMT(found.st_mode), "special")
    state: dict[str, Any] = {
        "type": kind,
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
        "owner": [found.st_uid, found.st_gid],
        "mtime": str(found.st_mtime_ns),
    }
    if kind == "symlink":
        state["target"] = in_json(os.readlink(name, dir_fd=parent))
    return state


def _read(parent: int, name: str) -> tuple[State | None, list[str]]:
    state = _state(parent, name)
    if state is None or state["type"] not in _OPENED:
        return state, []
    folder = state["type"] == "directory"
    opened = os.open(name, _OPEN_FOLDER if folder else _OPEN_FILE, dir_fd=parent)
    try:
        if folder:
            with os.scandir(opened) as found:
                names = [entry.name for entry in found]
            return {**state, "entries": len(names)}, names
        with os.fdopen(opened, "rb", closefd=False) as file:
            return {**state, "sha256": file_digest(file, "sha256").hexdigest()}, []
    finally:
        os.close(opened)


def _finish(opened: int, state: State) -> None:
    # The owner first: a change of it clears the set-id bits of the mode.
    os.fchown(opened, *state["owner"])
    os.fchmod(opened, int(state["mode"], 8))
    access = os.fstat(opened).st_atime_ns
    os.utime(opened, ns=(access, int(state["mtime"])))


def _free(parent: int, token: str) -> str:
    """A name for what isn't whole yet; what a killed process left there goes."""
    name = f".signoff-{token}"
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)
    return name


def _place(parent: int, new: str, name: str) -> None:
    os.replace(new, name, src_dir_fd=parent, dst_dir_fd=parent)
    os.fsync(parent)
