"""Files are taken back byte for byte, with their modes, times and links."""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pwd import getpwnam
from typing import Any

import pytest

from signoff.domain.actions import canonical
from signoff.domain.errors import CannotCapture, NotApplied
from signoff.undo.files import Files
from tests.forked import processes
from tests.support import wait_until
from tests.undo.driving import Done, carry_out


def tree(root: Path) -> dict[str, tuple[Any, ...]]:
    """Everything below a folder: kind, mode, time, contents or target."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        is_at = path.lstat()
        what: object = None
        if path.is_symlink():
            what = path.readlink()
        elif path.is_file():
            what = path.read_bytes()
        name = path.relative_to(root).as_posix()
        found[name] = (is_at.st_mode, is_at.st_mtime_ns, what)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file, a script, links and a folder, all of them old."""
    root = tmp_path / "work"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("first\n")
    (root / "run.sh").write_bytes(b"#!/bin/sh\n\0\xff\xfe")
    (root / "run.sh").chmod(0o750)
    (root / "sub" / "b.bin").write_bytes(os.urandom(4096))
    (root / "sub" / "b.bin").chmod(0o600)
    (root / "link").symlink_to("a.txt")
    (root / "sub" / "deep" / "up").symlink_to("../../a.txt")
    (root / "dangling").symlink_to("nowhere")
    paths = sorted(root.rglob("*"), key=lambda path: -len(path.parts))
    for age, path in enumerate([*paths, root]):
        at = 1_600_000_000_123_456_789 + age
        os.utime(path, ns=(at, at), follow_symlinks=False)
    return root


@pytest.fixture
def files(root: Path) -> Files:
    return Files(root)


def wrote(files: Files, root: Path, path: str, contents: bytes = b"new") -> Done:
    def tool() -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(contents)

    return carry_out(files.write("write_file"), {"path": path}, tool)


def moved(files: Files, root: Path, source: str, target: str) -> Done:
    def tool() -> None:
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(root / source, root / target)

    args = {"source": source, "target": target}
    return carry_out(files.move("move_file"), args, tool)


def deleted(files: Files, root: Path, path: str) -> Done:
    def tool() -> None:
        at = root / path
        if at.is_dir() and not at.is_symlink():
            shutil.rmtree(at)
        else:
            at.unlink()

    return carry_out(files.delete("delete_file"), {"path": path}, tool)


@pytest.mark.parametrize(
    ("do", "what"),
    [
        (wrote, ["a.txt"]),
        (wrote, ["run.sh"]),
        (wrote, ["link"]),
        (wrote, ["dangling"]),
        (wrote, ["sub/deep/up"]),
        (wrote, ["new.txt"]),
        (wrote, ["far/away/new.txt"]),
        (wrote, ["sub/b.bin", b""]),
        (wrote, ["a.txt", b"first\n"]),
        (moved, ["a.txt", "c.txt"]),
        (moved, ["a.txt", "sub/b.bin"]),
        (moved, ["a.txt", "sub"]),
        (moved, ["sub", "far/away/sub"]),
        (moved, ["link", "sub/deep/up"]),
        (deleted, ["run.sh"]),
        (deleted, ["link"]),
        (deleted, ["dangling"]),
        (deleted, ["sub"]),
    ],
)
def test_it_is_all_back(
    do: Callable[..., Done], what: list[Any], files: Files, root: Path
) -> None:
    was = tree(root)
    done = do(files, root, *what)
    assert tree(root) != was
    done.take_back()
    assert tree(root) == was
    done.attempt()  # a process that took over does no harm
    assert tree(root) == was


def test_an_absolute_path_is_taken_too(files: Files, root: Path) -> None:
    was = tree(root)
    wrote(files, root, str(root / "sub" / "b.bin")).take_back()
    assert tree(root) == was


