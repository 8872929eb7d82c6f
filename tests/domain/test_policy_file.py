"""Policy files: what is wrong is named with its file, its line and what was meant."""

from datetime import timedelta
from pathlib import Path

import pytest

from signoff import Policy, allow, review
from signoff.domain.errors import PolicyError
from signoff.domain.policy_file import parse_policy

GOOD = """
[defaults]
expires_in = "2d"
risk = "high"

[[rule]]
verdict = "allow"
tools = ["search_*"]

[[rule]]  # the big ones
verdict = "review"
tools = ["make_payment"]
when = "args.amount > 1000"
approvals = 2
reviewers = ["finance"]
"""


def test_a_file_is_the_rules_in_python(tmp_path: Path) -> None:
    file = tmp_path / "signoff.toml"
    file.write_text(GOOD)
    same = Policy(
        [
            allow("search_*"),
            review(
                "make_payment",
                when="args.amount > 1000",
                approvals=2,
                reviewers=["finance"],
                expires_in=timedelta(days=2),
                risk="high",
            ),
        ]
    )
    assert Policy.load(file).version == Policy.load(str(file)).version == same.version


def test_an_empty_file_asks_about_everything() -> None:
    assert parse_policy("", "p.toml").version == Policy([]).version


WRONG = {
    "no TOML": ("a = [\n1,\n", 2, "is not TOML", None),
    "bad value": ("\nx = yes\n", 2, "is not TOML: Invalid value", None),
    "typo on top": (
        '[[rules]]\nverdict = "deny"\n',
        1,
        "'rules' is no setting",
        "rule",
    ),
    "one bracket": ('[rule]\nverdict = "deny"\n', 1, "written as [[rule]]", None),
    "a list of texts": ('rule = ["deny"]\n', 1, "written as [[rule]]", None),
    "defaults": ("defaults = 3\n", 1, "defaults is a table", None),
    "typo in defaults": (
        '[defaults]\nexpire_in = "2d"\n',
        2,
        "no setting",
        "expires_in",
    ),
    "no verdict": ('\n[[rule]]\ntools = ["a"]\n', 2, "a rule needs a verdict", None),
    "bad verdict": ('[[rule]]\nverdict = "alow"\n', 2, "'alow' is no verdict", "allow"),
    "verdict list": ('[[rule]]\nverdict = ["deny"]\n', 2, "is no verdict", None),
    "typo": (
        '[[rule]]\nverdict = "review"\ntools = ["a"]\naprovals = 2\n',
        4,
        "'aprovals' is no setting",
        "approvals",
    ),
    "second rule": (
        f"{GOOD}revewers = ['x']",
        16,
        "'revewers' is no setting",
        "reviewers",
    ),
    "not for this verdict": (
        '[[rule]]\nverdict = "allow"\ntools = ["a"]\napprovals = 2\n',
        4,
        "'approvals' is no setting here",
        None,
    ),
    "no tools": ('[[rule]]\nverdict = "deny"\n', 2, "names no tool", None),
    "tools a text": (
        '[[rule]]\nverdict = "deny"\ntools = "a"\n',
        3,
        "tools takes a list of names",
        None,
    ),
    "tools of numbers": (
        '[[rule]]\nverdict = "deny"\ntools = [1]\n',
        3,
        "tools takes a list of names",
        None,
    ),
    "approvals a text": (
        '[[rule]]\nverdict = "review"\ntools = ["a"]\napprovals = "2"\n',
        4,
        "approvals takes a whole number, not '2'",
        None,
    ),
    "approvals true": (
        '[[rule]]\nverdict = "review"\ntools = ["a"]\napprovals = true\n',
        4,
        "approvals takes a whole number",
        None,
    ),
    "approvals zero": (
        '[[rule]]\nverdict = "review"\ntools = ["a"]\napprovals = 0\n',
        4,
        "approvals must be 1 or more",
        None,
    ),
    "flag a text": (
        '[[rule]]\nverdict = "review"\ntools = ["a"]\nidempotent = "yes"\n',
        4,
        "idempotent takes true or false",
        None,
    ),
    "span": (
        '[[rule]]\nverdict = "review"\ntools = ["a"]\nexpires_in = "4 hours"\n',
        4,
        "expires_in must be a span",
        None,
    ),
    "span a number": (
        '[[rule]]\nverdict = "review"\ntools = ["a"]\nexpires_in = 4\n',
        4,
        "expires_in takes a text in quotes",
        None,
    ),
    "date": (
        '[[rule]]\nverdict = "review"\ntools = ["a"]\nname = 2026-01-01\n',
        4,
        "name takes a text in quotes",
        None,
    ),
    "risk": (
        '[[rule]]\nverdict = "review"\ntools = ["a"]\nrisk = "hihg"\n',
        4,
        "risk must be one of",
        None,
    ),
    "condition": (
        '[[rule]]\nverdict = "deny"\ntools = ["a"]\nwhen = "args.x >"\n',
        4,
        "Failed to parse",
        None,
    ),
    "unknown variable": (
        '[[rule]]\nverdict = "deny"\ntools = ["a"]\nwhen = "arg.x > 1"\n',
        4,
        "names 'arg'",
        None,
    ),
    "no window": ('[[rule]]\nverdict = "hold"\ntools = ["a"]\n', 2, "'window'", None),
    "nobody": (
        '[[rule]]\nverdict = "review"\ntools = ["a"]\nreviewers = []\n',
        4,
        "reviewers is empty",
        None,
    ),
}


