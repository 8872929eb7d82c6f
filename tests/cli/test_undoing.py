"""Undos on the command line: carried out by the agents' process, or by the server."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from signoff import Signoff, hold
from signoff.domain.journal import Entry, EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.undoing import Change
from signoff.server import Server
from tests.cli.shop import Shop, Terminal
from tests.conformance.outside import (
    ANN,
    World,
    action,
    begun,
    created,
    opened,
    renamed,
)
from tests.support import ROOT

HOSTILE = "a\u202eb[bold]"
REVEALED = "a[U+202E]b[bold]"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "world.db")
    made.set("7", title="old")
    return made


@contextmanager
def at_work(so: Signoff) -> Iterator[None]:
    """An agent's process: it carries out what people admit elsewhere."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.05):
            so.run_due()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join(30)


@pytest.fixture(params=["sqlite", "postgresql", "server"])
def shop(request: pytest.FixtureRequest, world: World) -> Iterator[Shop]:
    """The program knows no undo: the agent's process or the server has them."""
    fixture = "postgres_url" if request.param == "postgresql" else "sqlite_url"
    url = request.getfixturevalue(fixture)
    with opened(url, world) as so:
        if request.param == "server":
            with Server(so) as server:
                yield Shop(so, server.url)
        else:
            with at_work(so):
                yield Shop(so, url)


def test_one_effect_is_taken_back(shop: Shop, world: World) -> None:
    shop.person("sam")
    entry = renamed(shop.so, world, title=HOSTILE)
    listed = shop.run("journal", by="sam", COLUMNS="200")
    assert (REVEALED in listed.out, "\u202e" in listed.out) == (True, False), listed
    assert "exact, " in listed.out
    assert "left" in listed.out
    ran = shop.run("undo", entry.id[:14], "--yes", "-r", "a typo", by="sam")
    assert (ran.code, ran.err) == (0, ""), ran
    assert ran.out.startswith("undone: rename(")
    assert ran.out.endswith(": exact\n")
    assert world.get("7") == {"title": "old"}
    now = shop.so.entry(entry.id)
    assert (now.undo_by, now.undo_reason) == ("sam", "a typo")
    shop.run("undo", entry.id, "--yes", by="sam").failed(5, "sam")


def test_a_dry_run_shows_the_order_and_what_is_in_the_way(
    shop: Shop, world: World
) -> None:
    shop.person("sam")
    first, second = renamed(shop.so, world), created(shop.so, world, 2, "i2")
    lost = begun(shop.so, action("read", 3))
    assert shop.so.finish(lost, "lose", result=None, summary="gone")
    ran = shop.run("undo", "--thread", "t1", "--dry-run", by="sam", COLUMNS="200")
    assert ran.code == 1, ran
    places = [ran.out.index(one.id) for one in (lost, second, first)]
    assert places == sorted(places)
    assert "it isn't known whether it happened" in ran.out
    assert "0 of 3 would be undone" in ran.err
    shop.so.settle(lost.id, happened=False, by=ANN)
    shown = shop.run("undo", "--since", first.id, "--dry-run", "--json", by="sam")
    assert shown.code == 0, shown
    plan = shown.json["plan"]
    assert plan["reach"] == [second.id, first.id]
    assert [step["entry"]["id"] for step in plan["steps"]] == [second.id, first.id]
    assert world.get("i2") == {"uid": 2}
    assert shop.so.entry(first.id).state is EntryState.DONE


def test_a_whole_thread_is_taken_back_newest_first(shop: Shop, world: World) -> None:
    shop.person("sam")
    entries = [renamed(shop.so, world, 1, "one"), renamed(shop.so, world, 2, "two")]
    entries.append(created(shop.so, world, 3, "i3"))
    ran = shop.run("undo", "--thread", "t1", "--yes", "--json", by="sam")
    assert ran.code == 0, ran
    done = ran.json["undo"]["done"]
    assert [one["id"] for one in done] == [one.id for one in reversed(entries)]
    assert (ran.json["undo"]["stopped_at"], ran.json["undo"]["left"]) == (None, [])
    assert (world.get("7"), world.get("i3")) == ({"title": "old"}, None)
    again = shop.run("undo", "--thread", "t1", "--yes", by="sam")
    assert (again.code, again.err) == (0, "There was nothing to undo.\n")