def test_a_folder_is_made_and_taken_away(files: Files, root: Path) -> None:
    was = tree(root)
    spec = files.folder("make_folder")
    made = carry_out(spec, {"path": "x/y"}, lambda: (root / "x/y").mkdir(parents=True))
    assert (root / "x" / "y").is_dir()
    made.take_back()
    assert tree(root) == was


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "100%25",
        "-rf",
        "a\nb",
        "\u202egnp.exe",
        "q\"u'o`t$e;",
        "ünï",
        "~",
        os.fsdecode(b"\xff\xfe%41"),
    ],
)
def test_names_are_data(files: Files, root: Path, name: str) -> None:
    (root / "odd").mkdir()
    (root / "odd" / name).write_text("x")
    was = tree(root)
    done = deleted(files, root, "odd")
    assert not (root / "odd").exists()
    done.take_back()
    assert tree(root) == was


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../outside.txt", "leads out"),
        ("/etc/passwd", "leads out"),
        ("sub/../../x", "leads out"),
        ("out/x", "leads out"),
        ("out", "leads out"),
        ("chain", "leads out"),
        ("circle", "in circles"),
        (".", "itself"),
        ("sub/..", "itself"),
        ("", "not a path"),
        ("/", "not a path"),
        ("a\0b", "not a path"),
        (7, "not a path"),
        (None, "not a path"),
        ("twin", "other names"),
        ("pipe", "neither"),
    ],
)
def test_what_can_not_be_taken_back_is_refused(
    files: Files, root: Path, path: object, why: str
) -> None:
    (root / "out").symlink_to(root.parent)
    (root / "chain").symlink_to("out/x")
    (root / "circle").symlink_to("circle")
    (root / "one").write_text("x")
    os.link(root / "one", root / "twin")
    os.mkfifo(root / "pipe")
    with pytest.raises(CannotCapture, match=why):
        carry_out(files.write("w"), {"path": path}, pytest.fail)


def test_a_link_out_of_the_workspace_is_deleted_and_put_back_unfollowed(
    files: Files, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("not yours")
    (root / "out").symlink_to(outside)
    was = tree(root)
    deleted(files, root, "out").take_back()
    assert tree(root) == was
    assert outside.read_text() == "not yours"


def test_more_than_the_cap_is_refused_before_the_effect(root: Path) -> None:
    small = Files(root, max_bytes=5000, max_paths=5)
    (root / "sub" / "c").write_bytes(b"x" * 1000)
    with pytest.raises(CannotCapture, match=r"more than the 5,000 bytes"):
        carry_out(small.delete("d"), {"path": "sub"}, pytest.fail)
    (root / "sub" / "d").write_bytes(b"")
    with pytest.raises(CannotCapture, match="more than 5 paths"):
        carry_out(small.delete("d"), {"path": "sub"}, pytest.fail)
    big = root / "big"
    big.write_bytes(b"x" * 100_000)
    moved(small, root, "big", "big2").take_back()  # a move copies nothing
    assert big.stat().st_size == 100_000


def test_the_same_contents_are_kept_once(files: Files, root: Path) -> None:
    (root / "sub" / "1").write_bytes(b"same")
    (root / "sub" / "2").write_bytes(b"same")
    done = deleted(files, root, "sub")
    assert len(done.effect.captured["copies"]) == 2
    assert len([s for s in done.effect.captured["states"].values() if s]) == 6


@pytest.mark.row("C10")
@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a.txt").write_text("somebody else"),
        lambda root: (root / "a.txt").chmod(0o777),
        lambda root: (root / "a.txt").unlink(),
        lambda root: ((root / "a.txt").unlink(), (root / "a.txt").mkdir()),
    ],
    ids=["contents", "mode", "gone", "a folder"],
)
def test_a_change_since_is_a_conflict(
    files: Files, root: Path, change: Callable[[Path], object]
) -> None:
    done = wrote(files, root, "a.txt")
    change(root)
    assert done.conflicts() == ["a.txt"]


def test_other_files_are_no_conflict_and_keep_their_time(
    files: Files, root: Path
) -> None:
    done = wrote(files, root, "new.txt")
    (root / "theirs.txt").write_text("theirs")
    since = root.stat().st_mtime_ns
    done.take_back()
    assert (root / "theirs.txt").read_text() == "theirs"
    assert not (root / "new.txt").exists()
    assert root.stat().st_mtime_ns >= since


def test_work_in_a_folder_that_the_action_made_is_never_lost(
    files: Files, root: Path
) -> None:
    done = wrote(files, root, "made/new.txt")
    (root / "made" / "theirs.txt").write_text("theirs")
    assert done.conflicts() == ["made"]
    with pytest.raises(OSError, match="not empty"):
        done.attempt()  # as if forced
    assert (root / "made" / "theirs.txt").read_text() == "theirs"


def test_a_moved_file_that_was_changed_is_kept(files: Files, root: Path) -> None:
    done = moved(files, root, "a.txt", "c.txt")
    (root / "c.txt").write_text("theirs")
    assert done.conflicts() == ["c.txt"]
    with pytest.raises(NotApplied, match=r"c\.txt isn't what was moved"):
        done.attempt()
    assert (root / "c.txt").read_text() == "theirs"


