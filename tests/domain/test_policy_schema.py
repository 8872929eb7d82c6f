"""The reader and the schema: any file reads or says where it is wrong; both agree."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from signoff.domain.errors import PolicyError
from signoff.domain.policy import Policy
from signoff.domain.policy_file import MAKERS, ON_TOP, keywords, parse_policy
from signoff.domain.policy_schema import policy_schema
from tests.domain.test_policy_file import GOOD, WRONG

SCHEMA = policy_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
BEYOND_A_SCHEMA = re.compile(
    r"when=|idempotent lets|at most a hundred years|must be longer than zero"
    r"|needs? |must come before|stands instead|missing .* argument"
    r"|hours names the calendar|must close after|is no zone|is no date|days is empty"
)
DEEP = "[[rule]]\nverdict = 'deny'\ntools" + ".a" * 3_000 + " = 1\n"
HOSTILE = [
    "",
    "\ufeff[[rule]]\nverdict = 'deny'\ntools = ['a']\n",
    "a = " + "[" * 100_000,
    "a" + ".a" * 3_000 + " = 1",
    DEEP,
    DEEP.replace("tools", "verdict", 1),
    "[[rule]]\nverdict = " + "{a = " * 300 + "1" + "}" * 300,
    "[[rule]]\nverdict = 'review'\ntools = ['a']\napprovals = 1" + "0" * 5000,
    "[[rule]]\nverdict = 'review'\ntools = ['a']\napprovals = 1" + "0" * 18,
    "[defaults]\napprovals = 1" + "0" * 18,
    "[[rule]]\nverdict = 'deny'\ntools = ['a\\u0000b']\n",
    "[[rule]]\nverdict = 'deny'\ntools = ['a']\nreason = \"\\u0000\"\n",
    "[[rule]]\nverdict = 'deny'\ntools = ['a']\nwhen = '" + "(" * 9_000 + "'\n",
    "[[rule]]\nverdict = 'deny'\ntools = ['a']\nwhen = '" + "1+" * 200_000 + "1'\n",
    "[[rule]]\nverdict = 'deny'\ntools = ['" + "[" * 5_000 + "']\n",
    "[[rule]]\nverdict = 'hold'\ntools = ['a']\nwindow = '\u0663h'\n",
    "[[rule]]\nverdict = 'review'\ntools = ['a']\nexpires_in = '0.00000001s'\n",
    "x = 2026-13-45T99:99:99Z",
    "\r[[rule]]\r",
    "# \u2028\x85\n\n[[rule]]\nverdict = 'alow'\n",
]
PIECES = [
    *("[[rule]]\n", "[rule]\n", "[defaults]\n", "tools = ['a*', 'b']\n", "=", "\n"),
    *(f"verdict = '{verdict}'\n" for verdict in MAKERS),
    *("when = 'args.a > 1'\n", "when = 'arg'\n", "approvals = 2\n", "attempts = 0\n"),
    *("idempotent = true\n", "record = 1\n", "reviewers = ['x']\n", "reviewers = []\n"),
    *("decisions = ['approve']\n", "risk = 'low'\n", "risk = 'odd'\n", "name = ''\n"),
    *("window = '5m'\n", "window = 5\n", "expires_in = '3 h'\n", "valid_for = '0s'\n"),
    *("'''", '"""', "[", "]", "{", "}", "#", "\\", "\u202e", "\x00", "1e999", "nan"),
]
WORDS = sorted({key for make in MAKERS.values() for key in keywords(make)})
VALUES = st.one_of(
    st.booleans(),
    st.integers(-1, 3),
    st.text(max_size=8),
    st.sampled_from(["1h", "0s", "2.5 d", "low", "approve", "true", "args.a == 1"]),
    st.lists(st.sampled_from(["approve", "reject", "ann", "", "1h"]), max_size=3),
    st.lists(st.fixed_dictionaries({"after": st.just("1h"), "to": st.just(["x"])})),
    st.lists(st.fixed_dictionaries({"approvals": st.integers(0, 2)}), max_size=2),
)
RULES = st.fixed_dictionaries(
    {"verdict": st.sampled_from([*MAKERS, "alow"])},
    optional={
        "tools": st.lists(st.sampled_from(["a", "b*", ""]), max_size=2),
        **dict.fromkeys(WORDS, VALUES),
    },
)


def written(value: object) -> str:
    """A value in TOML."""
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {written(item)}" for key, item in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def table(header: str, values: dict[str, Any]) -> str:
    """A table of a file."""
    rows = (f"{key} = {written(value)}" for key, value in values.items())
    return "\n".join((header, *rows, ""))


def read(text: str) -> Policy | PolicyError:
    """What the reader makes of a file; anything but these two fails the test."""
    try:
        return parse_policy(text, "p.toml")
    except PolicyError as error:
        return error


