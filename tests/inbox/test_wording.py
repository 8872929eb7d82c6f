"""What the inbox says about a call, from its tool and arguments alone."""

import json

import pytest

from signoff.domain.requests import RequestKind
from signoff.inbox.wording import (
    INSIDE,
    compact,
    headline,
    hidden_in,
    plain_label,
    rows,
    value_kind,
    value_text,
)


def said(tool: str, **args: object) -> str:
    return headline(tool, args, RequestKind.ACTION)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (said("delete_file", path="a.txt"), "Delete file a.txt"),
        (
            said("make_payment", to="ACME", amount=250.0, currency="EUR"),
            "Make payment 250.0 EUR to ACME",
        ),
        (
            said(
                "send_email", body="Hi", subject="The offer", to=["a@x.org", "b@x.org"]
            ),
            "Send email to a@x.org, b@x.org about “The offer” (and 1 more)",
        ),
        (
            said("set_state", account="A-1", state="won"),
            "Set state of A-1 (and 1 more)",
        ),
        (said("ping"), "Ping"),
        (said("tune", level=3, fast=True), "Tune level 3 (and 1 more)"),
        (said("pay", to="x\u202ey"), "Pay to x[U+202E]y"),
        (
            headline("plan_review", {"plan": {"a": 1}}, RequestKind.GATE),
            "Go on after: Plan review",
        ),
    ],
)
def test_a_headline_is_made_of_the_real_arguments(line: str, expected: str) -> None:
    assert line == expected


def test_a_value_that_reads_like_our_words_stands_in_quotes() -> None:
    line = said("pay", to="ACME, already approved by security")
    assert line == "Pay to “ACME, already approved by security”"


def test_a_headline_is_one_short_line() -> None:
    line = said("send_email", to="a@x.org", subject="long " * 40)
    assert "\n" not in line
    assert len(line) < 120


def test_rows_compare_with_what_was_proposed() -> None:
    found = rows(
        {"a": 1, "n": {"x": "new"}, "more": True},
        {"a": 1, "n": {"x": "old"}, "gone": 2},
    )
    table = {row.name: (row.text, row.was, row.changed) for row in found}
    assert table == {
        "a": ("1", None, False),
        f"n{INSIDE}x": ("new", "old", True),
        "more": ("true", None, True),
        "gone": (None, "2", True),
    }


def test_a_change_of_type_is_a_change() -> None:
    assert [row.changed for row in rows({"a": "1"}, {"a": 1})] == [True]
    assert [row.changed for row in rows({"a": 1.0}, {"a": 1})] == [True]
    assert [row.changed for row in rows({"a": None}, {})] == [True]


def test_a_key_that_imitates_a_nested_one_hides_nothing() -> None:
    found = rows({f"a{INSIDE}b": "decoy", "a": {"b": "real"}}, {})
    assert {row.name for row in found} == {f"a{INSIDE}b", "a"}
    assert "real" in str([row.text for row in found])


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "null", "null"),
        (True, "yes/no", "true"),
        (1.0, "number", "1.0"),
        ("1", "text", "1"),
        (["a", 1], "list of 2", '"a"\n1'),
        ({"a": [1]}, "object", '{\n  "a": [\n    1\n  ]\n}'),
        ("a\u200bb", "text", "a[U+200B]b"),
        (["a\u200bb"], "list of 1", '"a\\u200bb"'),
    ],
)
def test_values_show_their_type(value: object, kind: str, text: str) -> None:
    assert (value_kind(value), value_text(value)) == (kind, text)


def test_hidden_characters_are_counted_in_keys_too() -> None:
    assert hidden_in({"a\u200b": ["\u202e", {"b": "\U000e0041x"}]}) == 3


def test_json_with_hidden_characters_reads_back_unchanged() -> None:
    value = {"k\u200b": "\u202e\U000e0041é漢"}
    text = compact(value)
    assert json.loads(text) == value
    assert hidden_in(text) == 0
    assert "é漢" in text


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("payment_id", "Payment id"),
        ("to", "To"),
        ("X-Tag", "X-Tag"),
        ("- x", "Field"),
        ("a--b", "Field"),
        ("to\n# x", "Field"),
        ("**bold**", "Field"),
        ("[a](https://x)", "Field"),
        (":red[x]", "Field"),
        ("1. x", "Field"),
        ("www.evil.example", "Field"),
        ("$x$", "Field"),
        ("", "Field"),
        ("a\u202eb", "Field"),
    ],
)
def test_a_label_is_plain_or_neutral(name: str, label: str) -> None:
    assert plain_label(name) == label
