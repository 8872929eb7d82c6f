"""The audit sees what somebody changed about an effect and its way back."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from signoff import Signoff, reversible
from signoff.storage.engine import read_url
from tests.conformance.outside import ANN, World, action, begun, register, renamed
from tests.service.conftest import Opener

TAMPERINGS = {
    "state": ("UPDATE entries SET state = 'final'", "the table says final"),
    "window": ("UPDATE entries SET undo_until = undo_until + 1", "undo_until"),
    "held open": ("UPDATE entries SET held_open = 'x'", "held_open"),
    "kind": ("UPDATE entries SET kind = 'plain'", "kind"),
    "args": ("""UPDATE entries SET args = '{"id": "8"}'""", "args"),
    "captured": ("""UPDATE entries SET captured = '{"title": "x"}'""", "captured"),
    "before": ("""UPDATE entries SET before = '{}'""", "before"),
    "after": ("""UPDATE entries SET after = '{}'""", "after"),
    "bound": ("""UPDATE entries SET bound = '{}'""", "bound"),
    "output": ("UPDATE entries SET output = '1'", "output"),
    "terms": ("UPDATE entries SET undo_terms = NULL", "undo_terms"),
    "version": ("UPDATE entries SET undo_version = 7", "undo_version"),
    "label": ("UPDATE entries SET label = 'x'", "label"),
    "who": ("UPDATE entries SET undo_by = 'x' WHERE state = 'undone'", "undo_by"),
    "why": ("UPDATE entries SET undo_reason = 'x' WHERE state = 'undone'", "reason"),
    "forced": ("UPDATE entries SET undo_forced = 1 WHERE state = 'undone'", "forced"),
    "attempts": ("UPDATE entries SET undo_attempt = 9", "undo_attempt"),
    "steps": (
        """UPDATE entries SET steps = '{"a": 1}' WHERE state = 'undone'""",
        "steps",
    ),
    "needs": ("DELETE FROM entry_dependencies", "needs"),
    "forged": (
        """INSERT INTO entries (id, action_id, thread, tool, idempotency_key, state,
        attempt, attempts, idempotent, worker, lease_until, started_at, changed_at)
        VALUES ('ent_f', 'f', 't1', 'x', 'k', 'done', 1, 1, 0, 'w', 0, 1, 1)""",
        "the ledger nothing",
    ),
    "gone": ("DELETE FROM entries", "the table says nothing"),
}


@pytest.fixture
def told(open_signoff: Opener, tmp_path: Path) -> Signoff:
    """A Signoff with an effect that can be undone, and one that was, in steps."""
    world = World(tmp_path / "world.db")
    world.set("7", title="old")
    so = open_signoff(reversible("*", window="10m"))
    register(so, world)
    first = renamed(so, world)
    so.undos.register(
        "read",
        fingerprint=lambda _effect: {"x": world.get("x")},
        depends_on=lambda _args: [first.id],
    )(lambda effect: effect.step("a", lambda: world.put("x", None, "x")))
    entry = begun(so, action("read", 2, what="x"))
    world.set("x", "effect", title="x")
    so.finish(entry, "finish", result=b"", summary="", output={"id": "x"})
    so.undo_action(entry.id, by=ANN, reason="typo")
    return so


@pytest.mark.row("I13")
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_every_tampering_is_found(
    told: Signoff, database_url: str, tampering: str
) -> None:
    found = told.audit()
    assert found.holds, found
    statement, problem = TAMPERINGS[tampering]
    engine = create_engine(read_url(database_url))
    with engine.begin() as connection:
        connection.execute(text(statement.replace(":", "\\:")))
    engine.dispose()
    found = told.audit()
    assert not found.holds
    assert problem in " ".join(one.problem for one in found.breaks)
