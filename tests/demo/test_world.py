"""The world: paths stay inside, the bank keeps its books, a snapshot sees all."""

from pathlib import Path
from typing import Any

import pytest

from signoff.demo.bank import Bank, Payment
from signoff.demo.snapshot import changes, expected
from signoff.demo.tools import make_tools
from signoff.demo.world import World
from signoff.domain.errors import NotApplied


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


@pytest.mark.parametrize("path", ["../bank.db", "/etc/passwd", "", ".", "drafts/../.."])
def test_a_path_that_leads_out_is_refused(path: str, world: World) -> None:
    with pytest.raises(NotApplied):
        world.file(path)


def test_a_link_that_leads_out_is_refused(world: World) -> None:
    (world.files / "link").symlink_to(world.folder)
    with pytest.raises(NotApplied):
        world.existing("link/bank.db")


def _payment(payee: str, cents: int) -> Payment:
    return Payment(id=0, payee=payee, cents=cents, reference="r", speed="standard")


@pytest.mark.parametrize(
    ("payee", "cents", "why"),
    [("Nobody", 100, "no such payee"), ("City Power", 10**9, "not enough money")],
)
def test_a_refused_payment_moves_nothing(
    payee: str, cents: int, why: str, tmp_path: Path
) -> None:
    bank = Bank(tmp_path / "bank.db")
    before = bank.balances()
    with pytest.raises(NotApplied, match=why):
        bank.pay(_payment(payee, cents), key=None)
    assert (bank.balances(), bank.payments()) == (before, ())


def test_a_payment_under_the_same_key_is_made_once(tmp_path: Path) -> None:
    bank = Bank(tmp_path / "bank.db")
    bank.pay(_payment("City Power", 100), key="k")
    with pytest.raises(NotApplied, match="paid before"):
        bank.pay(_payment("City Power", 100), key="k")
    assert len(bank.payments()) == 1


CALLS: dict[str, dict[str, Any]] = {
    "delete_file": {"path": "release-notes.md"},
    "write_file": {"path": "new/ü.md", "text": "x\r\nü"},
    "send_email": {
        "to": ["a@example.com", "b@example.com"],
        "subject": "ü",
        "body": "ü\n",
    },
    "make_payment": {"payee": "City Power", "amount": 10.1, "reference": "r"},
    "push_to_production": {"path": "release-notes.md", "message": "m"},
}


@pytest.mark.parametrize("tool", CALLS)
def test_each_tool_does_exactly_what_is_expected_of_it(tool: str, world: World) -> None:
    tools = {one.name: one for one in make_tools(world)}
    with world.mail.running():
        before = world.snapshot()
        tools[tool].invoke(CALLS[tool])
        after = world.snapshot()
    assert after == expected(before, tool, CALLS[tool])
    assert after != before
    assert len(changes(before, after)) == 1


@pytest.mark.parametrize("tool", ["send_email", "make_payment", "push_to_production"])
def test_done_twice_is_not_what_is_expected(tool: str, world: World) -> None:
    tools = {one.name: one for one in make_tools(world)}
    with world.mail.running():
        before = world.snapshot()
        tools[tool].invoke(CALLS[tool])
        tools[tool].invoke(CALLS[tool])
        assert world.snapshot() != expected(before, tool, CALLS[tool])


def test_without_a_mail_server_nothing_is_sent(world: World) -> None:
    with pytest.raises(NotApplied):
        make_tools(world)[4].invoke(CALLS["send_email"])
