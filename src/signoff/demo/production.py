"""A bare Git repository that stands for production, and a clone that pushes to it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from dulwich import porcelain
from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

BRANCH: Final = Ref(b"refs/heads/main")
AUTHOR: Final = b"Bookkeeper <books@example.com>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit in production; its id holds the time, so it isn't compared.

    Attributes:
        files: The SHA-256 of each file's content, by path.
    """

    id: str = field(compare=False)
    message: str
    files: Mapping[str, str]


class Production:
    """Production, and the working clone beside it.

    Args:
        bare: The bare repository; made, with a first commit, if it doesn't exist.
        clone: The working clone, made likewise.
    """

    def __init__(self, bare: Path, clone: Path) -> None:
        self._bare, self._clone = bare, clone
        if not bare.exists():
            Repo.init_bare(str(bare), mkdir=True, default_branch=b"main").close()
        if not clone.exists():
            _init_clone(clone, bare)
        if not self.commits():
            self.push("index.md", b"# Release notes\n", "Start")

    def push(self, name: str, content: bytes, message: str) -> str:
        """Commit one file in the clone and push it; returns the new commit's id."""
        (self._clone / name).write_bytes(content)
        with closing(Repo(str(self._clone))) as repo:
            tree = repo.get_worktree()
            tree.stage([name])
            made = tree.commit(
                message=message.encode(), committer=AUTHOR, author=AUTHOR, sign=False
            )
            porcelain.push(
                repo,
                str(self._bare),
                BRANCH,
                outstream=io.BytesIO(),
                errstream=io.BytesIO(),
            )
        return str(made.decode())

    def commits(self) -> tuple[Commit, ...]:
        """What production holds, oldest first."""
        with closing(Repo(str(self._bare))) as repo:
            if BRANCH not in repo.refs:
                return ()
            walked = [entry.commit for entry in repo.get_walker([repo.refs[BRANCH]])]
            return tuple(
                Commit(
                    id=commit.id.decode(),
                    message=commit.message.decode().strip(),
                    files=_files(repo, commit.tree),
                )
                for commit in reversed(walked)
            )


def digest_of(content: bytes) -> str:
    """The SHA-256 by which contents are compared."""
    return sha256(content).hexdigest()


def _init_clone(clone: Path, bare: Path) -> None:
    with closing(Repo.init(str(clone), mkdir=True, default_branch=b"main")) as repo:
        config = repo.get_config()
        origin = (b"remote", b"origin")
        config.set(origin, b"url", f"../{bare.name}".encode())
        config.set(origin, b"fetch", b"+refs/heads/*:refs/remotes/origin/*")
        config.write_to_path()


def _files(repo: Repo, tree: ObjectID) -> dict[str, str]:
    entries = repo.object_store.iter_tree_contents(tree)
    return {
        entry.path.decode(): digest_of(repo[entry.sha].as_raw_string())
        for entry in entries
    }