def test_what_somebody_changed_since_is_kept_and_told(shop: Shop, world: World) -> None:
    shop.person("sam", "admin")
    entry, later = renamed(shop.so, world), created(shop.so, world, 2, "i2")
    world.set("7", title="theirs")
    ran = shop.run("undo", "--thread", "t1", "--yes", by="sam")
    assert ran.code == 1
    assert f"not undone: rename(id={json.dumps('7')}" in ran.out
    assert "title changed since" in ran.out
    assert shop.so.entry(later.id).state is EntryState.UNDONE
    assert world.get("7") == {"title": "theirs"}
    shop.run("undo", entry.id, "--yes", by="sam").failed(5, "title changed since")
    forced = ("undo", entry.id, "--yes", "--force")
    shop.run(*forced, by="sam").failed(2, "needs a reason")
    assert shop.run(*forced, "-r", "it must go", by="sam").code == 0
    assert world.get("7") == {"title": "old"}


def test_a_window_is_closed_for_good(shop: Shop, world: World) -> None:
    shop.person("sam")
    entry = renamed(shop.so, world, title=HOSTILE)
    ran = shop.run("close", entry.id[:14], "-r", "it is right", by="sam")
    assert (ran.code, ran.err) == (0, ""), ran
    assert ran.out.startswith("final: rename(")
    assert (REVEALED in ran.out, "\u202e" in ran.out) == (True, False)
    assert shop.so.entry(entry.id).state is EntryState.FINAL
    shop.run("undo", entry.id, "--yes", by="sam").failed(5, "window")
    shop.run("close", entry.id, by="sam").failed(5, entry.id)


def lost(shop: Shop, world: World, number: int) -> Entry:
    entry = begun(shop.so, action("rename", number, id="7", title="new"))
    world.set("7", "effect", title="new")
    assert shop.so.finish(entry, "lose", result=None, summary="no answer")
    return entry


def test_unknown_outcomes_are_settled_in_three_ways(shop: Shop, world: World) -> None:
    shop.person("sam")
    found = [lost(shop, world, number) for number in (1, 2, 3)]
    ids = [one.id for one in found]
    listed = shop.run("journal", "--state", "unknown", "--json", by="sam").json
    assert [one["id"] for one in listed["entries"]] == ids
    settle = ("settle", ids[0])
    shop.run(*settle, by="sam").failed(2, "--again")
    shop.run(*settle, "--happened", "--again", by="sam").failed(2, "which one")
    shop.run(*settle, "--again", "--result", "1", by="sam").failed(2, "--happened")
    shop.run(*settle, "--happened", "--result", "{", by="sam").failed(2, "no JSON")
    for entry, said in zip(
        ids,
        [["--happened", "--result", '{"id": 7}'], ["--did-not-happen"], ["--again"]],
        strict=True,
    ):
        assert shop.run("settle", entry, *said, by="sam").code == 0
    now = [shop.so.entry(one) for one in ids]
    assert [one.state.value for one in now] == ["done", "failed", "prepared"]
    assert (now[0].output, now[2].key) == ({"id": 7}, found[2].key)
    undoable = shop.run("journal", "--undoable", "--json", by="sam").json["entries"]
    has_undos = shop.address.startswith("http")  # the program itself has none
    assert [one["id"] for one in undoable] == ([ids[0]] if has_undos else [])
    why = None if has_undos else "its undo isn't registered any more"
    assert now[0].not_undoable == why


