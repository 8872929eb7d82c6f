"""Rows, commits and resources through the service itself: verified, and labelled."""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from signoff import Action, Context, Principal, Signoff, reversible
from signoff.domain.journal import Entry, EntryState
from signoff.domain.undoing import Undo
from signoff.service.propose import Asked
from signoff.undo import Git, Http, Tables
from tests.undo.test_git import commit, files, git
from tests.undo.test_http import House

SAM = Principal(id="sam")


@pytest.fixture
def so(database_url: str, tmp_path: Path) -> Iterator[Signoff]:
    opened = Signoff(
        database_url,
        policy=[reversible("*", window="10m")],
        payloads=str(tmp_path / "payloads"),
    )
    yield opened
    opened.close()


def act(
    so: Signoff, spec: Undo, args: Mapping[str, Any], tool: Callable[[], object]
) -> Entry:
    """What a guard does with a call that may run at once."""
    so.add_undo(spec)
    action = Action(
        context=Context(thread="t1", agent="bot"),
        message_id="m1",
        call_id=spec.tool,
        tool=spec.tool,
        args=args,
    )
    so.propose(action, Asked())
    entry = so.begin_reversible(action, Asked())
    assert entry is not None
    so.finish(entry, "finish", result=b"", summary="ok", output=tool())
    done = so.entry(entry.id)
    assert (done.state, done.not_undoable) == (EntryState.DONE, None)
    return done


def undone(so: Signoff, entry: Entry) -> tuple[str | None, str | None]:
    """Its label, once it is taken back and seen to be."""
    found = so.undo_action(entry.id, by=SAM)
    assert (found.state, found.undo_summary) == (EntryState.UNDONE, None)
    assert so.audit().holds
    return found.label, found.remains


def test_rows(so: Signoff, tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as shop:
        shop.execute("CREATE TABLE tickets (id INTEGER PRIMARY KEY, title TEXT)")
        shop.execute("INSERT INTO tickets VALUES (7, 'was')")

    def tool() -> None:
        shop.execute("DELETE FROM tickets")
        shop.commit()

    tables = Tables(f"sqlite:///{file}")
    spec = tables.rows("close", changes={"tickets": {"id": "ticket"}})
    entry = act(so, spec, {"ticket": 7}, tool)
    assert undone(so, entry) == ("exact", None)
    assert shop.execute("SELECT * FROM tickets").fetchall() == [(7, "was")]
    shop.close()


def test_commits(so: Signoff, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "site")
    site = tmp_path / "site"
    commit(site, "First", a="1")
    was = files(site)
    spec = Git(site).commit("publish")
    entry = act(so, spec, {}, lambda: commit(site, "Second", a="2", b="b"))
    word, remains = undone(so, entry)
    assert word == "compensated"
    assert "both commits stay in the history" in str(remains)
    assert files(site) == was


def test_resources(so: Signoff) -> None:
    with House() as house, httpx2.Client(base_url=house.url) as client:
        thread = threading.Thread(target=house.serve_forever, args=(0.01,))
        thread.start()
        spec = Http(client).create("create", "/issues/{id}")
        entry = act(
            so, spec, {}, lambda: client.post("/issues", json={"title": "new"}).json()
        )
        assert json.loads(house.kept["/issues/1"])["title"] == "new"
        word, remains = undone(so, entry)
        house.shutdown()
        thread.join()
    assert word == "compensated"
    assert "what the service told others" in str(remains)
    assert house.kept == {}
