"""Whatever an agent does to files: undone newest first, every byte is back."""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.domain.errors import CannotCapture
from signoff.undo.files import Files
from tests.undo.driving import Done, carry_out
from tests.undo.test_files import tree

NAMES = ["a", "b", "a b\n", "%41", "link", ".."]
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
contents = st.binary(max_size=40)
operations = st.one_of(
    st.tuples(st.just("write"), paths, contents),
    st.tuples(st.just("move"), paths, paths),
    st.tuples(st.just("delete"), paths, st.just("")),
    st.tuples(st.just("folder"), paths, st.just("")),
    st.tuples(st.just("mode"), paths, st.sampled_from(["640", "500", "777"])),
    st.tuples(st.just("link"), paths, paths),
)


def write(path: Path, what: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(what)


def delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def change(files: Files, root: Path, operation: tuple[str, str, str | bytes]) -> Done:
    kind, path, more = operation
    at, also = root / path, str(more)
    written, named = files.write("tool"), files.delete("tool")
    tools: dict[str, Callable[[], object]] = {
        "write": lambda: write(at, bytes(more) if isinstance(more, bytes) else b""),
        "move": lambda: shutil.move(at, root / also),
        "delete": lambda: delete(at),
        "folder": lambda: at.mkdir(parents=True),
        "mode": lambda: at.chmod(int(also, 8)),
        "link": lambda: at.symlink_to(also),
    }
    kinds = {"write": written, "move": files.move("tool"), "mode": written}
    args = {"path": path, "source": path, "target": also}

    def tool() -> None:
        with suppress(OSError):
            tools[kind]()

    return carry_out(kinds.get(kind, named), args, tool)


@settings(max_examples=100, deadline=None)
@given(st.lists(operations, max_size=6), st.lists(operations, min_size=1, max_size=8))
def test_newest_first_every_byte_is_back(
    earlier: list[tuple[str, str, str | bytes]],
    operated: list[tuple[str, str, str | bytes]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "work")
        root.mkdir()
        files = Files(root)
        for operation in earlier:
            with suppress(CannotCapture):
                change(files, root, operation)
        for path in root.rglob("*"):
            os.utime(path, ns=(5, 1_600_000_000_000_000_007), follow_symlinks=False)
        was, done = tree(root), []
        for operation in operated:
            with suppress(CannotCapture):
                done.append(change(files, root, operation))
        for one in reversed(done):
            one.take_back()
        assert tree(root) == was
