"""Undos for tools that write, move and delete files.

Their limits are in docs/ready-made-undos.md.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from signoff.domain.errors import CannotCapture, NotApplied
from signoff.domain.undoing import Effect, Undo
from signoff.undo.restoring import restore
from signoff.undo.workspace import State, States, Workspace, from_json, in_json, seen

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_PATHS: Final = 10_000
TIMEOUT: Final = timedelta(minutes=2)
"""For sums over what is moved, which may be large."""


class Files:
    """Undos for tools that work on files below one folder. Label: exact.

    Before the call, everything at the paths that it names is kept: contents, modes,
    owners, times and where links lead. An undo puts that back, byte for byte.
    Whatever can't be taken back whole is refused before the effect, so that it is
    asked about: a path out of the folder, also over links; more than the limits;
    hard links, devices and sockets; another user's files.

    Not kept are extended attributes and access control lists. Nothing stops another
    program from writing to a file in the moment in which it is put back.

    Args:
        root: The folder. Arguments that aren't absolute are taken from here.
        max_bytes: How much of files' contents one call may replace or delete.
        max_paths: How many files, folders and links.

    Raises:
        CannotCapture: There is no such folder.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        max_bytes: int = MAX_BYTES,
        max_paths: int = MAX_PATHS,
    ) -> None:
        self._workspace = Workspace(root)
        self._limits = max_bytes, max_paths

    def write(self, tool: str, *, path: str = "path") -> Undo:
        """For a tool that makes or changes a file, also through a link.

        Folders that it makes on the way are taken away with it.

        Args:
            tool: The tool's name.
            path: The name of its argument that is the path.
        """
        return self._undo(tool, _Written(self._workspace, self._limits, (path,)))

    def delete(self, tool: str, *, path: str = "path") -> Undo:
        """For a tool that deletes a file, a link, or a folder with all in it."""
        return self._undo(tool, _Named(self._workspace, self._limits, (path,)))

    def folder(self, tool: str, *, path: str = "path") -> Undo:
        """For a tool that makes a folder, and maybe those above it."""
        return self._undo(tool, _Named(self._workspace, self._limits, (path,)))

    def move(
        self, tool: str, *, source: str = "source", target: str = "target"
    ) -> Undo:
        """For a tool that moves or renames a file, a link or a folder.

        What it moves isn't copied, whatever its size, but renamed back; what it
        replaces is kept. A target that is a folder is moved into, as by `mv`.
        """
        moved = _Moved(self._workspace, self._limits, (source, target))
        return self._undo(tool, moved)

    def _undo(self, tool: str, kind: _Named) -> Undo:
        return Undo(
            tool=tool,
            undo=kind.undo,
            capture=kind.capture,
            fingerprint=kind.fingerprint,
            preview=kind.preview,
            bind=kind.bind,
            resource=kind.arguments[:1],
            timeout=TIMEOUT,
        )


@dataclass(frozen=True, slots=True)
class _Named:
    """The paths that some arguments name; links are not followed."""

    workspace: Workspace
    limits: tuple[int, int]
    arguments: tuple[str, ...]

    def paths(self, args: Mapping[str, Any]) -> tuple[str, ...]:
        found = (self.workspace.locate(args.get(name)) for name in self.arguments)
        return tuple(self.workspace.highest_missing(path) for path in found)

    def capture(self, args: Mapping[str, Any]) -> dict[str, Any]:
        roots = self.paths(args)
        states = self.states(roots)
        return {
            "roots": [in_json(root) for root in roots],
            "states": {in_json(path): state for path, state in states.items()},
            "copies": self.copies(self.replaced(roots, states)),
            "parents": self.parents(roots),
        }

    def fingerprint(self, effect: Effect) -> dict[str, Any]:
        roots = [from_json(root) for root in effect.captured["roots"]]
        states = self.states(roots)
        return {in_json(path): seen(state) for path, state in states.items()}

    def bind(self, effect: Effect) -> dict[str, Any]:
        roots = [from_json(root) for root in effect.captured["roots"]]
        left = [in_json(path) for path in self.states(roots)]
        return {"left": left, "parents": self.parents(roots)}

    def undo(self, effect: Effect) -> None:
        kept, bound = effect.captured, effect.bound
        # A folder's time is set back only if nothing else happened in it since.
        untouched = effect.step("untouched folders", lambda: self.untouched(bound))
        self.put_back(effect)
        for folder in untouched:
            if folder in kept["parents"]:
                self.workspace.set_mtime(from_json(folder), kept["parents"][folder])

    def put_back(self, effect: Effect) -> None:
        kept = effect.captured
        copies = {name: b64decode(copy) for name, copy in kept["copies"].items()}
        states = {from_json(path): state for path, state in kept["states"].items()}
        left = [from_json(path) for path in effect.bound["left"]]
        token = sha256(effect.key.encode()).hexdigest()[:12]
        restore(self.workspace, states, left, copies, token)

    def preview(self, args: Mapping[str, Any]) -> dict[str, Any]:
        states = self.states(self.paths(args))
        back = [in_json(path) for path, state in states.items() if state is not None]
        away = [in_json(path) for path, state in states.items() if state is None]
        return {"puts back": back, "takes away": away}

    def states(self, roots: Sequence[str]) -> dict[str, State | None]:
        found: dict[str, State | None] = {}
        for root in roots:
            found |= self.workspace.tree(root, self.limits[1])
        return found

    def replaced(self, _roots: Sequence[str], states: States) -> States:
        """What may be lost, so that its contents must be kept."""
        return states

    def copies(self, states: States) -> dict[str, str]:
        kept: dict[str, str] = {}
        left = self.limits[0]
        for path, state in states.items():
            self.check(path, state)
            if state is None or state["type"] != "file" or state["sha256"] in kept:
                continue
            copy = self.copy(path, state, left)
            kept[state["sha256"]] = b64encode(copy).decode("ascii")
            left -= len(copy)
        return kept

    def copy(self, path: str, state: State, left: int) -> bytes:
        copy = self.workspace.contents(path, left)
        if copy is None:
            limit = self.limits[0]
            reason = f"and what goes with it are more than the {limit:,} bytes kept"
            raise CannotCapture(in_json(path), reason)
        if sha256(copy).hexdigest() != state["sha256"]:
            raise CannotCapture(in_json(path), "is being written to; try again later")
        return copy

    def check(self, path: str, state: State | None) -> None:
        obstacle = None if state is None else self.workspace.obstacle(path)
        if obstacle is not None:
            raise CannotCapture(in_json(path), obstacle)

    def parents(self, roots: Sequence[str]) -> dict[str, str]:
        folders = {root.rpartition("/")[0] or "." for root in roots}
        times = {folder: self.workspace.mtime(folder) for folder in folders}
        return {in_json(name): time for name, time in times.items() if time is not None}

    def untouched(self, bound: Mapping[str, Any]) -> list[str]:
        left: Mapping[str, str] = bound["parents"]
        now = self.workspace.mtime
        return [name for name in left if now(from_json(name)) == left[name]]


