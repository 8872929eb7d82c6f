"""A policy file that changes leaves it in the ledger; once, whoever loads it."""

import json
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import text

from signoff import Edit, Policy, Signoff, allow, deny, review
from signoff.domain.errors import InvalidEdit, PolicyNotFound
from signoff.domain.policy_changes import ChangeKind, changes
from signoff.storage import SqlStore
from tests.forked import forked
from tests.service.conftest import Opener
from tests.service.making import ANN, ask, call

FIRST = """
[[rule]]
verdict = "allow"
tools = ["search_*"]

[[rule]]
verdict = "review"
tools = ["pay"]
when = "args.amount > 1000"
"""
SECOND = FIRST.replace("1000", "500").replace('"search_*"', '"search_*", "read"')


def load(url: str, file: Path, content: str) -> Policy:
    """A process starts with the file as it is now."""
    file.write_text(content)
    policy = Policy.load(file)
    Signoff(url, policy=policy).close()
    return policy


def test_a_changed_file_is_recorded_with_what_changed(
    so: Signoff, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "signoff.toml"
    first = load(database_url, file, FIRST)
    load(database_url, file, f"# only a comment\n{FIRST}")
    second = load(database_url, file, SECOND)
    back = load(database_url, file, FIRST)
    log = so.policy_log()
    assert [one.version for one in log] == [
        back.version,
        second.version,
        first.version,
    ]
    assert [one.previous for one in log] == [second.version, first.version, None]
    assert {one.source for one in log} == {str(file)}
    assert all(one.by is not None and "/" in one.by for one in log)
    assert log[2].changes is None
    assert log[1].changes is not None
    assert [change.text() for change in log[1].changes] == [
        '~ rule 1, allow(search_*, read): tools ["search_*"] -> ["search_*", "read"]',
        '~ rule 2, review(pay): when "args.amount > 1000" -> "args.amount > 500"',
    ]
    assert so.policy_log(limit=1) == log[:1]
    assert so.audit().holds


def test_two_files_each_have_their_own_past(
    so: Signoff, database_url: str, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    for _ in range(3):
        load(database_url, one, FIRST)
        load(database_url, two, SECOND)
    assert [(p.source, p.previous) for p in so.policy_log()] == [
        (str(two), None),
        (str(one), None),
    ]


@pytest.mark.slow
def test_eight_processes_that_load_it_at_once_record_it_once(
    so: Signoff, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "signoff.toml"
    load(database_url, file, FIRST)
    file.write_text(SECOND)
    code = (
        "import sys; from signoff import Policy, Signoff; sys.stdin.readline(); "
        "Signoff(sys.argv[1], policy=Policy.load(sys.argv[2])).close()"
    )
    starters = [
        forked("-c", code, database_url, str(file), stdin=subprocess.PIPE)
        for _ in range(8)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    assert [starter.wait(60) for starter in starters] == [0] * 8
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.close()
    assert len(so.policy_log()) == 2
    assert so.audit().holds


def test_a_policy_in_python_is_recorded_when_it_first_asks(
    open_signoff: Opener,
) -> None:
    so = open_signoff(allow("read"), review("pay", when=bool))
    assert so.policy_log() == []
    ask(so)
    (published,) = so.policy_log()
    assert so.policy is not None
    assert (published.source, published.version) == ("python", so.policy.version)
    assert so.policy_version(published.version[:5]).version == published.version
    with pytest.raises(PolicyNotFound):
        so.policy_version("0" * 16)


def test_an_edit_is_judged_by_the_recorded_version(
    so: Signoff, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "signoff.toml"
    strict = 'verdict = "deny"\ntools = ["pay"]\nwhen = "args.amount > 20"\n'
    file.write_text(f"[[rule]]\n{strict}")
    first = Signoff(database_url, policy=Policy.load(file))
    request = ask(first)
    first.close()
    load(database_url, file, "")
    with pytest.raises(InvalidEdit, match="denies"):
        so.decide(request.id, Edit(args={"amount": 21}), by=ANN, digest=request.digest)
    assert so.get(request.id).policy_version == request.policy_version


@pytest.mark.parametrize("event", [True, False])
def test_tampering_with_a_recorded_policy_is_found_and_trusts_nothing(
    so: Signoff, database_url: str, tmp_path: Path, *, event: bool
) -> None:
    file = tmp_path / "signoff.toml"
    file.write_text('[[rule]]\nverdict = "deny"\ntools = ["other"]\n')
    first = Signoff(database_url, policy=Policy.load(file))
    request = ask(first)
    first.close()
    assert so.audit().holds
    rules = json.dumps([allow("*").describe()])
    assert isinstance(so.store, SqlStore)
    with so.store.engine.begin() as connection:
        if event:
            connection.execute(text("UPDATE policies SET rules = :r"), {"r": rules})
        else:
            connection.execute(text("DELETE FROM policies"))
    (found,) = so.audit().breaks
    assert (found.thread, request.policy_version in found.problem) == (
        "signoff:policies",
        True,
    )
    with pytest.raises(InvalidEdit, match="never recorded here"):
        so.decide(request.id, Edit(args={"amount": 1}), by=ANN, digest=request.digest)


def test_differences_are_told_rule_by_rule() -> None:
    old = [
        review("pay", name="money"),
        allow("a"),
        allow("b"),
        deny("gone"),
        review("mail", approvals=2),
    ]
    new = [
        allow("b"),
        allow("a"),
        review("pay", "refund", name="money", approvals=3),
        review("mail", approvals=2, reviewers=["ops"]),
        allow("new\u202e"),
    ]
    told = changes([r.describe() for r in old], [r.describe() for r in new])
    kinds = {(change.rule, change.kind) for change in told}
    assert ("money", ChangeKind.CHANGED) in kinds
    assert ("review(mail)", ChangeKind.CHANGED) in kinds
    assert ("allow(new\u202e)", ChangeKind.ADDED) in kinds
    assert ("deny(gone)", ChangeKind.REMOVED) in kinds
    assert sum(kind is ChangeKind.MOVED for _, kind in kinds) == 1
    (money,) = [change for change in told if change.rule == "money"]
    assert money.settings["approvals"] == (1, 3)
    assert (money.was, money.now) == (1, 3)
    assert changes([], []) == ()
    same = [rule.describe() for rule in old]
    assert changes(same, same) == ()


def test_a_rule_of_an_older_release_lacks_settings_not_meaning() -> None:
    today = review("pay").describe()
    older = {key: today[key] for key in ("verdict", "tools", "when", "approvals")}
    assert changes([older], [today]) == ()
    (change,) = changes([older], [{**today, "risk": "high"}])
    assert change.settings == {"risk": ("medium", "high")}


def test_python_rules_that_differ_only_in_code_differ() -> None:
    old = review("pay", when=lambda action: action.tool == "pay").describe()
    new = review("pay", when=lambda action: action.tool != "pay").describe()
    (change,) = changes([old], [new])
    assert set(change.settings) == {"when"}
    assert call().tool == "pay"
