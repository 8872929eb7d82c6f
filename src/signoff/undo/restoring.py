"""Puts back what was at some paths, one by one, so that it can go on after a stop.

What nobody captured is never removed: a folder that holds more than the action put
there stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from signoff.undo.workspace import State, States, Workspace


def restore(
    workspace: Workspace,
    before: States,
    after: Iterable[str],
    copies: Mapping[str, bytes],
    token: str,
) -> None:
    """Make these paths what they were; `after` are those that the action left.

    Doing it twice does nothing more than doing it once.

    Raises:
        OSError: Something is in the way. What was put back until then stays so.
    """
    for path in sorted({*before, *after}, key=_depth, reverse=True):
        _clear(workspace, path, before.get(path))
    for path in sorted(before, key=_depth):
        _put(workspace, path, before[path], copies, token)
    for path in sorted(before, key=_depth, reverse=True):
        state = before[path]
        if state is not None and state["type"] == "directory":
            workspace.finish_folder(path, state)


def _clear(workspace: Workspace, path: str, wanted: State | None) -> None:
    found = workspace.look(path)
    if found is None:
        return
    if wanted is None or wanted["type"] != found["type"]:
        workspace.remove(path)


def _put(
    workspace: Workspace,
    path: str,
    state: State | None,
    copies: Mapping[str, bytes],
    token: str,
) -> None:
    if state is None:
        return
    if state["type"] == "directory":
        workspace.put_folder(path)
    elif (found := workspace.state(path)) != state:
        if state["type"] == "symlink":
            workspace.put_link(path, state, token)
        elif found is not None and found["sha256"] == state["sha256"]:
            workspace.finish_file(path, state)
        else:
            workspace.put_file(path, state, copies[state["sha256"]], token)


def _depth(path: str) -> int:
    return path.count("/")