def check(text: str) -> None:
    found = read(text)
    if isinstance(found, PolicyError):
        assert found.file == "p.toml"
        assert found.line is not None
        assert 1 <= found.line <= text.count("\n") + 1, (found.line, text)
        assert str(found).startswith(f"p.toml:{found.line}: ")
        assert len(str(found)) < 1_000 + 2 * len(text)
        if BEYOND_A_SCHEMA.search(found.problem) or "is not TOML" in found.problem:
            return
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError):
        assert isinstance(found, PolicyError)
        return
    problems = [error.message for error in VALIDATOR.iter_errors(data)]
    assert (problems == []) == isinstance(found, Policy), (found, problems)


@pytest.mark.parametrize("text", HOSTILE, ids=map(str, range(len(HOSTILE))))
def test_hostile_files_are_read_or_named(text: str) -> None:
    found = read(text)
    if isinstance(found, PolicyError):
        assert found.line is not None
        assert 1 <= found.line <= text.count("\n") + 1
        assert len(str(found)) < 2_000


def test_lines_are_counted_as_toml_does() -> None:
    found = read(HOSTILE[-1])
    assert isinstance(found, PolicyError)
    assert (found.line, found.suggestion) == (4, "allow")


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("[[rule]]\nverdict = 'deny'\ntools = [1e999, nan]\n")
def test_pieces_of_files_are_read_or_named(text: str) -> None:
    check(text)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_file_is_read_or_named(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 30)))
    new = data.draw(st.text(max_size=4) | st.sampled_from(PIECES))
    check(GOOD[:start] + new + GOOD[end:])


@settings(max_examples=400)
@given(
    st.lists(RULES, max_size=3),
    st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=2),
)
@example([], {"any_of": [{"after": "1h", "to": ["x"]}]})
@example([], {"any_of": [{"approvals": 0}]})
def test_reader_and_schema_agree(
    rules: list[dict[str, Any]], defaults: dict[str, Any]
) -> None:
    text = table("[defaults]", defaults)
    check(text + "".join(table("[[rule]]", rule) for rule in rules))


CALENDARS = st.fixed_dictionaries(
    {},
    optional={
        "timezone": st.sampled_from(["Europe/Berlin", "UTC", "Europe/Berln", 3]),
        "days": st.lists(st.sampled_from(["mon", "sun", "monday"]), max_size=2),
        "open": st.sampled_from(["09:00", "9:00", "24:00", "\u0669:00"]),
        "close": st.sampled_from(["17:00", "24:00", "25:00", 17]),
        "hours": st.dictionaries(
            st.sampled_from(["sat", "sut"]),
            st.sampled_from(["09:00-13:00", "13:00 - 09:00", "9-13"]),
            max_size=2,
        ),
        "holidays": st.sampled_from(["DE", "DE-BE", True]),
        "closed": st.lists(st.sampled_from(["2026-12-24", "soon"]), max_size=2),
        "opens": st.just("09:00"),
    },
)


@settings(max_examples=200)
@given(CALENDARS, st.sampled_from(["berlin", "paris"]))
def test_calendars_are_in_the_schema_too(hours: dict[str, Any], name: str) -> None:
    rule = {"verdict": "review", "tools": ["pay"], "hours": name}
    check(table("[calendars.berlin]", hours) + table("[[rule]]", rule))


def test_a_file_keeps_its_calendars(tmp_path: Path) -> None:
    file = tmp_path / "signoff.toml"
    hours = "[calendars.berlin]\ntimezone = 'Europe/Berlin'\nclosed = [2026-12-24]\n"
    rule = "[[rule]]\nverdict = 'review'\ntools = ['a']\nhours = 'berlin'\n"
    told = "base_url = 'https://x.example'\n[people]\nbob = 'bob@x.example'\n"
    file.write_text(told + hours + rule)
    policy = Policy.load(file)
    assert set(policy.calendars) == {"berlin"}
    assert policy.source == str(file)
    VALIDATOR.validate(tomllib.loads(file.read_text()))


@pytest.mark.parametrize("name", WRONG)
def test_the_schema_refuses_what_the_reader_names(name: str) -> None:
    check(WRONG[name][0])


def test_the_schema_is_one_and_knows_every_setting() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]["defaults"]["properties"]) == set(WORDS)
    assert set(SCHEMA["properties"]) == set(ON_TOP)
    VALIDATOR.validate(tomllib.loads(GOOD))


def test_a_default_is_checked_though_no_rule_takes_it() -> None:
    found = read("[defaults]\nrisk = 'low'\n\nexpires_in = '4 hours'\n")
    assert isinstance(found, PolicyError)
    assert found.line == 4
    assert "must be a span" in found.problem
    assert isinstance(read("[defaults]\nidempotent = true\n"), Policy)
