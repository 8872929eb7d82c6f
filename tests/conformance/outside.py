"""A system outside of signoff that tools change, shared by processes, and its undos."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from signoff import Action, Context, Principal, Rule, Signoff, reversible
from signoff.clock import Clock
from signoff.domain.journal import Entry
from signoff.domain.undoing import Effect, Happened
from signoff.service.propose import Asked

ANN = Principal(id="ann", groups=frozenset({"desk"}))
BOB = Principal(id="bob", groups=frozenset({"desk", "admin"}))
RULE = reversible("*", window="10m", force_by=["admin"])


@dataclass(frozen=True, slots=True)
class World:
    """Objects by id, in a file; every change is noted, so that none is hidden."""

    file: Path

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file, timeout=30)
        connection.execute("CREATE TABLE IF NOT EXISTS objects (id PRIMARY KEY, data)")
        connection.execute("CREATE TABLE IF NOT EXISTS lines (line)")
        return connection

    def get(self, name: str) -> dict[str, Any] | None:
        """An object as it is now."""
        with closing(self._open()) as db:
            row = db.execute(
                "SELECT data FROM objects WHERE id = ?", (name,)
            ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def put(self, name: str, data: Mapping[str, Any] | None, line: str = "") -> None:
        """Make an object so, or remove it, and note why."""
        with closing(self._open()) as db, db:
            db.execute("DELETE FROM objects WHERE id = ?", (name,))
            if data is not None:
                row = (name, json.dumps(data))
                db.execute("INSERT INTO objects VALUES (?, ?)", row)
            db.execute("INSERT INTO lines VALUES (?)", (line,))

    def set(self, name: str, line: str = "", **fields: object) -> None:
        """Change some fields of an object."""
        self.put(name, {**(self.get(name) or {}), **fields}, line)

    def count(self, line: str) -> int:
        """How often something was noted."""
        with closing(self._open()) as db:
            found = db.execute("SELECT COUNT(*) FROM lines WHERE line = ?", (line,))
            return int(found.fetchone()[0])


def die() -> None:
    """End as with SIGKILL: no clean-up, no flush, no exception."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Handling:
    """How the undos of a test act; `inverse` does what the test wants instead."""

    inverse: Callable[[World, Effect], None] | None = None
    probe: bool = False
    version: int = 1
    timeout: str = "10s"


def rename_back(world: World, effect: Effect) -> None:
    """The honest inverse of a rename."""
    world.set(effect.args["id"], "inverse", title=effect.captured["title"])


def register(so: Signoff, world: World, how: Handling | None = None) -> None:
    """The undos of `rename` and `create`."""
    how = Handling() if how is None else how
    inverse = how.inverse or rename_back

    def happened(effect: Effect) -> object:
        found = world.get(effect.args["id"]) or {}
        same = found.get("title") == effect.args["title"]
        return Happened({"id": effect.args["id"]}) if same else False

    @so.undo(
        "rename",
        version=how.version,
        capture=lambda args: world.get(args["id"]),
        fingerprint=lambda effect: world.get(effect.args["id"]) or {},
        probe=happened if how.probe else None,
        resource=("id",),
        timeout=how.timeout,
    )
    def rename(effect: Effect) -> None:
        inverse(world, effect)

    @so.undo(
        "create",
        fingerprint=lambda effect: world.get(effect.args["id"]) or {},
        resource=("id",),
    )
    def create(effect: Effect) -> None:
        world.put(effect.args["id"], None, "deleted")

    @so.undo("read", fingerprint=lambda _effect: {})
    def read(effect: Effect) -> None:
        """Nothing to take back."""


@contextmanager
def opened(
    url: str,
    world: World,
    *rules: Rule,
    how: Handling | None = None,
    ahead: timedelta = timedelta(0),
) -> Iterator[Signoff]:
    """A process's signoff, with the undos of this world."""
    so = Signoff(
        url, policy=list(rules or [RULE]), clock=Clock(offset=ahead), lease="30s"
    )
    register(so, world, how)
    try:
        yield so
    finally:
        so.close()


def action(tool: str, number: int = 1, **args: object) -> Action:
    """One call of an agent."""
    return Action(
        context=Context(thread="t1", agent="clerk", user="uma"),
        message_id=f"m{number}",
        call_id=f"c{number}",
        tool=tool,
        args=args,
    )


def begun(so: Signoff, one: Action) -> Entry:
    """A reversible call that was claimed."""
    found = so.propose(one, Asked())
    assert found.request is None, found.request.note
    entry = so.begin_reversible(one, Asked())
    assert entry is not None
    return entry


def renamed(so: Signoff, world: World, number: int = 1, title: str = "new") -> Entry:
    """A rename that was done, from beginning to end."""
    entry = begun(so, action("rename", number, id="7", title=title))
    world.set("7", "effect", title=title)
    output = {"id": "7"}
    assert so.finish(entry, "finish", result=b"r", summary="renamed", output=output)
    return so.entry(entry.id)


def created(so: Signoff, world: World, number: int, name: str) -> Entry:
    """A creation that was done."""
    entry = begun(so, action("create", number, id=name))
    world.put(name, {"uid": number}, "created")
    output = {"issue_id": f"made-{name}"}
    assert so.finish(entry, "finish", result=b"r", summary="made", output=output)
    return so.entry(entry.id)
