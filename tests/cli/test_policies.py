"""Policies on the command line: their record, what differs, one on trial, advice."""

import json
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from signoff import Approve, Policy, Reject, Signoff
from tests.cli.shop import Shop, signoff

OLD = """\
[[rule]]
verdict = "review"
tools = ["pay"]
"""
NEW = """\
#:schema signoff.schema.json
[[rule]]
verdict = "deny"
tools = ["pay"]
when = "args.amount > 100"

[[rule]]
verdict = "review"
tools = ["pay"]
approvals = 2
"""
HOSTILE = "a\u202eb\x1b[31mred [bold]x[/bold]"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text(OLD)
    new.write_text(NEW)
    return old, new


def used(shop: Shop) -> None:
    """Six calls: four approved, one rejected, one waits."""
    ana = shop.so.authenticate(shop.person("bo"), channel="cli")
    for number in range(6):
        args = {"amount": 60 * number, "to": HOSTILE}
        request = shop.ask("pay", args, thread=f"t{number}")
        if number < 5:
            said = Approve() if number else Reject()
            shop.so.decide(request.id, said, by=ana, digest=request.digest)


def test_the_schema_is_printed_for_editors(files: tuple[Path, Path]) -> None:
    ended = signoff("policy", "schema")
    assert (ended.code, ended.err) == (0, "")
    for file in files:
        Draft202012Validator(ended.json).validate(tomllib.loads(file.read_text()))


def test_a_policy_is_tried_on_the_record(
    any_shop: Shop, files: tuple[Path, Path]
) -> None:
    used(any_shop)
    ended = any_shop.run("policy", "simulate", str(files[1]), by="bo")
    assert ended.code == 0, ended.err
    assert "6 recorded calls" in ended.out
    assert "review -> deny 4" in ended.out
    assert "pay: review -> deny, such as" in ended.out
    assert r"a[U+202E]b\u001b[31mred [bold]x[/bold]" in ended.out
    assert "\u202e" not in ended.out
    assert "\x1b" not in ended.out
    document = any_shop.run(
        "policy",
        "simulate",
        str(files[1]),
        "--json",
        "--since=2d",
        "--seconds-per-decision=30",
        "--examples=1",
        by="bo",
    ).json
    assert (document["calls"], document["verdicts_after"]["deny"]) == (6, 4)
    assert document["before"] == {"decisions": 6, "minutes": 3.0}
    assert document["after"] == {"decisions": 4, "minutes": 2.0}
    (tool,) = document["tools"]
    (example,) = tool["moves"][0]["examples"]
    assert json.loads(example["args"])["to"] == HOSTILE


def test_a_policy_with_an_error_is_named_before_anything_is_asked(
    shop: Shop, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(NEW.replace("approvals", "aprovals"))
    ended = shop.run("policy", "simulate", str(wrong))
    ended.failed(1, f"{wrong}:10: 'aprovals' is no setting", "'approvals'?")
    shop.run("policy", "simulate", "none.toml").failed(1, "none.toml: can't be read")
    shop.run("policy", "diff", str(wrong), "abc").failed(1, f"{wrong}:10: ")
    for since in ("soon", "0s", "-3d"):
        shop.run("policy", "simulate", str(wrong), f"--since={since}").failed(
            2, "--since must be"
        )


def test_an_empty_store_has_nothing_to_replay(
    any_shop: Shop, files: tuple[Path, Path]
) -> None:
    any_shop.person("bo")
    ended = any_shop.run("policy", "simulate", str(files[0]), by="bo")
    assert ended.code == 0
    assert "0 recorded calls" in ended.out
    ended = any_shop.run("policy", "log", by="bo")
    assert (ended.code, ended.out) == (0, "")
    ended = any_shop.run("advise", by="bo")
    assert ended.code == 0
    assert "No move is proposed: the last 90d support none." in ended.out


def test_the_log_says_who_loaded_what_and_what_changed(
    any_shop: Shop, database_of: str, tmp_path: Path
) -> None:
    file = tmp_path / "signoff.toml"
    any_shop.person("bo")
    for content in (OLD, NEW):
        file.write_text(content)
        Signoff(database_of, policy=Policy.load(file)).close()
    ended = any_shop.run("policy", "log", by="bo")
    assert ended.code == 0, ended.err
    assert ended.out.count(str(file)) == 2
    assert "~ rule 2, review(pay): approvals 1 -> 2; was rule 1" in ended.out
    assert "+ rule 1, deny(pay)" in ended.out
    newest, oldest = any_shop.run("policy", "log", "--json", by="bo").json["policies"]
    assert (newest["previous"], oldest["previous"]) == (oldest["version"], None)
    differ = ("policy", "diff", oldest["version"][:6], str(file))
    told = any_shop.run(*differ, by="bo")
    assert told.out.splitlines() == [
        "+ rule 1, deny(pay)",
        "~ rule 2, review(pay): approvals 1 -> 2; was rule 1",
    ]
    changes = any_shop.run(*differ, "--json", by="bo").json["changes"]
    assert changes == newest["changes"]
    any_shop.run("policy", "diff", "ffff", str(file), by="bo").failed(3, "'ffff'")


def test_two_files_need_no_store(files: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = files
    ended = signoff("policy", "diff", str(old), str(old), cwd=tmp_path)
    assert (ended.code, "say the same." in ended.out) == (0, True)
    ended = signoff("policy", "diff", str(new), str(old), cwd=tmp_path)
    assert "- rule 1, deny(pay)" in ended.out


def test_advice_is_printed_with_the_rule_to_write(any_shop: Shop) -> None:
    used(any_shop)
    ended = any_shop.run("advise", "--least=5", "--at-most=0.9", by="bo")
    assert ended.code == 0, ended.err
    assert "loosen  pay of bookkeeper, candidate: reversible" in ended.out
    assert "4 of 5 approved unchanged" in ended.out
    document = any_shop.run("advise", "--json", "--since=5d", by="bo").json
    assert (document["tools"], document["limits"]["least"]) == (1, 100)
    any_shop.run("advise", "--at-most=2", by="bo").failed(2, "at_most")
