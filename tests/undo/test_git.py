"""Commits are reverted, never reset, in real repositories."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from signoff.domain.errors import CannotCapture, InvalidSetting, NotApplied
from signoff.undo.git import Git, _Committed
from tests.undo.driving import Done, carry_out


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ana", "-c", "user.email=ana@example.com")
    done = subprocess.run(
        ["git", *identity, *arguments],  # noqa: S607 - the one on the path
        cwd=folder,
        check=True,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
    )
    return done.stdout.strip()


def commit(folder: Path, message: str, **files: str | None) -> str:
    for name, text in files.items():
        path = folder / f"{name}.txt"
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def files(folder: Path, reference: str = "main") -> str:
    return git(folder, "ls-tree", "-r", reference)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    bare = tmp_path / "remote.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    return bare


@pytest.fixture
def clone(tmp_path: Path, remote: Path) -> Path:
    folder = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(remote), str(folder))
    git(folder, "checkout", "-q", "-b", "main")
    commit(folder, "First", a="1\n2\n3\n", b="b")
    git(folder, "push", "-q", "-u", "origin", "main")
    return folder


def committed(clone: Path, tool: Callable[[], object], *, push: bool = False) -> Done:
    kind = Git(clone, "main", remote="origin" if push else None)

    def whole() -> None:
        tool()
        if push:
            git(clone, "push", "-q", "origin", "main")

    return carry_out(kind.commit("commit"), {}, whole)


def two_commits(clone: Path) -> None:
    commit(clone, "Second", a="1\n2 changed\n3\n", c="new")
    commit(clone, "Third", b=None, c="newer")


@pytest.mark.parametrize("push", [False, True])
def test_it_is_reverted_and_both_stay_in_the_history(
    clone: Path, remote: Path, *, push: bool
) -> None:
    was = files(clone)
    done = committed(clone, lambda: two_commits(clone), push=push)
    assert set(done.paths) == {"a.txt", "b.txt", "c.txt"}
    done.take_back()
    assert files(clone) == was
    assert (clone / "b.txt").read_text() == "b"
    assert git(clone, "status", "--porcelain") == ""
    log = git(remote if push else clone, "log", "--format=%s", "main").splitlines()
    assert log == ['Revert "Third"', "Third", "Second", "First"]
    assert done.spec.label.word == "compensated"


@pytest.mark.row("C7")
def test_a_second_process_reverts_nothing_twice(clone: Path) -> None:
    done = committed(clone, lambda: two_commits(clone), push=True)
    done.attempt()
    tip = git(clone, "rev-parse", "main")
    done.attempt()
    assert git(clone, "rev-parse", "main") == tip
    assert git(clone, "worktree", "list").count("\n") == 0


def test_later_work_on_other_files_is_kept(clone: Path) -> None:
    done = committed(clone, lambda: two_commits(clone), push=True)
    commit(clone, "Theirs", d="theirs")
    git(clone, "push", "-q", "origin", "main")
    done.take_back()
    assert (clone / "d.txt").read_text() == "theirs"
    assert (clone / "a.txt").read_text() == "1\n2\n3\n"


@pytest.mark.row("C10")
def test_a_push_in_between_is_kept_and_the_undo_can_be_tried_again(
    clone: Path, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = committed(clone, lambda: two_commits(clone), push=True)
    theirs = tmp_path / "theirs"
    git(tmp_path, "clone", "-q", str(remote), str(theirs))
    commit(theirs, "Theirs", d="theirs")
    publish = _Committed.publish

    def too_late(kind: _Committed, made: str, tip: str) -> None:
        git(theirs, "push", "-q", "origin", "main")
        publish(kind, made, tip)

    with monkeypatch.context() as patch:
        patch.setattr(_Committed, "publish", too_late)
        with pytest.raises(NotApplied, match="git push failed"):
            done.attempt()
    assert git(remote, "log", "-1", "--format=%s", "main") == "Theirs"
    done.take_back()
    log = git(remote, "log", "-2", "--format=%s", "main").splitlines()
    assert log == ['Revert "Third"', "Theirs"]


@pytest.mark.row("C10")
def test_a_change_of_the_same_file_is_a_conflict(clone: Path) -> None:
    done = committed(clone, lambda: two_commits(clone))
    commit(clone, "Theirs", a="1\ntheirs\n3\n")
    assert done.conflicts() == ["a.txt"]
    tip = git(clone, "rev-parse", "main")
    with pytest.raises(NotApplied, match="git revert failed"):
        done.attempt()  # as if forced
    assert git(clone, "rev-parse", "main") == tip
    assert git(clone, "status", "--porcelain") == ""


def test_work_in_the_working_tree_is_kept(clone: Path) -> None:
    done = committed(clone, lambda: commit(clone, "Second", a="x"))
    (clone / "b.txt").write_text("not committed")
    (clone / "new.txt").write_text("not added")
    done.take_back()
    assert (clone / "b.txt").read_text() == "not committed"
    assert git(clone, "status", "--porcelain") == "M b.txt\n?? new.txt"


def test_work_in_the_way_stops_it(clone: Path) -> None:
    done = committed(clone, lambda: commit(clone, "Second", a="x"))
    (clone / "a.txt").write_text("not committed")
    with pytest.raises(NotApplied, match="would be overwritten"):
        done.attempt()
    assert (clone / "a.txt").read_text() == "not committed"


def test_another_branch_in_the_working_tree_stays_there(clone: Path) -> None:
    done = committed(clone, lambda: commit(clone, "Second", a="x"))
    git(clone, "checkout", "-q", "-b", "other")
    done.take_back()
    assert (clone / "a.txt").read_text() == "x"
    assert git(clone, "log", "-1", "--format=%s", "main") == 'Revert "Second"'


def test_a_merge_is_reverted(clone: Path) -> None:
    git(clone, "checkout", "-q", "-b", "topic")
    commit(clone, "Topic", t="t")
    git(clone, "checkout", "-q", "main")
    commit(clone, "Main", m="m")
    merge = ("merge", "-q", "--no-ff", "-m", "Merge", "topic")
    named = Git(clone).commit("merge", commits=lambda result: [result])

    def tool() -> str:
        git(clone, *merge)
        return git(clone, "rev-parse", "HEAD")

    was = files(clone)
    done = carry_out(named, {}, tool)
    done.take_back()
    assert files(clone) == was


def test_only_the_commits_that_the_tool_names(clone: Path) -> None:
    def tool() -> list[str]:
        mine = commit(clone, "Mine", c="mine")
        commit(clone, "Theirs, meanwhile", d="theirs")
        return [mine]

    done = carry_out(Git(clone).commit("commit", commits=list), {}, tool)
    done.attempt()
    assert not (clone / "c.txt").exists()
    assert (clone / "d.txt").exists()
    with pytest.raises(CannotCapture, match="lacks a commit"):
        carry_out(Git(clone).commit("commit", commits=list), {}, lambda: ["main"])


def test_a_rewritten_history_is_not_reversible(clone: Path) -> None:
    amend = ("commit", "-q", "--amend", "-m", "Other")
    with pytest.raises(CannotCapture, match="was rewritten"):
        committed(clone, lambda: git(clone, *amend))


def test_a_tool_that_did_nothing_leaves_nothing_to_revert(clone: Path) -> None:
    done = committed(clone, lambda: None)
    done.take_back()
    assert git(clone, "log", "--format=%s") == "First"


def test_hooks_and_a_monitor_do_not_run(clone: Path, tmp_path: Path) -> None:
    done = committed(clone, lambda: commit(clone, "Second", a="x"))
    for name in ("pre-commit", "post-commit", "post-checkout", "post-merge"):
        hook = clone / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\nexit 1\n")
        hook.chmod(0o755)
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    monitor.chmod(0o755)
    git(clone, "config", "core.fsmonitor", str(monitor))
    done.take_back()
    assert not (tmp_path / "ran").exists()


def test_names_that_are_no_utf8(clone: Path) -> None:
    def tool() -> None:
        odd = clone / os.fsdecode(b"odd \xff\n")
        odd.write_text("x")
        commit(clone, "Odd")

    was = files(clone)
    done = committed(clone, tool)
    assert done.paths == ("odd %FF\n",)
    done.take_back()
    assert files(clone) == was


@pytest.mark.row("C10")
def test_names_that_are_no_utf8_are_told_apart(clone: Path) -> None:
    odd = [clone / os.fsdecode(name) for name in (b"odd \xfe", b"odd \xff")]

    def write(text: str, *paths: Path) -> None:
        for path in paths:
            path.write_text(text)
        commit(clone, text)

    done = committed(clone, lambda: write("mine", *odd))
    write("theirs", odd[0])
    assert len(done.conflicts()) == 1


def test_where_there_is_no_branch_it_is_refused(clone: Path, tmp_path: Path) -> None:
    for kind in (
        Git(clone, "nowhere"),
        Git(tmp_path, "main"),
        Git(clone, "main", remote="nobody"),
    ):
        with pytest.raises(CannotCapture, match="can't be read"):
            carry_out(kind.commit("commit"), {}, pytest.fail)


@pytest.mark.parametrize("name", ["-x", "a b", "", "..", "a..b", "a\n"])
def test_a_hostile_branch_is_refused(clone: Path, name: str) -> None:
    with pytest.raises(InvalidSetting, match="no name of a branch"):
        Git(clone, name)


def test_a_repository_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="is no folder"):
        Git(tmp_path / "not there")


def test_a_hostile_remote_is_refused(clone: Path) -> None:
    with pytest.raises(InvalidSetting, match="no name of a remote"):
        Git(clone, remote="--upload-pack=touch x")