@pytest.mark.row("B17")
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, name: str) -> None:
    text, line, problem, suggestion = WRONG[name]
    file = tmp_path / "signoff.toml"
    file.write_text(text)
    with pytest.raises(PolicyError) as refused:
        Policy.load(file)
    error = refused.value
    assert (error.file, error.line) == (str(file), line), str(error)
    assert problem in error.problem
    assert suggestion is None or error.suggestion == suggestion
    assert str(error).startswith(f"{file}:{line}: ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"No such file or directory\. Check"):
        Policy.load(tmp_path / "none.toml")
    with pytest.raises(PolicyError, match="can't be read: Is a directory"):
        Policy.load(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'name = "\xe9"')
    with pytest.raises(PolicyError, match="is not UTF-8; save it as UTF-8"):
        Policy.load(latin)


CALENDARS = """
[calendars.berlin]
timezone = "Europe/Berlin"
{setting}

[[rule]]
verdict = "review"
tools = ["pay"]
hours = "{hours}"
"""
WRONG_CALENDARS = {
    "unknown": ("", "berlim", 9, "there are: berlin", "berlin"),
    "key": ('opens = "09:00"', "berlin", 4, "'opens' is no setting", "open"),
    "time": ('open = "9 am"', "berlin", 4, "open: '9 am' is no time", None),
    "type": ("days = 5", "berlin", 4, "days takes a list of days", None),
    "inside": ("closed = [1]", "berlin", 4, "closed takes a list of dates", None),
}


@pytest.mark.parametrize("case", WRONG_CALENDARS)
def test_a_wrong_calendar_is_named_with_its_line(case: str) -> None:
    setting, hours, line, problem, suggestion = WRONG_CALENDARS[case]
    with pytest.raises(PolicyError) as caught:
        parse_policy(CALENDARS.format(setting=setting, hours=hours), "p.toml")
    assert problem in caught.value.problem
    assert (caught.value.line, caught.value.suggestion) == (line, suggestion)


def test_a_calendar_is_part_of_the_policy() -> None:
    setting = 'days = ["mon"]\nhours = {sat = "09:00-13:00"}\nclosed = [2026-12-24]'
    policy = parse_policy(CALENDARS.format(setting=setting, hours="berlin"), "p.toml")
    berlin = policy.calendars["berlin"]
    assert berlin.week == ((540, 1020), None, None, None, None, (540, 780), None)
    assert [str(day) for day in berlin.closed] == ["2026-12-24"]
