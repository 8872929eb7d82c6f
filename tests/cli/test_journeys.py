"""What people do on the command line: real processes, on each store."""

import json
import signal
from pathlib import Path

import pytest

from signoff import Approve, Principal, Status
from signoff.domain.journal import EntryState
from signoff.domain.principals import PrincipalKind
from tests.cli.shop import ARGS, Shop, Terminal

pytestmark = pytest.mark.slow  # each command is a process of its own
SAM = Principal(id="sam", groups=frozenset({"finance"}))


def test_what_waits_is_found_shown_and_approved(any_shop: Shop) -> None:
    any_shop.person("sam")
    request = any_shop.ask()
    (listed,) = any_shop.run("list", "--json", by="sam").json["requests"]
    shown = any_shop.run("show", listed["id"][:10], "--json", by="sam").json
    digest = shown["request"]["digest"]
    assert any_shop.run("show", request.id, by="sam").out.count(digest) == 1
    approve = ("approve", request.id, "--yes", "--digest", digest[:12], "-r", "fine")
    approved = any_shop.run(*approve, by="sam")
    assert (approved.code, approved.err) == (0, "")
    assert approved.out.startswith("approved: pay(amount=1450, ")
    now = any_shop.so.get(request.id)
    assert (now.status, now.settled_by) == (Status.APPROVED, "sam")
    (vote,) = any_shop.so.votes(request.id)
    assert (vote.channel, vote.digest, vote.reason) == ("cli", digest, "fine")


def test_a_rejection_reaches_the_agent_with_its_reason(any_shop: Shop) -> None:
    any_shop.person("sam")
    request = any_shop.ask()
    rejected = any_shop.run("reject", request.id, "--reason", "not now", by="sam")
    assert rejected.code == 0
    now = any_shop.so.get(request.id)
    assert now.status is Status.REJECTED
    assert now.outcome is not None
    assert now.outcome["reason"] == "not now"


def test_an_answer_is_given_instead(any_shop: Shop) -> None:
    any_shop.person("sam")
    request = any_shop.ask()
    assert any_shop.run("respond", request.id, "-m", "I paid it", by="sam").code == 0
    now = any_shop.so.get(request.id)
    assert now.status is Status.RESPONDED
    assert now.outcome is not None
    assert now.outcome["message"] == "I paid it"


@pytest.mark.row("B2")
def test_an_edit_keeps_the_types_of_the_schema(any_shop: Shop) -> None:
    any_shop.person("sam")
    request = any_shop.ask()
    edited = any_shop.run(
        "edit",
        request.id,
        *("--set", "args.amount=10", "--set", "args.to=10", "--set", "args.rate=1.5"),
        *("--set", "args.urgent=false", "--set", "args.note=null"),
        *("--set", "args.tags[1]=7", "--set", "args.speed=fast"),
        *("--yes", "--digest", request.digest),
        by="sam",
    )
    assert edited.code == 0, edited
    now = any_shop.so.get(request.id)
    assert now.status is Status.APPROVED
    assert json.dumps(now.args, sort_keys=True) == json.dumps(
        {
            "amount": 10,
            "to": "10",
            "rate": 1.5,
            "urgent": False,
            "note": None,
            "tags": ["q4", "7"],
            "speed": "fast",
        },
        sort_keys=True,
    )


def test_two_people_agree_and_one_is_not_enough(any_shop: Shop) -> None:
    for name in ("sam", "kim"):
        any_shop.person(name, "finance")
    request = any_shop.ask("pay_big")
    approve = ("approve", request.id, "--yes", "--digest", request.digest)
    first = any_shop.run(*approve, by="sam")
    assert (first.code, first.out[:5]) == (0, "noted")
    assert any_shop.so.get(request.id).status is Status.PENDING
    again = any_shop.run(*approve, by="sam")
    assert again.code == 0
    assert any_shop.so.get(request.id).status is Status.PENDING
    assert any_shop.run(*approve, by="kim").code == 0
    assert any_shop.so.get(request.id).status is Status.APPROVED


def test_a_request_is_withdrawn(any_shop: Shop) -> None:
    any_shop.person("sam")
    request = any_shop.ask()
    assert any_shop.run("cancel", request.id, "-r", "double", by="sam").code == 0
    assert any_shop.so.get(request.id).status is Status.CANCELLED


def test_an_unknown_outcome_is_found_and_settled(any_shop: Shop) -> None:
    any_shop.person("sam")
    request = any_shop.ask()
    any_shop.so.decide(request.id, Approve(), by=SAM, digest=request.digest)
    entry = any_shop.so.begin(any_shop.so.get(request.id))
    assert entry is not None
    any_shop.so.finish(entry, "lose", result=None, summary="the worker went away")
    (listed,) = any_shop.run("list", "--unknown", "--json", by="sam").json["entries"]
    assert (listed["id"], listed["state"]) == (entry.id, "unknown")
    told = any_shop.run("show", request.id, by="sam").out
    assert f"signoff settle {entry.id}" in told
    for start in ("", "e", "ent_"):
        any_shop.run("settle", start, "--happened", by="sam").failed(3)
    settled = any_shop.run(
        "settle", entry.id[:10], "--happened", "--note", "seen at the bank", by="sam"
    )
    assert settled.code == 0, settled
    (now,) = any_shop.so.journal()
    assert (now.state, now.summary) == (EntryState.DONE, "seen at the bank")
    any_shop.run("settle", entry.id, "--did-not-happen", by="sam").failed(5, "done")


