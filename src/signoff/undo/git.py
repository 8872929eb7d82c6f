"""Undos for tools that commit and push.

Their limits are in docs/ready-made-undos.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from signoff.domain.errors import CannotCapture, InvalidSetting, NotApplied
from signoff.domain.undoing import Effect, Undo, compensated
from signoff.undo.workspace import in_json

TIMEOUT: Final = timedelta(minutes=2)
"""For a fetch, a revert and a push together; each command has half of it."""
REMAINS: Final = (
    "both commits stay in the history, and whoever fetched the first has it"
)
_TRAILER: Final = "Signoff-Undo"
# An agent that writes to the repository could leave hooks there.
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "commit.gpgSign=false",
)
_SAFE: Final = tuple(part for one in _SETTINGS for part in ("-c", one))
_AUTHOR: Final = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "signoff"), ("EMAIL", "signoff@localhost"))
}
_ENVIRONMENT: Final = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
_OURS: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")


class Git:
    """Undos for tools that commit to one branch. Label: compensated.

    An undo makes one new commit that reverts those of the call; it never resets and
    never forces. It is made in a worktree of its own, so that nothing which lies about
    in the working tree gets into it. Files that others changed since don't matter;
    where they changed the same file it is a conflict.

    The program `git` does the work, because it merges, knows the user's remotes and
    credentials, and is there where there are repositories. The repository's hooks
    don't run, and the revert isn't signed.

    Refused: a branch that isn't there, and, after the call, a history that was
    rewritten.

    Args:
        repository: The folder of the clone, or of a bare repository.
        branch: The branch that the tool commits to.
        remote: Where it pushes to, such as `origin`; None if it only commits.

    Raises:
        InvalidSetting: git isn't installed, or there is no such folder or name.
    """

    def __init__(
        self,
        repository: str | os.PathLike[str],
        branch: str = "main",
        *,
        remote: str | None = None,
    ) -> None:
        folder = Path(repository)
        if not folder.is_dir():
            raise InvalidSetting("repository", f"{folder} is no folder.")
        self._repository = Repository(folder)
        if remote is not None and remote.startswith("-"):
            raise InvalidSetting("remote", f"{remote!r} is no name of a remote.")
        if self._repository.fails("check-ref-format", "--branch", branch):
            raise InvalidSetting("branch", f"{branch!r} is no name of a branch.")
        self._branch, self._remote = branch, remote

    def commit(
        self, tool: str, *, commits: Callable[[Any], Sequence[str]] | None = None
    ) -> Undo:
        """For a tool that commits, and pushes if there is a remote.

        Args:
            tool: The tool's name.
            commits: From the tool's result, the ids of its commits. Without it, they
                are all that came to the branch during the call, also from others.
        """
        kind = _Committed(self._repository, self._branch, self._remote, commits)
        return Undo(
            tool=tool,
            undo=kind.undo,
            capture=kind.capture,
            fingerprint=kind.fingerprint,
            preview=kind.preview,
            bind=kind.bind,
            label=compensated(REMAINS),
            timeout=TIMEOUT,
        )


class Repository:
    """Runs git in one folder."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("git")
        if program is None:
            raise InvalidSetting("git", "the program git isn't installed.")
        self._program, self._folder = program, folder

    def run(self, *arguments: str, at: Path | None = None) -> str:
        """What a command prints.

        Raises:
            NotApplied: It failed; says what it said.
        """
        done = self._run(arguments, self._folder if at is None else at)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().replace("\n", " ")
            raise NotApplied(f"git {arguments[0]} failed: {said}")
        return done.stdout.strip()

    def fails(self, *arguments: str) -> bool:
        """Whether a command says no."""
        return self._run(arguments, self._folder).returncode != 0

    def tip(self, reference: str) -> str | None:
        """The commit of a reference; None if there is no such reference."""
        wanted = ("rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
        done = self._run(wanted, self._folder)
        return done.stdout.strip() if done.returncode == 0 else None

    @contextmanager
    def worktree(self, commit: str) -> Iterator[Path]:
        """A working tree of its own, which goes in the end."""
        with tempfile.TemporaryDirectory(prefix="signoff-git-") as parent:
            folder = Path(parent, "tree")
            self.run("worktree", "add", "--detach", "--quiet", str(folder), commit)
            try:
                yield folder
            finally:
                self.run("worktree", "remove", "--force", str(folder))

    def _run(
        self, arguments: Sequence[str], folder: Path
    ) -> subprocess.CompletedProcess[str]:
        known = {name: os.environ[name] for name in os.environ if name not in _OURS}
        try:
            return subprocess.run(  # noqa: S603 - git, with arguments of ours
                [self._program, "-C", str(folder), *_SAFE, *arguments],
                env={**_AUTHOR, **known, **_ENVIRONMENT},
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=TIMEOUT.total_seconds() / 2,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotApplied(f"git {arguments[0]} failed: {error}") from error


@dataclass(frozen=True)
class _Committed:
    repository: Repository
    branch: str
    remote: str | None
    commits: Callable[[Any], Sequence[str]] | None

    def capture(self, _args: Mapping[str, Any]) -> dict[str, str]:
        try:
            return {"tip": self.tip()}
        except NotApplied as error:
            raise CannotCapture(self.branch, f"can't be read ({error})") from error

    def fingerprint(self, effect: Effect) -> dict[str, str]:
        """What each file is now, of those that aren't as they were before."""
        between = (effect.captured["tip"], self.tip())
        listed = self.repository.run("diff", "--raw", "-z", "--no-renames", *between)
        words = iter(listed.split("\0"))
        found: dict[str, str] = {}
        for state, path in zip(words, words, strict=False):
            _, mode, _, blob, _ = state.split()
            found[in_json(path)] = f"{mode} {blob}"
        return found

    def bind(self, effect: Effect) -> dict[str, list[str]]:
        before, after = effect.captured["tip"], self.tip()
        if self.repository.fails("merge-base", "--is-ancestor", before, after):
            raise CannotCapture(self.branch, "was rewritten, so there is no way back")
        since = self.repository.run("rev-list", "--topo-order", f"{before}..{after}")
        found = since.split()
        if self.commits is not None:
            named = {self.repository.tip(one) for one in self.commits(effect.result)}
            if not named <= set(found):
                raise CannotCapture(self.branch, "lacks a commit that the tool named")
            found = [one for one in found if one in named]
        return {"commits": found}

    def undo(self, effect: Effect) -> None:
        tip = self.tip()
        trailer = f"{_TRAILER}: {effect.key}"
        since = f"{effect.captured['tip']}..{tip}"
        done = self.repository.run(
            "log", "--fixed-strings", f"--grep={trailer}", "--format=%H", since
        )
        if done or not effect.bound["commits"]:
            return
        with self.repository.worktree(tip) as folder:
            made = self.revert(folder, effect.bound["commits"], trailer)
        self.publish(made, tip)

    def revert(self, folder: Path, commits: Sequence[str], trailer: str) -> str:
        """One commit on top that takes back all of these."""
        for commit in commits:
            listed = self.repository.run("rev-list", "--parents", "-n1", commit)
            _, *parents = listed.split()
            mainline = ("-m", "1") if len(parents) > 1 else ()
            self.repository.run("revert", "--no-commit", *mainline, commit, at=folder)
        subject = self.repository.run("log", "-1", "--format=%s", commits[0])
        reverts = "\n".join(f"This reverts commit {commit}." for commit in commits)
        message = f'Revert "{subject}"\n\n{reverts}\n\n{trailer}'
        self.repository.run("commit", "--allow-empty", "-m", message, at=folder)
        return self.repository.run("rev-parse", "HEAD", at=folder)

    def publish(self, made: str, tip: str) -> None:
        """Move the branch on, unless it has moved meanwhile."""
        local = f"refs/heads/{self.branch}"
        if self.remote is not None:
            self.repository.run("push", "--quiet", self.remote, f"{made}:{local}")
        if self.repository.tip(local) != tip:
            return
        if self.is_checked_out():
            self.repository.run("merge", "--ff-only", "--quiet", made)
        else:
            self.repository.run("update-ref", local, made, tip)

    def is_checked_out(self) -> bool:
        """Whether the files in the repository's folder are those of the branch."""
        bare = self.repository.run("rev-parse", "--is-bare-repository") == "true"
        head = self.repository.run("rev-parse", "--symbolic-full-name", "HEAD")
        return not bare and head == f"refs/heads/{self.branch}"

    def tip(self) -> str:
        """Where the branch is now, on the remote if there is one.

        Raises:
            NotApplied: There is no such branch, or the remote can't be reached.
        """
        reference = f"refs/heads/{self.branch}"
        if self.remote is not None:
            self.repository.run("fetch", "--quiet", self.remote, reference)
            reference = "FETCH_HEAD"
        found = self.repository.tip(reference)
        if found is None:
            raise NotApplied(f"there is no branch {self.branch!r} yet.")
        return found

    def preview(self, _args: Mapping[str, Any]) -> dict[str, str]:
        return {"adds": f"a commit on {self.branch} that reverts this call's"}
