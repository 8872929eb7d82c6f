"""The channels in the operator's file: what is wrong is named with its line."""

from pathlib import Path

import pytest

from signoff import Policy
from signoff.domain.errors import PolicyError
from signoff.notify import Mail, Webhook, read_settings
from tests.notify.hosts import OLD_SECRET, SECRET

GOOD = """\
base_url = "https://signoff.example.com"

[people]
bob = "bob@example.com"
"finance" = "finance@example.com"

[channels.mail]
type = "email"
host = "smtp.example.com"
from = "signoff@example.com"
to = ["ops@example.com"]
username = "signoff"
password_env = "SMTP_PASSWORD"

[channels.hook]
type = "webhook"
url = "https://example.com/hook"
secret_env = ["NEW", "OLD"]
attempts = 5

[[rule]]
verdict = "review"
tools = ["*"]
"""
ENV = {
    "SMTP_PASSWORD": "correct horse",
    "NEW": SECRET,
    "OLD": OLD_SECRET,
    "SHORT": "whsec_YQ==",
}
MAIL = '[channels.m]\ntype = "email"\nhost = "h"\nfrom = "a@example.com"\n'
HOOK = '[channels.h]\ntype = "webhook"\nurl = "https://x.example"\n'


def test_a_file_has_rules_and_channels(tmp_path: Path) -> None:
    file = tmp_path / "signoff.toml"
    file.write_text(GOOD)
    assert len(Policy.load(file).rules) == 1
    settings = read_settings(file, ENV)
    mail, hook = settings.channels
    assert isinstance(mail, Mail)
    assert isinstance(hook, Webhook)
    assert (mail.name, mail.attempts) == ("mail", 12)
    assert (hook.name, hook.attempts) == ("hook", 5)
    assert settings.base_url == "https://signoff.example.com"
    assert mail.recipients(["bob", "nobody"]) == ["bob"]
    assert mail.recipients(None) == ("ops@example.com",)
    assert ENV["SMTP_PASSWORD"] not in repr(vars(mail))


def test_a_file_without_channels_has_none(tmp_path: Path) -> None:
    file = tmp_path / "signoff.toml"
    file.write_text('[[rule]]\nverdict = "review"\ntools = ["*"]\n')
    assert read_settings(file, {}).channels == ()


def test_a_secret_may_be_in_a_file_beside(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text(f"{SECRET}\n{OLD_SECRET}\n")
    file = tmp_path / "signoff.toml"
    file.write_text(f'{HOOK}secret_file = "secrets"\n')
    (hook,) = read_settings(file, {}).channels
    assert isinstance(hook, Webhook)
    assert hook.headers("m", "{}")["webhook-signature"].count("v1,") == 2


WRONG = {
    "no TOML": ("a = [\n1,\n", None, "is not TOML", None),
    "channels": ("channels = 3\n", 1, "channels is a table", None),
    "a channel": ("[channels]\nm = 3\n", 2, "a channel is a table", None),
    "name": ('[channels."a b"]\ntype = "email"\n', 1, "name is letters", None),
    "no type": ("\n[channels.m]\nhost = 'h'\n", 2, "type must be one of", None),
    "type": ('[channels.m]\ntype = "emial"\n', 2, "not 'emial'", "email"),
    "typo": (f"{MAIL}usrname = 'x'\n", 5, "'usrname' is no setting", "username"),
    "missing": ('[channels.m]\ntype = "email"\nhost = "h"\n', 1, "needs from", None),
    "from": (
        MAIL.replace("a@example.com", "nobody"),
        4,
        "'nobody' is no e-mail address",
        None,
    ),
    "to": (f"{MAIL}to = ['a@b.example', 'x y']\n", 5, "no e-mail address", None),
    "port": (f"{MAIL}port = '25'\n", 5, "port", None),
    "plain": (f"{MAIL}tls = 'none'\n", 5, "for a server on this machine", None),
    "tls": (f"{MAIL}tls = 'ssl'\n", 5, "tls", None),
    "no password": (f"{MAIL}username = 'x'\n", 5, "goes with one of", None),
    "two passwords": (
        f"{MAIL}username = 'x'\npassword_env = 'A'\npassword_file = 'b'\n",
        5,
        "goes with one of",
        None,
    ),
    "no variable": (
        f"{MAIL}username = 'x'\npassword_env = 'NONE'\n",
        6,
        "the environment has no NONE",
        None,
    ),
    "no file": (
        f"{MAIL}username = 'x'\npassword_file = 'none'\n",
        6,
        "none can't be read: No such file",
        None,
    ),
    "no authority": (f"{MAIL}ca_file = 'none'\n", 5, "there is no file none", None),
    "unsigned": (HOOK, 1, "a webhook is signed", None),
    "short": (f"{HOOK}secret_env = 'SHORT'\n", 1, "base64 of 24 bytes", None),
    "no secret": (f"{HOOK}secret_env = 'SMTP_PASSWORD'\n", 1, "whsec_", None),
    "http": (
        HOOK.replace("https", "http") + "secret_env = 'NEW'\n",
        3,
        "must be https",
        None,
    ),
    "url": (
        '[channels.h]\ntype = "webhook"\nurl = "x.example"\nsecret_env = "NEW"\n',
        3,
        "no web address",
        None,
    ),
    "user in url": (
        '[channels.h]\ntype = "webhook"\nurl = "https://a:b@x.example"\n',
        3,
        "no web address",
        None,
    ),
    "person": ('[people]\nann = "a@b.example"\nbob = "bob"\n', 3, "bob needs", None),
    "base_url": ('base_url = "signoff"\n', 1, "is no web address", None),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, name: str) -> None:
    text, line, problem, suggestion = WRONG[name]
    file = tmp_path / "signoff.toml"
    file.write_text(text)
    with pytest.raises(PolicyError) as refused:
        read_settings(file, ENV)
    error = refused.value
    assert (error.file, error.line) == (str(file), line), str(error)
    assert problem in error.problem
    assert error.suggestion == suggestion


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"No such file or directory\. Check"):
        read_settings(tmp_path / "none.toml")
