"""What is printed: literal text, whole values, and JSON for programs."""

import json
import re
from datetime import timedelta

import pytest
from typer.testing import CliRunner, Result

from signoff import Approve, Principal, Respond, Signoff
from signoff.cli import app
from signoff.cli.describe import fields, headline
from signoff.clock import Clock
from tests.cli.shop import ARGS, POLICY, Shop

SAM = Principal(id="sam", groups=frozenset({"finance"}))
HOSTILE = "[bold red]ok[/] \x1b[31mred\x1b[0m \u202egnp.exe \x9b2J\r\u200b:smile: x"


def run(shop: Shop, *arguments: str, **env: str) -> Result:
    """A command in this process; it must succeed."""
    given = {"SIGNOFF_STORE": shop.address, "COLUMNS": "120", **env}
    result = CliRunner().invoke(app, list(arguments), env=given)
    assert result.exit_code == 0, result.output
    return result


def rows(text: str) -> dict[str, str]:
    """The lines of `show` by their first column."""
    found = (re.split(r"\s{2,}", row.strip(), maxsplit=1) for row in text.splitlines())
    return {row[0]: row[1] for row in found if len(row) > 1}


def test_show_says_all_that_a_decision_needs(shop: Shop) -> None:
    for name in ("sam", "kim"):
        shop.person(name, "finance")
    request = shop.ask("pay_big", {"amount": 10, "to": "10", "tags": [], "rate": 1.0})
    shop.so.decide(request.id, Approve(reason="ok"), by=SAM, digest=request.digest)
    shown = rows(run(shop, "show", request.id).stdout)
    expected = {
        "amount": "10  integer",
        "to": "10  text",
        "tags": "[]  list",
        "rate": "1.0  number",
        "request": request.id,
        "status": "waits for people",
        "risk": "critical",
        "context": "agent bookkeeper · thread t1 · for ana · team ops",
        "who": "two of finance, but not ana, for whom it runs",
        "agreed": "1 of 2: still one more of finance",
        "answers": "approve, reject, edit, respond",
        "digest": request.digest,
    }
    assert {name: re.sub(r"\s{2,}", "  ", shown[name]) for name in expected} == expected
    assert re.fullmatch(
        r"rejected in 6d 23h if nobody answers|rejected in 1w if nobody answers",
        shown["deadline"],
    )
    assert re.fullmatch(r"sam \(finance\) approved, \d+s ago: ok", shown["vote"])
    assert shown["rule"].startswith("review(pay_big) · policy ")


@pytest.mark.row("B16")
def test_an_agents_text_is_printed_as_it_is(shop: Shop) -> None:
    request = shop.ask(args={**ARGS, "to": HOSTILE, f"k\n{HOSTILE}": 1}, schema=None)
    for arguments in (["show", request.id, "--history"], ["list"]):
        for colour in ({"FORCE_COLOR": "1"}, {}):
            output = run(shop, *arguments, **colour).stdout
            plain = re.sub(r"\x1b\[[0-9;]*m", "", output) if colour else output
            # Nothing of the agent's: what Rich itself writes was just taken out.
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", plain)
            assert "\x1b[31mred" not in output
    shown = run(shop, "show", request.id, COLUMNS="200").stdout
    revealed = "[bold red]ok[/] [U+001B][31mred[U+001B][0m [U+202E]gnp.exe"
    assert f"{revealed} [U+009B]2J[U+000D][U+200B]:smile: x" in shown
    assert '["k' in shown
    assert "9 hidden character(s)" in shown
    listed = json.loads(run(shop, "list", "--json").stdout)
    assert listed["requests"][0]["args"]["to"] == HOSTILE
    assert run(shop, "list", "--json").stdout.isascii()


def test_two_fields_never_look_like_one() -> None:
    args = {"a.b": 1, "a": {"b": 2, "": 3}, "c": [{"d": 4}, []], "e[0]": 5, "e": [6]}
    assert fields(args) == {
        '["a.b"]': 1,
        "a.b": 2,
        'a[""]': 3,
        "c[0].d": 4,
        "c[1]": [],
        '["e[0]"]': 5,
        "e[0]": 6,
    }


def test_a_long_value_is_cut_and_says_so(shop: Shop) -> None:
    request = shop.ask(args={**ARGS, "note": "head" + "y" * 9992 + "tail"})
    cut = run(shop, "show", request.id).stdout
    assert "head" in cut
    assert "tail" in cut
    assert "9,640 of 10,000 characters are left out" in cut
    assert cut.count("y") < 400
    whole = run(shop, "show", request.id, "--full").stdout
    assert whole.count("y") >= 9992


def test_an_edited_request_shows_what_the_agent_proposed(shop: Shop) -> None:
    from signoff import Edit

    request = shop.ask("pay_big")
    changed = Edit(args={**ARGS, "amount": 9, "to": "9"})
    shop.so.decide(request.id, changed, by=SAM, digest=request.digest)
    shown = run(shop, "show", request.id).stdout
    marked = [row.split() for row in shown.splitlines() if row.startswith("~")]
    assert marked == [
        ["~", "amount", "1450", "9"],
        ["~", "to", "ACC", "Logistics", "9"],
    ]


