"""Row C15: after a deploy without the undo nothing expires silently."""

from __future__ import annotations

from datetime import timedelta

import pytest

from signoff import (
    Principal,
    Signoff,
    allow,
)
from signoff.domain.errors import (
    NotAllowed,
    NotReversible,
    UndoHandlerMissing,
)
from signoff.domain.journal import EntryState
from signoff.domain.principals import PrincipalKind
from signoff.service.loop import look_for_orphans
from tests.conformance.outside import (
    ANN,
    Handling,
    World,
    opened,
    rename_back,
    renamed,
)

HOUR = timedelta(hours=1)
BOT = Principal(id="clerk", kind=PrincipalKind.AGENT)


@pytest.mark.row("C15")
def test_after_a_deploy_without_the_undo_a_person_decides(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    bare = Signoff(database_url, policy=[allow("*")])
    (orphan,) = bare.orphans()
    assert (orphan.tool, orphan.version, orphan.count) == ("rename", 1, 1)
    assert bare.hold_orphans(["other"]) == 0
    assert bare.hold_orphans(["clerk"]) == 1
    bare.close()
    with opened(database_url, world, how=Handling(version=2), ahead=HOUR) as newer:
        newer.run_due()
        held = newer.entry(entry.id)
        assert (held.state, held.held_open) == (EntryState.DONE, "no_handler")
        with pytest.raises(UndoHandlerMissing, match="version 1"):
            newer.undo_action(entry.id, by=ANN)
        assert newer.entry(entry.id) == held
        newer.undos.register(
            "rename",
            version=2,
            fingerprint=lambda effect: world.get(effect.args["id"]) or {},
            upcast=lambda row, _version: {**row, "args": {"id": row["args"]["id"]}},
        )(lambda effect: rename_back(world, effect))
        assert newer.undo_action(entry.id, by=ANN).state is EntryState.UNDONE
    assert so.audit().holds


@pytest.mark.row("C15")
def test_a_deploy_that_lost_its_only_undo_closes_no_window(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    bare = Signoff(database_url, policy=[allow("*")])
    look_for_orphans(bare, ["clerk"])
    bare.close()
    assert so.entry(entry.id).held_open == "no_handler"


@pytest.mark.row("C15")
def test_a_person_lets_an_orphan_be(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    bare = Signoff(database_url)
    assert bare.hold_orphans(["clerk"]) == 1
    with pytest.raises(NotAllowed):
        bare.close_window(entry.id, by=BOT)
    closed = bare.close_window(entry.id, by=ANN, reason="fine as it is")
    assert (closed.state, closed.held_open) == (EntryState.FINAL, None)
    with pytest.raises(NotReversible):
        bare.close_window(entry.id, by=ANN)
    bare.close()


@pytest.mark.row("C15")
def test_a_window_closes_again_once_its_undo_is_back(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = renamed(so, world)
    bare = Signoff(database_url)
    assert bare.hold_orphans(["clerk"]) == 1
    bare.close()
    with opened(database_url, world, ahead=HOUR) as later:
        later.run_due()
        back = later.entry(entry.id)
        assert (back.held_open, back.state) == (None, EntryState.DONE)
        assert back.undo_until is not None
        assert back.undo_until > later.now()
        assert later.audit().holds
