"""What an undo needs, through the whole: sealed, out of line, refused, lost, purged."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from signoff import Action, Context, Principal, Signoff, reversible
from signoff.domain.errors import UndoConflict
from signoff.domain.journal import Entry, EntryState
from signoff.service.propose import Asked
from signoff.storage import SqlStore
from signoff.testing import MovableClock
from signoff.undo import Files

SECRET = "hunter2-hunter2"
SAM = Principal(id="sam", groups=frozenset({"admins"}))
Open = Callable[..., Signoff]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def opened(
    database_url: str, work: Path, tmp_path: Path, clock: MovableClock
) -> Iterator[Open]:
    """Opens a Signoff whose agents may write files, with the keys that it is given."""
    with ExitStack() as stack:

        def opener(key: str | None, **limits: int) -> Signoff:
            rule = reversible("write_file", window="10m", force_by=["admins"])
            so = Signoff(
                database_url,
                policy=[rule],
                clock=clock,
                payloads=str(tmp_path / "payloads"),
                payload_key=key,
            )
            so.add_undo(Files(work, **limits).write("write_file"))
            stack.callback(so.close)
            return so

        yield opener


@pytest.fixture
def key() -> str:
    return Fernet.generate_key().decode()


def write(so: Signoff, work: Path, name: str, contents: str) -> Entry:
    """What a guard does with a call that may run at once."""
    action = Action(
        context=Context(thread="t1", agent="bot", user="ana"),
        message_id="m1",
        call_id=name,
        tool="write_file",
        args={"path": name},
    )
    so.propose(action, Asked())
    entry = so.begin_reversible(action, Asked())
    assert entry is not None
    (work / name).write_text(contents)
    so.finish(entry, "finish", result=b'"ok"', summary="ok", output="ok")
    return so.entry(entry.id)


def everything(so: Signoff) -> str:
    """All that the database holds, as text."""
    store: Any = so.store
    assert isinstance(store, SqlStore)
    found: list[str] = []
    with store.engine.connect() as connection:
        names = (
            "SELECT name FROM sqlite_master WHERE type = 'table'"
            if store.engine.dialect.name == "sqlite"
            else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        for name in connection.execute(text(names)).scalars().all():
            rows = connection.execute(text(f"SELECT * FROM {name}"))  # noqa: S608 - names of its own
            found.extend(f"{name}: {tuple(row)!r}" for row in rows)
    return "\n".join(found)


def on_disk(folder: Path) -> bytes:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return b"".join(path.read_bytes() for path in files if "work" not in path.parts)


@pytest.mark.row("C16")
@pytest.mark.parametrize("size", [1, 5000], ids=["in the row", "out of line"])
def test_a_secret_is_nowhere_but_in_its_file(
    opened: Open,
    work: Path,
    tmp_path: Path,
    key: str,
    size: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    so = opened(key)
    (work / ".env").write_text(f"PASSWORD={SECRET}\n" * size)
    was = (work / ".env").read_bytes()
    entry = write(so, work, ".env", "PASSWORD=\n")
    assert entry.state is EntryState.DONE
    assert entry.not_undoable is None
    out_of_line = size > 1
    assert (tmp_path / "payloads").exists() == out_of_line
    (work / ".env").write_text("somebody else")
    with pytest.raises(UndoConflict):
        so.undo_action(entry.id, by=SAM)
    undone = so.undo_action(entry.id, by=SAM, reason="leaked", force=True)
    assert undone.state is EntryState.UNDONE
    assert (work / ".env").read_bytes() == was
    assert so.audit().holds
    encoded = ("UEFTU1dPUk", SECRET, key)  # also as base64 begins
    for place in (everything(so), caplog.text, on_disk(tmp_path).decode("latin-1")):
        assert [part for part in encoded if part in place] == []


@pytest.mark.row("C16")
def test_without_a_key_the_test_above_would_find_it(
    opened: Open, work: Path, tmp_path: Path
) -> None:
    so = opened(None)
    (work / ".env").write_text(f"PASSWORD={SECRET}\n")
    write(so, work, ".env", "PASSWORD=\n")
    assert "UEFTU1dPUk" in everything(so)
    (work / "big").write_text(f"PASSWORD={SECRET}\n" * 5000)
    write(so, work, "big", "")
    assert b"UEFTU1dPUk" in on_disk(tmp_path / "payloads")


@pytest.mark.row("C16")
def test_what_is_too_large_is_asked_before_the_effect(
    opened: Open, work: Path, tmp_path: Path
) -> None:
    so = opened(None, max_bytes=1000)
    (work / "big").write_text("x" * 1001)
    action = Action(
        context=Context(thread="t1"),
        message_id="m1",
        call_id="c1",
        tool="write_file",
        args={"path": "big"},
    )
    so.propose(action, Asked())
    assert so.begin_reversible(action, Asked()) is None
    (request,) = so.pending().requests
    assert "big and what goes with it are more than the 1,000 bytes" in (
        request.note or ""
    )
    assert not (tmp_path / "payloads").exists()


def damaged(payload: Path) -> None:
    payload.write_bytes(payload.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize(
    ("harm", "said"),
    [(Path.unlink, "isn't there any more"), (damaged, "its contents changed")],
    ids=["gone", "damaged"],
)
def test_a_lost_payload_undoes_nothing_and_can_be_mended(
    opened: Open,
    work: Path,
    tmp_path: Path,
    harm: Callable[[Path], None],
    said: str,
) -> None:
    so = opened(None)
    (work / "a").write_text("was" * 10_000)
    entry = write(so, work, "a", "is")
    (payload,) = (p for p in (tmp_path / "payloads").rglob("*") if p.is_file())
    kept = payload.read_bytes()
    harm(payload)
    failed = so.undo_action(entry.id, by=SAM)
    assert failed.state is EntryState.UNDO_FAILED
    assert said in (failed.undo_summary or "")
    assert (work / "a").read_text() == "is"
    payload.write_bytes(kept)
    assert so.undo_action(entry.id, by=SAM).state is EntryState.UNDONE
    assert (work / "a").read_text() == "was" * 10_000


def test_a_process_without_the_key_undoes_nothing(
    opened: Open, work: Path, key: str
) -> None:
    (work / "a").write_text("was")
    entry = write(opened(key), work, "a", "is")
    failed = opened(Fernet.generate_key().decode()).undo_action(entry.id, by=SAM)
    assert failed.state is EntryState.UNDO_FAILED
    assert "no key in SIGNOFF_PAYLOAD_KEY opens it" in (failed.undo_summary or "")
    new = Fernet.generate_key().decode()
    undone = opened(f"{new},{key}").undo_action(entry.id, by=SAM)
    assert undone.state is EntryState.UNDONE
    assert (work / "a").read_text() == "was"


def test_it_is_gone_a_day_after_the_window(
    opened: Open, work: Path, tmp_path: Path, clock: MovableClock
) -> None:
    so = opened(None)
    (work / "a").write_text("was" * 10_000)
    entry = write(so, work, "a", "is")
    clock.advance("11m")
    so.run_due()
    assert so.entry(entry.id).state is EntryState.FINAL
    assert on_disk(tmp_path / "payloads") != b""
    clock.advance("1d")
    so.run_due()
    assert so.entry(entry.id).captured is None
    assert on_disk(tmp_path / "payloads") == b""
    assert so.audit().holds


def test_the_audit_tells_a_purge_from_a_hand(opened: Open, work: Path) -> None:
    so = opened(None)
    entry = write(so, work, "a", "is")
    store: Any = so.store
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE entries SET captured = NULL"))
    (found,) = so.audit().breaks
    assert found.problem == f"{entry.id}: the table has other captured than the ledger"
