"""Secrets stay here; the digest is over all of it, and prose is left alone."""

from dataclasses import replace

import pytest

from signoff.domain.notices import Notice
from signoff.notify import redact
from signoff.notify.redact import is_card, says_secret, secrets_in
from tests.storage.making import request

NOTICE = Notice(kind="asked", request_id="req_1", revision=1)
# In two parts, so that no scanner takes this file for a leak.
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"
SLACK = "xoxb-" + "263594206564-2343594206574-FGqddMF8t08v8N7Oq4i57vs1"
STRIPE = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
OWN = "sgn_0123abcd_" + "A" * 43
KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END"


def redacted(**args: object) -> tuple[object, tuple[str, ...]]:
    """The arguments as they leave, and what is said to be left out."""
    shown, _, places = redact(replace(request(), args=args), NOTICE)
    return shown.args, places


@pytest.mark.row("I14", "C16")
@pytest.mark.parametrize(
    "secret", [AWS, GITHUB, SLACK, STRIPE, JWT, OWN, "4111 1111 1111 1111"]
)
def test_a_known_secret_inside_a_text_is_taken_out(secret: str) -> None:
    args, places = redacted(deep={"list": ["a", f"use {secret} for it"]})
    assert args == {"deep": {"list": ["a", "use [redacted] for it"]}}
    assert places == ("args.deep.list[1]",)


def test_a_private_key_takes_its_whole_text_with_it() -> None:
    args, _ = redacted(text=f"here: {KEY}")
    assert args == {"text": "[redacted]"}


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "db_password",
        "dbPassword",
        "API-Key",
        "apiKey",
        "X-API-KEY",
        "accessToken",
        "Authorization",
        "cookie",
        "client_secret",
        "privateKey",
        "cvc",
        "PIN",
    ],
)
def test_a_name_that_says_so_hides_its_value(name: str) -> None:
    assert says_secret(name)
    args, places = redacted(**{name: {"any": ["thing"]}})
    assert args == {name: "[redacted]"}
    assert places == (f"args.{name}",)


@pytest.mark.parametrize(
    "name", ["max_tokens", "author", "spinner", "keyboard", "tokenizer", "key", "id"]
)
def test_other_names_do_not(name: str) -> None:
    assert not says_secret(name)
    assert redacted(**{name: "a value"}) == ({name: "a value"}, ())


@pytest.mark.parametrize(
    "prose",
    [
        "Please transfer 1,450.00 EUR to ACC Logistics, invoice 2024-11-22-0001.",
        "commit 7fd1a60b01f91b314f59955a4e4d4e80d8edf11d fixes the build",
        "Order 1234567890123456 was shipped",
        "DE89 3704 0044 0532 0130 00",
        "550e8400-e29b-41d4-a716-446655440000",
        "The secret of a good team is trust.",
        "https://example.com/a?page=2",
    ],
)
def test_prose_is_left_alone(prose: str) -> None:
    assert list(secrets_in(prose)) == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("log in with password: hunter2!", "hunter2!"),
        ("https://bob:s3cretpw@example.com/x", "s3cretpw"),
        ("https://example.com/?token=abcdef123&x=1", "abcdef123"),
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
    ],
)
def test_assigned_secrets_are_found(text: str, secret: str) -> None:
    args, _ = redacted(text=text)
    assert secret not in str(args)


@pytest.mark.parametrize(
    ("digits", "card"),
    [
        ("4111111111111111", True),
        ("4111-1111-1111-1111", True),
        ("378282246310005", True),
        ("5555555555554444", True),
        ("4111111111111112", False),
        ("1234567812345670", False),
        ("41111111", False),
    ],
)
def test_card_numbers(digits: str, *, card: bool) -> None:
    assert is_card(digits) is card


def test_every_text_of_a_request_is_looked_through_and_its_digest_stays() -> None:
    asked = replace(
        request(),
        args={"n": 4111111111111111},
        proposed={"tool": "t", "args": {"password": "p"}},
        description=AWS,
        note=AWS,
        outcome={"message": AWS},
    )
    notice = replace(NOTICE, said={"reason": AWS, "decision": "reject"})
    shown, said, places = redact(asked, notice)
    assert AWS not in repr((shown, said))
    assert shown.args == {"n": "[redacted]"}
    assert shown.proposed == {"tool": "t", "args": {"password": "[redacted]"}}
    assert said.said["decision"] == "reject"
    assert shown.digest == asked.digest
    assert set(places) >= {"args.n", "description", "note", "said.reason"}
