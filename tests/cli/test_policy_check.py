"""`signoff policy check`: what is wrong is named by its line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from signoff.cli import app
from tests.cli.shop import Shop, signoff

GOOD = """\
[[rule]]
verdict = "allow"
tools = ["search_*"]

[[rule]]
verdict = "review"
tools = ["make_payment"]
when = "args.amount > 1000"
reviewers = ["finance"]

[[rule]]
verdict = "review"
tools = [
  "send_email",
  "make_payment",
]
"""
TOOLS = ("search_web", "make_payment", "send_email")
NAMED = [word for tool in TOOLS for word in ("--tool", tool)]


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good policy file in the current folder, where there is no store."""
    monkeypatch.chdir(tmp_path)
    file = Path("signoff.toml")
    file.write_text(GOOD)
    return file


def check(*arguments: str, **env: str) -> Result:
    """`signoff policy check signoff.toml` with these arguments."""
    command = ["policy", "check", "signoff.toml", *arguments]
    return CliRunner().invoke(app, command, env=env)


def test_a_good_policy_is_one_line(policy: Path) -> None:
    ended = signoff("policy", "check", str(policy.resolve()), cwd=policy.parent)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{policy.resolve()}: ok, 3 rules, version ")
    assert ended.out.count("\n") == 1
    assert list(Path().iterdir()) == [policy]


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("reviewers", "reviewer", "signoff.toml:9: 'reviewer' is no setting here"),
        ('"review"\ntools = ["make', '"revue"\ntools = ["make', ":6: 'revue' is no"),
        ("amount > 1000", "amount >", "signoff.toml:8: "),
        ("]\n\n[[rule]]", "\n\n[[rule]]", "signoff.toml:"),
        ('["finance"]', '"finance"', "signoff.toml:9: reviewers takes a list"),
    ],
)
def test_a_typo_is_named_by_file_and_line(
    policy: Path, was: str, now: str, said: str
) -> None:
    policy.write_text(GOOD.replace(was, now, 1))
    ended = check()
    assert ended.exit_code == 1
    assert ended.stdout.count("\n") == 1
    assert said in ended.stdout
    assert ended.stderr == ""


CHANNELS = """
[people]
bob = "bob@example.com"

[channels.mail]
type = "email"
host = "smtp.example.com"
from = "signoff@example.com"
username = "signoff"
password_env = "NOT_HERE"

[channels.hook]
type = "webhook"
url = "https://example.com/hook"
secret_env = ["NOR", "HERE"]
"""


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("bob@example.com", "bob", "signoff.toml:3: bob needs an e-mail address"),
        ("host =", "hots =", "signoff.toml:7: 'hots' is no setting here"),
        ('"webhook"', '"webhok"', "signoff.toml:13: type must be one of"),
        ("https:", "http:", "signoff.toml:14: url must be https"),
    ],
)
def test_channels_are_checked_too_but_for_their_secrets(
    policy: Path, was: str, now: str, said: str
) -> None:
    policy.write_text(CHANNELS + GOOD)
    assert check().exit_code == 0
    policy.write_text(CHANNELS.replace(was, now, 1) + GOOD)
    ended = check()
    assert ended.exit_code == 1
    assert ended.stdout.startswith(said)


def test_a_suggestion_is_made(policy: Path) -> None:
    policy.write_text(GOOD.replace("reviewers", "reviewer"))
    assert check().stdout.endswith("Did you mean 'reviewers'?\n")


@pytest.mark.row("B17")
def test_a_rule_for_a_tool_that_does_not_exist_is_named(policy: Path) -> None:
    assert check(*NAMED).exit_code == 0
    policy.write_text(GOOD.replace('"send_email"', '"send_mail"'))
    ended = check(*NAMED)
    assert ended.exit_code == 1
    assert ended.stdout == (
        "signoff.toml:14: 'send_mail' matches no tool. Did you mean 'send_email'?\n"
    )


@pytest.mark.row("B17")
def test_tools_are_read_from_the_agents_module(policy: Path) -> None:
    Path("shop_agent.py").write_text(
        "def search_web(): ...\n"
        "class Pay:\n    name = 'make_payment'\n"
        "TOOLS = [search_web, Pay(), 'send_mail']\n"
    )
    ended = check("--tools", "shop_agent:TOOLS")
    assert (ended.exit_code, ended.stdout.count("\n")) == (1, 1)
    assert "signoff.toml:14: 'send_email' matches no tool." in ended.stdout
    for wrong in ("shop_agent", "shop_agent:NONE", "no_such_agent:TOOLS"):
        ended = check("--tools", wrong)
        assert ended.exit_code == 2
        assert ended.stderr.startswith("error: --tools ")


@pytest.mark.row("B17")
def test_without_a_list_the_tools_are_those_that_agents_were_seen_to_have(
    policy: Path, shop: Shop
) -> None:
    shop.know("search_web", "make_payment", "send_mail")
    ended = check(SIGNOFF_STORE=shop.address)
    assert ended.exit_code == 0
    assert "signoff.toml:14: warning: 'send_email' matches no tool" in ended.stdout
    assert check("--strict", SIGNOFF_STORE=shop.address).exit_code == 1


@pytest.mark.row("B8")
def test_a_group_that_nobody_has_is_named(policy: Path, shop: Shop) -> None:
    shop.know(*TOOLS)
    shop.person("sam", "finanse")
    ended = check(SIGNOFF_STORE=shop.address)
    assert (ended.exit_code, ended.stdout.count("\n")) == (0, 2)
    assert "signoff.toml:9: warning: nobody with a token is 'finance'" in ended.stdout
    assert "Did you mean 'finanse'?" in ended.stdout
    shop.person("kim", "finance")
    assert "warning" not in check(SIGNOFF_STORE=shop.address).stdout


@pytest.mark.parametrize(
    ("tools", "when", "found"),
    [
        ('["make_payment"]', "", True),
        ('["*"]', "", True),
        ('["make_*", "send_*"]', "", True),
        ('["make_payment"]', 'when = "args.amount > 5"', False),
        ('["make_pay"]', "", False),
        ('["[!m]*"]', "", False),
    ],
)
def test_a_rule_that_is_never_reached_is_named(
    policy: Path, tools: str, when: str, *, found: bool
) -> None:
    first = f'[[rule]]\nverdict = "deny"\ntools = {tools}\n{when}\n'
    policy.write_text(first + GOOD)
    shadowed = "signoff.toml:9: warning: review(make_payment) is never reached: deny"
    assert (shadowed in check().stdout) is found


def test_json_has_every_finding(policy: Path) -> None:
    policy.write_text(GOOD.replace('"send_email"', '"send_mail"'))
    ended = check("--json", *NAMED)
    assert ended.exit_code == 1
    document = json.loads(ended.stdout)
    assert (document["ok"], document["rules"]) == (False, 3)
    assert document["findings"] == [
        {
            "level": "error",
            "line": 14,
            "problem": "'send_mail' matches no tool.",
            "suggestion": "send_email",
        }
    ]


def test_a_file_that_is_not_there_is_named(policy: Path) -> None:
    policy.unlink()
    ended = check()
    assert ended.exit_code == 1
    assert "signoff.toml: can't be read: No such file" in ended.stdout
