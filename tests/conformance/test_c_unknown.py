"""Rows C1, C2, C3, C22, C23: what nobody knows is found out, and never guessed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from signoff import Approve, Signoff, review
from signoff.domain.errors import (
    CannotSettle,
    InvalidSetting,
    Paused,
    StorageUnavailable,
)
from signoff.domain.journal import EntryState
from signoff.ports import Writing
from signoff.service.propose import Asked
from tests.conformance.harness import in_process
from tests.conformance.outside import (
    ANN,
    BOB,
    Handling,
    World,
    action,
    begun,
    die,
    opened,
)

PROBE = Handling(probe=True)
RENAME = action("rename", 1, id="7", title="new")
LAPSED, PAST_GRACE = timedelta(seconds=40), timedelta(seconds=60)
KILLED = -9


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "world.db")
    made.set("7", title="old")
    return made


def _killed(url: str, file: Path, after: bool, probe: bool) -> None:  # noqa: FBT001 - given by position to a process
    world = World(file)
    with opened(url, world, how=Handling(probe=probe)) as so:
        begun(so, RENAME)
        if after:
            world.set("7", "effect", title="new")
        die()


def entry_id(so: Signoff) -> str:
    (entry,) = so.journal(thread="t1")
    return entry.id


@pytest.mark.row("C1")
def test_killed_before_the_effect_a_probe_finds_nothing(
    database_url: str, world: World
) -> None:
    assert in_process(_killed, database_url, world.file, False, True) == KILLED  # noqa: FBT003 - as above
    with opened(database_url, world, how=PROBE, ahead=LAPSED) as so:
        while so.run_due():
            pass
        assert so.entry(entry_id(so)).state is EntryState.UNKNOWN  # it may still land
    with opened(database_url, world, how=PROBE, ahead=LAPSED + PAST_GRACE) as so:
        assert so.run_due() >= 1
        entry = so.entry(entry_id(so))
        assert entry.state is EntryState.FAILED
        assert "did not happen" in (entry.summary or "")
        assert so.wakeup("t1") is not None  # its agent is told
        assert so.audit().holds


@pytest.mark.row("C2")
def test_killed_after_the_effect_a_probe_finds_it_and_it_can_be_undone(
    database_url: str, world: World
) -> None:
    assert in_process(_killed, database_url, world.file, True, True) == KILLED  # noqa: FBT003 - as above
    with opened(database_url, world, how=PROBE, ahead=LAPSED) as so:
        assert so.run_due() >= 1
        entry = so.entry(entry_id(so))
        assert (entry.state, entry.output) == (EntryState.DONE, {"id": "7"})
        assert entry.undo_until is not None
        assert so.undo_action(entry.id, by=ANN).state is EntryState.UNDONE
        assert world.get("7") == {"title": "old"}
        assert so.audit().holds
    assert world.count("effect") == 1


@pytest.mark.row("C2")
def test_without_a_probe_a_person_says_what_happened(
    database_url: str, world: World
) -> None:
    assert in_process(_killed, database_url, world.file, True, False) == KILLED  # noqa: FBT003 - as above
    with opened(database_url, world, ahead=LAPSED) as so:
        while so.run_due():
            pass
        (unknown,) = so.unknowns()
        assert so.begin_reversible(RENAME, Asked()) is None  # never run again
        with pytest.raises(InvalidSetting):
            so.settle(unknown.id, by=ANN)
        with pytest.raises(InvalidSetting):
            so.settle(unknown.id, happened=True, again=True, by=ANN)
        settled = so.settle(
            unknown.id,
            happened=True,
            result={"id": "7"},
            note="I looked",
            by=replace(ANN, channel="inbox"),
        )
        (told,) = [e.fact for e in so.history(unknown.id) if e.fact.kind == "settled"]
        assert (told.actor, told.channel) == ("ann", "inbox")
        assert (settled.state, settled.output) == (EntryState.DONE, {"id": "7"})
        assert so.unknowns() == []
        with pytest.raises(CannotSettle):
            so.settle(unknown.id, happened=False, by=BOB)
        assert so.undo_action(unknown.id, by=ANN).state is EntryState.UNDONE
        assert so.audit().holds
    assert world.count("effect") == 1


def test_a_person_lets_it_be_tried_again_with_the_same_key(
    database_url: str, world: World
) -> None:
    assert in_process(_killed, database_url, world.file, False, False) == KILLED  # noqa: FBT003 - as above
    with opened(database_url, world, ahead=LAPSED) as so:
        while so.run_due():
            pass
        (unknown,) = so.unknowns()
        let = so.settle(unknown.id, again=True, by=ANN)
        assert let.state is EntryState.PREPARED
        pause = so.pause(by=ANN, tool="rename")
        with pytest.raises(Paused):
            so.begin_again(let)
        so.lift(pause.id, by=ANN)
        late = replace(unknown, state=EntryState.RUNNING)
        assert not so.finish(late, "finish", result=b"", summary="late")  # fenced
        entry = so.begin_again(let)
        assert entry is not None
        assert (entry.key, entry.attempt) == (unknown.key, unknown.attempt + 1)
        world.set("7", "effect", title="new")
        assert so.finish(entry, "finish", result=b"", summary="", output={"id": "7"})
        assert so.undo_action(entry.id, by=ANN).state is EntryState.UNDONE
        assert so.audit().holds


@pytest.mark.row("C3")
def test_an_effect_that_lands_late_is_seen(database_url: str, world: World) -> None:
    with opened(database_url, world, how=PROBE) as so:
        entry = begun(so, RENAME)
        so.finish(entry, "lose", result=None, summary="timed out")
        assert so.look_into(so.entry(entry.id)).state is EntryState.UNKNOWN
        world.set("7", "effect", title="new")
    with opened(database_url, world, how=PROBE, ahead=PAST_GRACE) as so:
        assert so.run_due() >= 1
        found = so.entry(entry.id)
        assert found.state is EntryState.DONE
        assert found.after == {"title": "new"}
        assert so.audit().holds


@pytest.mark.row("C22")
def test_an_error_after_half_of_the_effect_is_no_failure(
    database_url: str, world: World
) -> None:
    with opened(database_url, world, how=PROBE) as so:
        entry = begun(so, RENAME)
        so.finish(entry, "lose", result=None, summary="ConnectionError")
        assert so.entry(entry.id).state is EntryState.UNKNOWN
        assert [one.id for one in so.unknowns()] == [entry.id]


class DownError(StorageUnavailable):
    """The database is gone."""

    def __init__(self) -> None:
        super().__init__("sqlite:///x", "gone")


def _down(so: Signoff, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def writing(_thread: str) -> Iterator[Writing]:
        raise DownError
        yield

    monkeypatch.setattr(so.store, "writing", writing)


@pytest.mark.row("C23", "I3")
def test_without_a_record_there_is_no_effect(
    database_url: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(database_url, world) as so:
        so.propose(RENAME, Asked())
        with monkeypatch.context() as broken:
            _down(so, broken)
            with pytest.raises(StorageUnavailable):
                so.begin_reversible(RENAME, Asked())
        assert so.journal(thread="t1") == []


@pytest.mark.row("C23")
def test_without_a_result_it_is_unknown_and_found_out(
    database_url: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(database_url, world, how=PROBE) as so:
        entry = begun(so, RENAME)
        world.set("7", "effect", title="new")
        with monkeypatch.context() as broken:
            _down(so, broken)
            assert not so.finish(entry, "finish", result=b"", summary="", output={})
        assert so.entry(entry.id).state is EntryState.RUNNING
    with opened(database_url, world, how=PROBE, ahead=LAPSED) as so:
        assert so.run_due() >= 1
        assert so.entry(entry.id).state is EntryState.DONE


@pytest.mark.row("C2")
def test_an_approved_call_is_probed_too(database_url: str, world: World) -> None:
    with opened(database_url, world, review("*"), how=PROBE) as so:
        request = so.propose(RENAME, Asked()).request
        assert request is not None
        so.decide(request.id, Approve(), by=ANN, digest=request.digest)
        entry = so.begin(so.get(request.id))
        assert entry is not None
        world.set("7", "effect", title="new")
        so.finish(entry, "lose", result=None, summary="timed out")
        assert so.look_into(so.entry(entry.id)).state is EntryState.DONE
        assert so.entry(entry.id).output == {"id": "7"}
        assert so.audit().holds