@pytest.mark.row("A4")
def test_who_comes_late_is_told_who_was_faster(any_shop: Shop) -> None:
    any_shop.person("sam")
    any_shop.person("kim")
    request = any_shop.ask()
    assert any_shop.run("reject", request.id, by="kim").code == 0
    late = any_shop.run(
        "approve", request.id, "--yes", "--digest", request.digest, by="sam"
    )
    late.failed(5, request.id, "already rejected by kim")
    assert any_shop.so.get(request.id).status is Status.REJECTED


@pytest.mark.row("B6")
def test_an_agent_and_who_it_works_for_cannot_approve(any_shop: Shop) -> None:
    any_shop.person("robot", kind=PrincipalKind.AGENT)
    any_shop.person("ana")
    request = any_shop.ask()
    approve = ("approve", request.id, "--yes", "--digest", request.digest)
    any_shop.run(*approve, by="robot").failed(4, "robot", "made by people")
    any_shop.run(*approve, by="ana").failed(4, "ana", "somebody else")
    assert any_shop.so.get(request.id).status is Status.PENDING


@pytest.mark.row("A6")
def test_an_edit_makes_an_older_digest_worthless(any_shop: Shop) -> None:
    for name in ("sam", "kim"):
        any_shop.person(name, "finance")
    request = any_shop.ask("pay_big")
    sent = ("--yes", "--digest", request.digest)
    raised = any_shop.run(
        "edit", request.id, "--set", "args.amount=9000", *sent, by="kim"
    )
    assert raised.code == 0, raised
    any_shop.run("approve", request.id, *sent, by="sam").failed(5, "something else now")
    now = any_shop.so.get(request.id)
    assert (now.status, now.args["amount"]) == (Status.PENDING, 9000)


def test_approving_shows_all_and_asks(shop: Shop) -> None:
    token = shop.person("sam")
    long = "x" * 5000
    request = shop.ask(args={**ARGS, "note": long})
    env = {"SIGNOFF_STORE": shop.address, "SIGNOFF_TOKEN": token}
    with Terminal(["approve", request.id], env) as terminal:
        terminal.wait_for("Approve this? [y/N]")
        assert request.digest in terminal.screen
        assert terminal.screen.count("x") >= len(long)
        terminal.type("n\n")
        assert terminal.end() == 1
    assert "Nothing was sent." in terminal.screen
    assert shop.so.get(request.id).status is Status.PENDING

    with Terminal(["approve", request.id], env) as terminal:
        terminal.wait_for("Approve this? [y/N]")
        terminal.type("y\n")
        assert terminal.end() == 0
    assert shop.so.get(request.id).status is Status.APPROVED


def test_ctrl_c_at_the_question_sends_nothing(shop: Shop) -> None:
    token = shop.person("sam")
    request = shop.ask()
    env = {"SIGNOFF_STORE": shop.address, "SIGNOFF_TOKEN": token}
    with Terminal(["approve", request.id], env) as terminal:
        terminal.wait_for("[y/N]")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
    assert "Traceback" not in terminal.screen
    assert shop.so.get(request.id).status is Status.PENDING


def test_an_edit_in_the_editor_shows_the_difference_and_asks(
    shop: Shop, tmp_path: Path
) -> None:
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i s/1450/10/ "$1"\n')
    editor.chmod(0o755)
    request = shop.ask()
    env = {
        "SIGNOFF_STORE": shop.address,
        "SIGNOFF_TOKEN": shop.person("sam"),
        "EDITOR": str(editor),
        "NO_COLOR": "1",
    }
    with Terminal(["edit", request.id, "--editor"], env) as terminal:
        terminal.wait_for("[y/N]")
        lines = terminal.screen.splitlines()
        (changed,) = (row for row in lines if row.startswith("~"))
        assert changed.split() == ["~", "amount", "1450", "10"]
        terminal.type("yes\n")
        assert terminal.end() == 0
    assert shop.so.get(request.id).args == {**ARGS, "amount": 10}


def test_all_arguments_come_from_a_file_or_from_stdin(shop: Shop) -> None:
    shop.person("sam")
    request = shop.ask()
    sent = ("--yes", "--digest", request.digest)
    text = json.dumps({**ARGS, "amount": 7})
    edited = shop.run(
        "edit", request.id, "--args-file", "-", *sent, by="sam", stdin=text
    )
    assert edited.code == 0, edited
    assert shop.so.get(request.id).args["amount"] == 7


def test_an_edit_may_choose_another_tool_of_the_agent(shop: Shop) -> None:
    shop.person("sam")
    shop.know("pay", "pay_later")
    request = shop.ask()
    sent = ("--yes", "--digest", request.digest)
    shop.run("edit", request.id, "--tool", "steal", *sent, by="sam")
    assert shop.so.get(request.id).status is Status.PENDING
    edited = shop.run("edit", request.id, "--tool", "pay_later", *sent, by="sam")
    assert edited.code == 0, edited
    now = shop.so.get(request.id)
    assert (now.tool, now.args) == ("pay_later", ARGS)