def test_a_folder_that_became_a_link_is_not_followed(
    files: Files, root: Path, tmp_path: Path
) -> None:
    done = wrote(files, root, "sub/b.bin")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "b.bin").write_bytes(b"new")
    shutil.rmtree(root / "sub")
    (root / "sub").symlink_to(elsewhere)
    assert done.conflicts() == ["sub/b.bin"]
    with pytest.raises(FileNotFoundError):
        done.attempt()
    assert (elsewhere / "b.bin").read_bytes() == b"new"


def take_back_alone(done: Done) -> None:
    """What a process does that is killed meanwhile."""
    done.attempt()


@pytest.mark.row("C7")
def test_another_process_goes_on_after_a_kill(files: Files, root: Path) -> None:
    for number in range(2000):
        (root / "sub" / f"{number}.bin").write_bytes(os.urandom(2_000))
    was = tree(root)
    done = deleted(files, root, "sub")
    killed = processes().Process(target=take_back_alone, args=(done,))
    killed.start()
    wait_until(lambda: len([*root.rglob("*.bin")]) > 20, "some files are back", 60)
    killed.kill()
    killed.join()
    assert 20 < len([*root.rglob("*.bin")]) < 2001, "it was killed in the middle"
    done.attempt()
    assert done.left_over() == []
    assert {p: s for p, s in tree(root).items() if p != "."} == {
        p: s for p, s in was.items() if p != "."
    }


@pytest.mark.row("C7")
def test_what_a_killed_undo_left_is_cleared(files: Files, root: Path) -> None:
    was = tree(root)
    done = deleted(files, root, "a.txt")
    failing = pytest.MonkeyPatch()
    with failing.context() as patch:
        patch.setattr(os, "replace", lambda *_, **__: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            done.attempt()
    assert [p.name for p in root.glob(".signoff-*")] != []
    done.take_back()
    assert tree(root) == was


def test_a_tool_that_did_something_else_is_not_reversible(
    files: Files, root: Path
) -> None:
    spec, args = files.move("move_file"), {"source": "a.txt", "target": "c.txt"}
    with pytest.raises(CannotCapture, match=r"c\.txt isn't what a\.txt was"):
        carry_out(spec, args, (root / "a.txt").unlink)


def test_a_tool_that_did_nothing_leaves_nothing_to_take_back(
    files: Files, root: Path
) -> None:
    was = tree(root)
    args = {"source": "a.txt", "target": "c.txt"}
    done = carry_out(files.move("move_file"), args, lambda: None)
    assert done.paths == ()
    done.take_back()
    assert tree(root) == was


def test_people_see_what_would_be_put_back(files: Files) -> None:
    preview = files.move("move_file").preview
    assert preview is not None
    shown = preview({"source": "a.txt", "target": "far/c.txt"})
    assert shown == {"puts back": ["a.txt"], "takes away": ["far"]}


def test_a_workspace_must_be_a_folder(root: Path) -> None:
    with pytest.raises(CannotCapture, match="no folder"):
        Files(root / "a.txt")


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder with a file, where somebody may work who isn't root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mine.txt").write_text("mine")
        if os.geteuid() == 0:
            for path in (folder, folder / "mine.txt"):
                shutil.chown(path, "nobody")
        yield folder


@contextmanager
def not_as_root() -> Iterator[None]:
    """As `nobody` where root runs the tests, who may read everything."""
    uid = os.geteuid()
    canonical({"": ""})  # what it imports may lie where only root reads
    if uid == 0:
        os.seteuid(getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(uid)


def test_what_can_not_be_read_is_refused(common: Path) -> None:
    with not_as_root():
        write, args = Files(common).write("w"), {"path": "mine.txt"}
        carry_out(write, args, lambda: None)  # as long as it may be read
        (common / "mine.txt").chmod(0)
        with pytest.raises(PermissionError, match=r"mine\.txt"):
            carry_out(write, args, pytest.fail)


def test_what_belongs_to_another_user_is_refused() -> None:
    """It could not be given back to them; the system's files are root's everywhere."""
    with not_as_root(), pytest.raises(CannotCapture, match="belongs to another user"):
        carry_out(Files("/etc").write("w"), {"path": "passwd"}, pytest.fail)


def test_a_folder_that_can_not_be_written_to_comes_back_so(
    files: Files, root: Path
) -> None:
    (root / "sub").chmod(0o555)
    was = tree(root)
    done = moved(files, root, "sub", "sub2")
    done.take_back()
    assert tree(root) == was
    assert stat.S_IMODE((root / "sub").stat().st_mode) == 0o555
