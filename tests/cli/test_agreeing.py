"""Who is asked and by whose right: assign, delegate, and what `show` says of it."""

from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from signoff import Approve, Policy, Principal, Status, quorum, review
from signoff.cli import app
from signoff.cli.findings import findings
from tests.cli.shop import Shop

SAM = Principal(id="sam", groups=frozenset({"finance"}))


def run(shop: Shop, *words: str, by: str = "sam") -> tuple[int, str, str]:
    """A command in this process: its exit code, output and errors."""
    env = {"SIGNOFF_STORE": shop.address, "SIGNOFF_TOKEN": shop.person(by)}
    ended = CliRunner().invoke(app, list(words), env={**env, "COLUMNS": "160"})
    return ended.exit_code, ended.stdout, ended.stderr


def test_a_right_is_lent_used_and_taken_back(any_shop: Shop) -> None:
    shop = any_shop
    shop.person("sam", "finance")
    shop.person("kim")
    request = shop.ask("pay_big")
    approve = ("approve", request.id, "--yes", "--digest", request.digest)
    code, out, err = run(shop, *approve, by="kim")
    assert (code, out) == (4, "")
    assert "decided by: finance" in err
    code, out, err = run(
        shop, "delegate", "create", "kim", "--ends", "14d", "-r", "ill"
    )
    assert (code, "kim decides for sam" in out, "From 20" in err) == (0, True, True)
    code, out, err = run(shop, *approve, "--for", "sam", by="kim")
    assert code == 0
    assert "still one more of finance" in out
    _, shown, _ = run(shop, "show", request.id, by="kim")
    assert "kim for sam (finance) approved" in shown
    assert "1 of 2: still one more of finance" in shown
    (lent,) = shop.so.delegations()
    fortnight = pytest.approx(14 * 86_400_000_000, abs=60_000_000)
    assert lent.reason == "ill"
    assert lent.ends_at - lent.starts_at == fortnight
    _, listed, _ = run(shop, "delegate", "list")
    assert all(word in listed for word in (lent.id, "kim", "works", "ill"))
    assert run(shop, "delegate", "revoke", lent.id)[:2] == (0, f"revoked: {lent.id}\n")
    assert "revoked" in run(shop, "delegate", "list")[1]
    code, _, err = run(shop, "delegate", "revoke", lent.id)
    assert (code, "delegate list" in err) == (3, True)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("soon", "takes a time such as"),
        ("2100-01-01T12:00", "has no zone"),
        ("2000-01-01", "must be later"),
    ],
)
def test_a_time_that_says_nothing_is_refused(shop: Shop, when: str, said: str) -> None:
    shop.person("kim")
    code, out, err = run(shop, "delegate", "create", "kim", "--ends", when)
    assert (code, out) == (2, "")
    assert said in err


def test_times_are_read_with_their_zone(shop: Shop) -> None:
    shop.person("kim")
    given = ("--starts", "2100-01-01T12:00+02:00", "--ends", "2100-02-01")
    code, _, _ = run(shop, "delegate", "create", "kim", *given)
    assert code == 0
    (lent,) = shop.so.delegations()
    starts = datetime.fromisoformat("2100-01-01T10:00+00:00").timestamp()
    ends = datetime.fromisoformat("2100-02-01T00:00+00:00").timestamp()
    assert (lent.starts_at, lent.ends_at) == (starts * 1e6, ends * 1e6)
    assert "starts in" in run(shop, "delegate", "list")[1]


def test_a_request_is_assigned_listed_and_taken_back(any_shop: Shop) -> None:
    shop = any_shop
    for name in ("sam", "kim"):
        shop.person(name, "finance")
    first, second = shop.ask("pay_big"), shop.ask("pay_big")
    code, out, err = run(shop, "assign", first.id, "kim")
    assert (code, out.startswith("assigned to kim: pay_big(")) == (0, True)
    assert "still may" in err
    for words, by in ((("--mine",), "kim"), (("--assigned-to", "kim"), "sam")):
        _, out, _ = run(shop, "list", *words, by=by)
        assert (first.id[:12] in out, second.id[:12] in out) == (True, False)
        assert "kim" in out
    assert "kim; others may decide it too" in run(shop, "show", first.id)[1]
    assert run(shop, "assign", first.id, "--nobody")[0] == 0
    assert shop.so.get(first.id).assignee is None
    assert run(shop, "assign", first.id)[0] == 2
    assert run(shop, "list", "--mine", "--assigned-to", "kim")[0] == 2
    code, _, err = run(shop, "assign", first.id, "ana")
    assert code == 4
    assert "can be assigned to: finance" in err or "on your behalf" in err


def test_alternatives_are_shown_in_words(shop: Shop) -> None:
    either = [quorum("cfo"), quorum("finance", approvals=2)]
    shop.so.policy = Policy([review("*", any_of=either, denials=2)])
    request = shop.ask("wire")
    shown = run(shop, "show", request.id)[1]
    assert "one of cfo, or two of finance, but not ana, for whom it runs" in shown
    assert "2 rejections end it" in shown
    shop.so.decide(request.id, Approve(), by=SAM, digest=request.digest)
    shown = run(shop, "show", request.id)[1]
    assert "1 of 2: still one more of finance, or one of cfo" in shown
    assert shop.so.get(request.id).status is Status.PENDING


def test_a_check_names_unknown_reviewers_of_alternatives_and_ladders(
    tmp_path: Path,
) -> None:
    file = tmp_path / "signoff.toml"
    file.write_text(
        '[[rule]]\nverdict = "review"\ntools = ["pay"]\n'
        'any_of = [{reviewers = ["finanse"]}, {approvals = 2}]\n'
        'ladder = [{after = "2h", to = ["boss"]}]\n'
    )
    found = findings(
        file, Policy.load(file), set(), complete=False, people={"finance", "cfo"}
    )
    said = [(one.line, one.suggestion) for one in found]
    assert said == [(4, "finance"), (5, None)]
    assert "'boss'" in found[1].problem