@pytest.fixture
def alone(sqlite_url: str, world: World) -> Iterator[Shop]:
    """Nobody carries out what is admitted."""
    with opened(sqlite_url, world) as so:
        yield Shop(so, sqlite_url)


def test_refusals(alone: Shop, world: World) -> None:
    alone.person("sam")
    alone.person("robot", kind=PrincipalKind.AGENT)
    entry = renamed(alone.so, world)
    alone.run("undo", by="sam").failed(2, "--since", "--thread")
    alone.run("undo", entry.id, "--thread", "t1", by="sam").failed(2, "name one")
    alone.run("undo", entry.id, "--only-dependents", by="sam").failed(2, "--since")
    alone.run("undo", entry.id, by="sam").failed(2, "--dry-run", "--yes")
    alone.run("undo", "ent_0000", "--yes", by="sam").failed(3, "ent_0000")
    alone.run("undo", "--since", "x\u202e", "--yes", by="sam").failed(3, "u202e")
    alone.run("undo", entry.id, "--yes").failed(4, "token")
    alone.run("undo", entry.id, "--yes", by="robot").failed(4, "undos are for people")
    assert alone.so.entry(entry.id).state is EntryState.DONE


def test_a_person_is_shown_the_plan_and_asked(alone: Shop, world: World) -> None:
    alone.person("sam")
    entry = renamed(alone.so, world)
    env = {"SIGNOFF_STORE": alone.address, "SIGNOFF_TOKEN": alone.tokens["sam"]}
    with Terminal(["undo", entry.id], env) as screen:
        screen.wait_for("Undo this?")
        assert "1 of 1 would be undone" in screen.screen
        screen.type("n\n")
        assert screen.end() == 1
    assert alone.so.entry(entry.id).state is EntryState.DONE


def test_an_undo_that_nobody_here_has_is_admitted_and_said(
    alone: Shop, world: World
) -> None:
    alone.person("sam")
    entry = renamed(alone.so, world)
    ran = alone.run("undo", entry.id, "--yes", by="sam")
    assert (ran.code, ran.out[:16]) == (1, "undoing: rename("), ran
    assert "waits for a process that has the undo of rename" in ran.err
    assert alone.so.run_due() >= 1
    assert alone.so.entry(entry.id).state is EntryState.UNDONE
    assert world.get("7") == {"title": "old"}


def test_held_calls_are_cancelled_and_let_go(sqlite_url: str, world: World) -> None:
    with opened(sqlite_url, world, hold("mail", window="1h")) as so:
        shop = Shop(so, sqlite_url)
        shop.person("sam")
        first = so.begin_held(action("mail", 1, to=HOSTILE))
        second = so.begin_held(action("mail", 2))
        assert first is not None
        assert second is not None
        ran = shop.run("cancel", first.id, "-r", "not this", by="sam")
        assert (ran.code, REVEALED in ran.out) == (0, True), ran
        assert ran.out.startswith("cancelled before effect: mail(")
        assert so.entry(first.id).state is EntryState.CANCELLED
        shop.run("release", first.id, by="sam").failed(5, "already cancelled")
        sent = shop.run("release", second.id, by="sam")
        assert (sent.code, sent.out) == (0, "let go: mail()\n"), sent
        shop.run("cancel", "ent_none", by="sam").failed(3, "ent_none")
        listed = shop.run("journal", by="sam", COLUMNS="200").out
        assert "cancelled before effect" in listed
        assert "held: no effect yet" in listed


@pytest.mark.parametrize(("name", "shape"), [("ENTRY", Entry), ("CONFLICT", Change)])
def test_the_page_names_every_field(name: str, shape: type[Entry | Change]) -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^- {name}: ([^;\n]*)", page, re.MULTILINE)
    named = re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", line))
    kept = {one.name for one in fields(shape)} - {"result"}  # it has its own encoding
    assert (len(named), set(named)) == (len(kept), kept)
