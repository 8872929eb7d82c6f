"""Payloads: kept whole, noticed when wrong, sealed, and removed."""

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from cryptography.fernet import Fernet

from signoff import Signoff
from signoff.domain.errors import (
    CannotCapture,
    InvalidSetting,
    MissingExtra,
    PayloadLost,
    PayloadRefused,
)
from signoff.domain.journal import Entry, EntryState
from signoff.payloads import FolderPayloads, open_payloads, read_key
from signoff.payloads.objects import ObjectPayloads
from signoff.service.keeping import KEPT, Keeping, Payloads
from tests.support import run_python

SECRET = "hunter2-hunter2"
ENTRY = Entry(
    id="ent_1",
    action_id="act_1",
    request_id=None,
    thread="t1",
    tool="tool",
    key="act_1",
    state=EntryState.RUNNING,
    attempt=1,
    attempts=1,
    idempotent=False,
    worker="w",
    lease_until=0,
    started_at=0,
)
BIG = {"text": SECRET * 5000}


@pytest.fixture(params=["folder", "fsspec", "memory"])
def payloads(request: pytest.FixtureRequest, tmp_path: Path) -> Payloads:
    """Each place: a folder of ours, a folder over fsspec, and fsspec's memory."""
    if request.param == "folder":
        return FolderPayloads(tmp_path / "payloads")
    if request.param == "fsspec":
        return ObjectPayloads(fsspec.filesystem("file"), str(tmp_path / "payloads"))
    opened = open_payloads(f"memory://{tmp_path.name}", "postgresql://h/n")
    assert opened is not None
    return opened


@pytest.fixture
def key() -> str:
    return Fernet.generate_key().decode()


def contents(folder: Path) -> bytes:
    """Every byte in a folder."""
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_what_is_kept_comes_back_until_it_is_purged(payloads: Payloads) -> None:
    one, other = payloads.put("ent_1", b"\0one"), payloads.put("ent_2", b"")
    assert payloads.put("ent_1", b"\0one") == one
    assert (payloads.get("ent_1", one), payloads.get("ent_2", other)) == (b"\0one", b"")
    payloads.purge("ent_1")
    payloads.purge("ent_1")
    with pytest.raises(PayloadLost, match="isn't there any more"):
        payloads.get("ent_1", one)
    assert payloads.get("ent_2", other) == b""


@pytest.mark.parametrize(
    ("owner", "name"), [("..", "a" * 64), ("ent_1", "../x"), ("a/b", "x"), ("", "x")]
)
def test_a_name_leads_nowhere_else(payloads: Payloads, owner: str, name: str) -> None:
    with pytest.raises(PayloadLost, match="name that no payload has"):
        payloads.get(owner, name)


def test_other_contents_are_noticed(tmp_path: Path) -> None:
    payloads = FolderPayloads(tmp_path)
    name = payloads.put("ent_1", b"as it was")
    (tmp_path / "ent_1" / name).write_bytes(b"as it isn't")
    with pytest.raises(PayloadLost, match="contents changed"):
        payloads.get("ent_1", name)


def test_only_this_user_reads_them(tmp_path: Path) -> None:
    payloads = FolderPayloads(tmp_path / "payloads")
    name = payloads.put("ent_1", b"x")
    home = tmp_path / "payloads" / "ent_1"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_what_could_not_be_written_whole_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        FolderPayloads(tmp_path).put("ent_1", b"x")
    assert contents(tmp_path) == b""
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.row("C16")
def test_small_ones_stay_in_the_row_and_large_ones_go(payloads: Payloads) -> None:
    keeping = Keeping(payloads=payloads)
    small = {"rows": [1, None, "ü"]}
    assert keeping.keep("ent_1", small) == small
    kept = keeping.keep("ent_1", BIG)
    assert len(str(kept)) < 120
    assert keeping.read("ent_1", kept) == BIG
    assert keeping.read("ent_1", small) == small


@pytest.mark.row("C16")
@pytest.mark.parametrize("value", [{"password": SECRET}, BIG], ids=["small", "large"])
def test_a_secret_is_nowhere_in_clear(
    payloads: Payloads, tmp_path: Path, key: str, value: object
) -> None:
    keeping = Keeping(payloads=payloads, seal=read_key(key))
    kept = keeping.keep("ent_1", value)
    assert SECRET not in str(kept)
    assert SECRET.encode() not in contents(tmp_path)
    assert keeping.read("ent_1", kept) == value
    with pytest.raises(PayloadLost):
        keeping.read("ent_2", kept)  # one can't stand in for another