def test_json_keeps_types_and_is_one_document(shop: Shop) -> None:
    args = {**ARGS, "rate": 2.0, "note": None}
    request = shop.ask(args=args)
    shown = json.loads(run(shop, "show", request.id, "--json", "--history").stdout)
    names = ("agreement", "entry", "history", "request", "stages", "votes")
    assert sorted(shown) == [*names]
    assert json.dumps(shown["request"]["args"]) == json.dumps(args)
    assert shown["request"]["asked_at"] == request.asked_at
    assert shown["request"]["terms"]["decisions"] == [
        "approve",
        "reject",
        "edit",
        "respond",
    ]
    assert [event["kind"] for event in shown["history"]] == ["asked"]


def test_a_list_is_filtered_paged_and_says_how_to_go_on(shop: Shop) -> None:
    for number in range(5):
        shop.ask(args={**ARGS, "amount": number}, thread=f"t{number}")
    shop.ask("mail", {"to": "x"}, schema=None)
    page = run(shop, "list", "--tool", "pay", "--limit", "2")
    assert page.stdout.count("pay(") == 2
    match = re.search(r"2 of 5. The next page: signoff (list .*)", page.stderr)
    assert match is not None
    found = [page.stdout, run(shop, *match[1].split()).stdout]
    assert sum(text.count("pay(") for text in found) == 4
    everything = json.loads(run(shop, "list", "--all", "--json").stdout)
    assert (len(everything["requests"]), everything["next"]) == (6, None)
    one = json.loads(run(shop, "list", "--thread", "t3", "--json").stdout)
    assert [r["args"]["amount"] for r in one["requests"]] == [3]
    assert run(shop, "list", "--agent", "nobody").stderr == "Nothing waits.\n"


def test_every_status_can_be_listed(shop: Shop) -> None:
    request = shop.ask()
    shop.ask()
    shop.so.decide(request.id, Approve(), by=SAM, digest=request.digest)
    for status, count in (("approved", 1), ("any", 2), ("expired", 0)):
        found = run(shop, "list", "--status", status, "--json").stdout
        assert len(json.loads(found)["requests"]) == count
    assert "approved by sam" in run(shop, "list", "--status", "approved").stdout


def test_the_deadline_is_told_by_the_databases_clock(sqlite_url: str) -> None:
    clock = Clock()
    so = Signoff(sqlite_url, policy=POLICY, clock=clock)
    shop = Shop(so, sqlite_url)
    request = shop.ask()
    clock.offset = timedelta(days=8)
    so.expire_due()
    so.close()
    shown = rows(run(shop, "show", request.id).stdout)
    assert shown["status"].startswith("expired: nobody answered in time")
    assert "deadline" not in shown


def test_no_style_leaves_a_terminal_that_wants_none(shop: Shop) -> None:
    request = shop.ask()
    plain = {"FORCE_COLOR": "1", "NO_COLOR": "1"}
    assert "\x1b" not in run(shop, "show", request.id, **plain).stdout
    assert "\x1b" in run(shop, "show", request.id, FORCE_COLOR="1").stdout


def test_a_headline_is_one_line_of_bounded_length() -> None:
    text = headline("t\nool", {"a": "x\ny" * 500, "b": float("inf")})
    assert len(text) <= 100
    assert "\n" not in text


def test_a_narrow_terminal_loses_no_character(shop: Shop) -> None:
    request = shop.ask(args={**ARGS, "note": "Ω" * 300, "Ψ" * 90: True}, schema=None)
    for colour in ({}, {"FORCE_COLOR": "1"}):
        shown = run(shop, "show", request.id, COLUMNS="40", **colour).stdout
        assert (shown.count("Ω"), shown.count("Ψ")) == (300, 90)


def test_show_says_how_far_a_workflow_is(shop: Shop) -> None:
    names = ["research", "plan", "publish"]
    shop.so.declare_stages("t1", names)
    shop.so.keep("stg_1", thread="t1", stage="research", value=HOSTILE)
    first = shop.gate("plan", {"cost": 9})
    shop.so.decide(
        first.id, Respond(message=f"cheaper {HOSTILE}"), by=SAM, digest=first.digest
    )
    second = shop.gate("plan", {"cost": 8})
    result = run(shop, "show", second.id)
    shown = rows(result.stdout)
    assert shown["stages"] == (
        "research: done, plan: waiting (round 2), publish: ahead"
    )
    assert shown["question"] == "Go ahead?"
    assert shown["made by"].startswith("research: [bold red]ok[/] [U+001B][31mred")
    assert shown["round 1"].startswith("changes: cheaper [bold red]ok[/] [U+001B]")
    assert "\x1b" not in result.stdout
    document = json.loads(run(shop, "show", second.id, "--json").stdout)
    assert [one["state"] for one in document["stages"]] == ["done", "waiting", "ahead"]
    assert document["stages"][1]["remarks"] == [f"cheaper {HOSTILE}"]
