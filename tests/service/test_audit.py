"""The audit finds what somebody with the database did to it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, text

from signoff import Approve, Reject, Signoff
from signoff.storage.engine import read_url
from tests.service.making import ANN, BOB, ask, call, say

TAMPERINGS = {
    "edit": ("UPDATE events SET actor = 'bob' WHERE kind = 'approved'", "was changed"),
    "body": ("UPDATE events SET body = '{}' WHERE kind = 'asked'", "was changed"),
    "no JSON": ("UPDATE events SET body = 'x' WHERE kind = 'asked'", "was changed"),
    "big": (
        """UPDATE events SET body = '{"n": 99999999999999999999}' WHERE seq = 2""",
        "was changed",
    ),
    "time": ("UPDATE events SET at = at + 1 WHERE seq = 2", "event 2 was changed"),
    "delete": ("DELETE FROM events WHERE seq = 2", "event 2 is missing"),
    "truncate": ("DELETE FROM events WHERE seq > 2", "should end at 5, it ends at 2"),
    "reorder": (
        """UPDATE events SET seq = CASE seq WHEN 1 THEN 1001 WHEN 2 THEN 1 END
        WHERE seq IN (1, 2); UPDATE events SET seq = 2 WHERE seq = 1001""",
        "doesn't follow",
    ),
    "status": (
        "UPDATE requests SET status = 'approved' WHERE status = 'rejected'",
        "the table says approved",
    ),
    "who": ("UPDATE requests SET settled_by = 'x' WHERE status <> 'pending'", "by x"),
    "args": (
        """UPDATE requests SET args = '{"amount": 9}'""",
        "shows something else",
    ),
    "digest": ("UPDATE requests SET digest = 'd'", "shows something else"),
    "terms": (
        """UPDATE requests
        SET terms = replace(terms, '"approvals":1', '"approvals":7')""",
        "other terms",
    ),
    "assignee": ("UPDATE requests SET assignee = 'x'", "has it assigned to x"),
    "vote": ("UPDATE votes SET principal = 'x'", "has this approve by x"),
    "vote's right": ("UPDATE votes SET behalf = 'x'", "approve by ann, the ledger"),
    "vote's groups": (
        """UPDATE votes SET "groups" = '["cfo"]' WHERE kind = 'approve'""",
        "approve by ann, the table doesn't",
    ),
    "vote gone": ("DELETE FROM votes", "the ledger has this approve by ann"),
    "lent to another": ("UPDATE delegations SET delegate = 'x'", "another delegation"),
    "lent for longer": (
        "UPDATE delegations SET ends_at = ends_at + 1",
        "another delegation",
    ),
    "lent again": ("UPDATE delegations SET revoked_at = NULL", "another delegation"),
    "loan gone": ("DELETE FROM delegations", "another delegation"),
    "forged loan": (
        """INSERT INTO delegations SELECT 'dlg_f', 'cfo', 'eve', '[]', starts_at,
        ends_at, reason, made_by, made_at, NULL, NULL FROM delegations""",
        "dlg_f: the table has another delegation",
    ),
    "unreadable loan": ("UPDATE delegations SET \"groups\" = 'x'", "can't be read"),
    "unreadable": ("UPDATE requests SET args = 'x'", "can't be read"),
    "gone": ("DELETE FROM requests", "the table lost it"),
    "forged": (
        """INSERT INTO requests SELECT 'req_f', kind, 'act_f', ask, 'thread-f', agent,
        user_id, team, tool, args, proposed, schema, description, digest, revision,
        status, risk, risk_rank, rule, policy_version, terms, note, asked_at,
        expires_at, changed_at, settled_at, settled_by, outcome, valid_until,
        assignee, timeline, level, due_at, shift, frozen_at
        FROM requests WHERE status = 'approved'""",
        "never saw it asked",
    ),
    "entry": ("UPDATE entries SET state = 'failed'", "the table says failed"),
    "entry gone": ("DELETE FROM entries", "the table says nothing, the ledger done"),
    "stage": ("UPDATE stages SET value = '1'", "other stages"),
    "stage's name": ("UPDATE stages SET name = 'x'", "other stages"),
    "stage gone": ("DELETE FROM stages", "other stages"),
    "stage forged": (
        """INSERT INTO stages SELECT 'stg_f', 'thread-f', name, value, digest, kept_at
        FROM stages""",
        "other stages",
    ),
    "outline": ("""UPDATE outlines SET stages = '["plan"]'""", "other stages"),
    "outline gone": ("DELETE FROM outlines", "other stages"),
    "no chains": ("DELETE FROM chains", "should end at 0, it ends at 5"),
    "head": ("UPDATE chains SET head = 'h'", "should end at"),
}


@pytest.fixture
def told(so: Signoff) -> Signoff:
    """A Signoff with an approved call that ran and a rejected one."""
    request = say(so, ask(so), Approve(), ANN)
    entry = so.begin(request)
    assert entry is not None
    so.finish(entry, "finish", result=b"", summary="")
    so.declare_stages("thread-3", ["plan", "publish"])
    so.keep("stg_1", thread="thread-3", stage="plan", value={"cost": 1})
    say(so, ask(so, call(thread="thread-2")), Reject(reason="no"), BOB)
    lent = so.delegate("bob", ends=datetime(2100, 1, 1, tzinfo=UTC), by=ANN)
    so.revoke_delegation(lent.id, by=ANN)
    return so


@pytest.mark.row("I13", "D1")
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_every_tampering_is_found(
    told: Signoff, database_url: str, tampering: str
) -> None:
    found = told.audit()
    assert found.holds, found
    statements, problem = TAMPERINGS[tampering]
    engine = create_engine(read_url(database_url))
    with engine.begin() as connection:
        for statement in statements.split("; "):
            connection.execute(text(statement.replace(":", "\\:")))
    engine.dispose()
    found = told.audit()
    assert not found.holds
    assert problem in " ".join(found_break.problem for found_break in found.breaks)


def test_an_audit_is_of_one_moment(so: Signoff) -> None:
    def work(number: int) -> None:
        say(so, ask(so, call(call_id=str(number))), Approve(), ANN)

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work, number) for number in range(40)]
        while not all(one.done() for one in working):
            found = so.audit()
            assert found.holds, found.breaks
    assert so.audit().events == 120