def test_a_key_is_replaced(key: str) -> None:
    new = Fernet.generate_key().decode()
    kept = Keeping(seal=read_key(key)).keep("ent_1", {"a": 1})
    assert Keeping(seal=read_key(f"{new}, {key}")).read("ent_1", kept) == {"a": 1}
    with pytest.raises(PayloadLost, match="no key in SIGNOFF_PAYLOAD_KEY opens it"):
        Keeping(seal=read_key(new)).read("ent_1", kept)
    with pytest.raises(PayloadLost, match="SIGNOFF_PAYLOAD_KEY isn't set"):
        Keeping().read("ent_1", kept)


@pytest.mark.parametrize("key", ["", "short", "ü" * 44, "a" * 44 + ","])
def test_a_wrong_key_says_how_to_make_one(key: str) -> None:
    with pytest.raises(InvalidSetting, match=r"Fernet\.generate_key"):
        read_key(key)
    assert read_key(None) is None


def test_a_key_that_is_set_but_empty_is_no_key_and_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A deployment whose secret came out empty must not keep captures in clear."""
    monkeypatch.setenv("SIGNOFF_PAYLOAD_KEY", "")
    with pytest.raises(InvalidSetting, match="SIGNOFF_PAYLOAD_KEY"):
        Signoff(f"sqlite:///{tmp_path / 'signoff.db'}")


def test_an_entry_is_kept_as_a_whole(tmp_path: Path, key: str) -> None:
    keeping = Keeping(payloads=FolderPayloads(tmp_path), seal=read_key(key))
    entry = replace(ENTRY, captured=BIG, before={"a": SECRET}, after={"a": SECRET})
    kept = keeping.keep_parts(entry, *KEPT)
    assert SECRET not in str(kept)
    assert kept.bound is None
    assert keeping.read_entry(kept) == entry


def test_a_value_that_looks_like_ours_is_data(tmp_path: Path) -> None:
    keeping = Keeping(payloads=FolderPayloads(tmp_path))
    for value in ({"$payload": "sha256:00", "sealed": False}, {"$plain": 1}):
        assert keeping.read("ent_1", keeping.keep("ent_1", value)) == value


@pytest.mark.row("C16")
def test_what_is_too_large_or_no_json_is_refused(tmp_path: Path) -> None:
    keeping = Keeping(payloads=FolderPayloads(tmp_path), most=1000)
    with pytest.raises(CannotCapture, match="no more than 1,000 are kept"):
        keeping.keep("ent_1", "x" * 1000)
    with pytest.raises(CannotCapture, match="give payloads="):
        Keeping().keep("ent_1", "x" * 2_000_000)
    with pytest.raises(PayloadRefused, match="beyond 2\\^53"):
        keeping.keep("ent_1", {"n": 2**60})
    assert list(tmp_path.iterdir()) == []


def test_the_place_is_beside_a_sqlite_file(tmp_path: Path) -> None:
    beside = open_payloads(None, f"sqlite:///{tmp_path}/signoff.db")
    assert isinstance(beside, FolderPayloads)
    assert beside.folder == tmp_path / "signoff.db.payloads"
    assert open_payloads(None, "postgresql://h/n") is None
    for url in (f"file://{tmp_path}/x", f"{tmp_path}/x"):
        opened = open_payloads(url, "postgresql://h/n")
        assert isinstance(opened, FolderPayloads)
        assert opened.folder == tmp_path / "x"


def test_an_unknown_address_is_a_setting_that_makes_no_sense() -> None:
    with pytest.raises(InvalidSetting, match="nowhere"):
        open_payloads("nowhere://x", "postgresql://h/n")


def test_a_library_that_is_missing_is_named() -> None:
    with pytest.raises(MissingExtra, match=r"gcsfs.*signoff\[payloads\]"):
        open_payloads("gs://bucket/x", "postgresql://h/n")


@pytest.mark.parametrize(
    ("library", "code"),
    [
        ("fsspec", "open_payloads('s3://b/x', 'postgresql://h/n')"),
        ("cryptography", "read_key('k')"),
    ],
)
def test_without_the_extra_it_is_named(library: str, code: str) -> None:
    done = run_python(
        f"import sys; sys.modules[{library!r}] = None\n"
        "from signoff.payloads import open_payloads, read_key\n"
        f"{code}\n"
    )
    assert f"This needs {library}: `pip install 'signoff[payloads]'`" in done.stderr


def test_a_place_that_can_not_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keeping = Keeping(payloads=FolderPayloads(tmp_path / "file"))
    with pytest.raises(CannotCapture, match="can't be kept"):
        keeping.keep("ent_1", BIG)
    kept = {"$payload": "sha256:" + "0" * 64, "sealed": False}
    with pytest.raises(PayloadLost, match="Not a directory"):
        keeping.read("ent_1", kept)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
