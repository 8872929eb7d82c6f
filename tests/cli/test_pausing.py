"""`signoff pause`, `signoff resume` and `signoff pauses`."""

import pytest

from signoff.domain.principals import PrincipalKind
from tests.cli.shop import Shop

pytestmark = pytest.mark.slow  # each command is a process of its own


def test_a_pause_from_the_command_line_and_back(any_shop: Shop) -> None:
    shop = any_shop
    shop.person("mia")
    request = shop.ask()
    made = shop.run(
        "pause", "--agent", "bookkeeper", "-r", "odd\u202e", "--json", by="mia"
    )
    pause = made.json["pause"]
    assert (pause["agent"], pause["thread"], pause["tool"]) == (
        "bookkeeper",
        None,
        None,
    )
    assert (pause["paused_by"], pause["active"]) == ("mia", True)
    assert shop.so.get(request.id).frozen_at == pause["paused_at"]
    listed = shop.run("list", by="mia")
    assert "paused" in listed.out
    assert "PAUSED: agent bookkeeper, by mia: odd[U+202E]" in listed.err
    shown = shop.run("pauses", by="mia")
    assert pause["id"] in shown.out
    assert "0 call(s) wait" in shown.err
    assert "once it goes on" in shop.run("show", request.id, by="mia").out
    ended = shop.run("resume", "--agent", "bookkeeper", by="mia")
    assert ended.out == f"lifted: agent bookkeeper ({pause['id']})\n"
    assert shop.so.pauses() == []
    assert shop.so.get(request.id).frozen_at is None
    every = shop.run("pauses", "--all", "--json", by="mia").json
    assert [one["lifted_by"] for one in every["pauses"]] == ["mia"]
    shop.run("resume", pause["id"], by="mia").failed(5, "already lifted by mia")


def test_resume_lifts_what_is_named_and_says_what_stays(shop: Shop) -> None:
    shop.person("mia")
    ids = [
        shop.run("pause", *scope, "--json", by="mia").json["pause"]["id"]
        for scope in ((), ("--tool", "pay*"), ("--thread", "t1"))
    ]
    one = shop.run("resume", "--tool", "pay*", by="mia")
    assert one.code == 0
    assert f"Still paused: everything ({ids[0]})." in one.err
    both = shop.run("resume", "--all", "--json", by="mia").json
    assert [lifted["id"] for lifted in both["lifted"]] == [ids[0], ids[2]]
    assert "Nothing is paused." in shop.run("pauses").err


def test_refusals(shop: Shop) -> None:
    shop.person("mia")
    shop.person("bot", kind=PrincipalKind.AGENT)
    shop.person("watchdog", kind=PrincipalKind.SERVICE)
    shop.run("pause").failed(4, "No token was sent")
    shop.run("pause", by="bot").failed(4, "people and services")
    shop.run("pause", "--tool", "", by="mia").failed(2, "tool: is empty")
    assert shop.run("pause", by="watchdog").code == 0
    shop.run("resume", "--all", by="watchdog").failed(4, "lifted by people")
    shop.run("resume", by="mia").failed(2, "--all")
    shop.run("resume", "pau_x", "--all", by="mia").failed(2, "--all")
    shop.run("resume", "pau_x", by="mia").failed(3, "signoff pauses")
    shop.run("resume", "--tool", "none", by="mia").failed(3, "none")