class _Written(_Named):
    """The paths that some arguments name, and what they lead to."""

    __slots__ = ()

    def paths(self, args: Mapping[str, Any]) -> tuple[str, ...]:
        found = (self.workspace.locate(args.get(name)) for name in self.arguments)
        chain = (path for start in found for path in self.workspace.followed(start))
        return tuple(self.workspace.highest_missing(path) for path in chain)


class _Moved(_Named):
    """A source and a target; the source isn't copied."""

    __slots__ = ()

    def ends(self, args: Mapping[str, Any]) -> tuple[str, str]:
        """The source, and where it comes to be."""
        source, target = (self.workspace.locate(args.get(n)) for n in self.arguments)
        into = self.workspace.followed(target)[-1]
        state = self.workspace.look(into)
        if state is not None and state["type"] == "directory":
            target = f"{into}/{source.rpartition('/')[2]}"
        return source, target

    def paths(self, args: Mapping[str, Any]) -> tuple[str, ...]:
        source, target = self.ends(args)
        self.check_ends(source, target)
        return source, self.workspace.highest_missing(target)

    def check_ends(self, source: str, target: str) -> None:
        if f"{target}/".startswith(f"{source}/") or f"{source}/".startswith(
            f"{target}/"
        ):
            raise CannotCapture(in_json(source), "and its target lie in each other")
        if self.workspace.look(source) is None:
            raise CannotCapture(in_json(source), "isn't there")
        device = self.workspace.device(self.workspace.highest_missing(target))
        if self.workspace.device(source) != device:
            raise CannotCapture(in_json(target), "is on another file system")

    def capture(self, args: Mapping[str, Any]) -> dict[str, Any]:
        ends = [in_json(end) for end in self.ends(args)]
        return {**super().capture(args), "ends": ends}

    def replaced(self, roots: Sequence[str], states: States) -> States:
        moved = self.workspace.tree(roots[0], self.limits[1])
        for path, state in moved.items():
            self.check(path, state)
        return {path: states[path] for path in states if path not in moved}

    def bind(self, effect: Effect) -> dict[str, Any]:
        source, target = (from_json(end) for end in effect.captured["ends"])
        if self.workspace.look(source) is None and not self.is_moved(effect):
            raise CannotCapture(in_json(target), f"isn't what {in_json(source)} was")
        return super().bind(effect)

    def put_back(self, effect: Effect) -> None:
        source, target = (from_json(end) for end in effect.captured["ends"])
        if self.workspace.look(source) is None:
            if not self.is_moved(effect):
                raise NotApplied(
                    f"{in_json(target)} isn't what was moved there any more, and a "
                    f"move keeps no copy. Move it to {in_json(source)} by hand."
                )
            self.workspace.rename(target, source)
        super().put_back(effect)

    def is_moved(self, effect: Effect) -> bool:
        """Whether everything that was at the source is now at the target."""
        source, target = (from_json(end) for end in effect.captured["ends"])
        kept: Mapping[str, State | None] = effect.captured["states"]
        wanted = {
            path.removeprefix(source): seen(state)
            for path, state in ((from_json(p), s) for p, s in kept.items())
            if path == source or path.startswith(f"{source}/")
        }
        found = self.workspace.tree(target, self.limits[1])
        there = {path.removeprefix(target): seen(found[path]) for path in found}
        return there == wanted
