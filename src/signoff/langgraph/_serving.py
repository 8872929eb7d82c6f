"""Finds the graphs that a worker serves, and gives them a checkpointer if need be.

A graph is named as `module:attribute`, or `./file.py:attribute`. The attribute is a
compiled graph, a builder, or a function that makes one (also a context manager, also
async): what `langgraph.json`, the ecosystem's own file, may name.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    contextmanager,
)
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from anyio.from_thread import BlockingPortal, start_blocking_portal
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from signoff.domain.errors import InvalidSetting, NoCheckpointer
from signoff.langgraph._savers import open_saver

CONFIG: Final = "langgraph.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Which graphs there are, and what they need around them.

    Attributes:
        graphs: Where each is, by the name of its agent.
        folder: What relative files are relative to.
        paths: Folders that modules are imported from.
        env: Variables of the environment; what is set already stays.
    """

    graphs: Mapping[str, str]
    folder: Path = field(default_factory=Path.cwd)
    paths: Sequence[Path] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A graph, and the event loop that it has to run in, if any."""

    agent: str
    graph: Pregel[Any]
    portal: BlockingPortal | None


def read_app(file: Path) -> App:
    """Read a `langgraph.json`.

    Raises:
        InvalidSetting: It can't be read, or names no graph.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidSetting("--config", f"{file} can't be read: {error}.") from error
    named = document.get("graphs") if isinstance(document, dict) else None
    if not isinstance(named, dict) or named == {}:
        raise InvalidSetting(
            "--config",
            f'{file} names no graph: {{"graphs": {{"agent": "./agent.py:graph"}}}}.',
        )
    folder = file.parent.resolve()
    local = [d for d in document.get("dependencies", []) if str(d).startswith(".")]
    return App(
        graphs={str(name): _place(file, name, at) for name, at in named.items()},
        folder=folder,
        paths=[folder / one for one in local],
        env=_environment(folder, document.get("env")),
    )


@contextmanager
def serving(
    app: App, *, checkpointer: str | None = None, asynchronous: bool = False
) -> Iterator[Sequence[Served]]:
    """Import an app's graphs and keep open what they need.

    Args:
        app: Where they are, and what they need.
        checkpointer: The address of one for all of them, instead of their own.
        asynchronous: Whether they run in an event loop; one whose checkpointer is
            bound to a loop does so anyway.

    Raises:
        InvalidSetting: One can't be imported, or isn't a graph.
        NoCheckpointer: One could never be resumed.
    """
    for name, value in app.env.items():
        os.environ.setdefault(name, value)
    sys.path[:0] = [str(path) for path in (*app.paths, app.folder)]
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal()) if asynchronous else None
        saver = None
        if checkpointer is not None:
            saver = stack.enter_context(open_saver(checkpointer, portal))
        found = _Finder(stack, portal, app.folder, saver)
        yield [found.served(agent, place) for agent, place in app.graphs.items()]


@dataclass(frozen=True, slots=True)
class _Finder:
    stack: ExitStack
    portal: BlockingPortal | None
    folder: Path
    saver: BaseCheckpointSaver[Any] | None

    def served(self, agent: str, place: str) -> Served:
        graph = self._graph(place, self._made(self._attribute(place)))
        if not isinstance(graph.checkpointer, BaseCheckpointSaver):
            raise NoCheckpointer("checkpointer")
        return Served(agent=agent, graph=graph, portal=self.portal)

    def _attribute(self, place: str) -> Any:  # noqa: ANN401 - whatever stands there
        module, _, name = place.rpartition(":")
        if module == "" or name == "":
            raise InvalidSetting(
                "graph", f"{place!r} isn't module:attribute or ./file.py:attribute."
            )
        found: Any = self._inside(lambda: _imported(module, self.folder))
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is None:
            raise InvalidSetting("graph", f"{module} has no {name!r}.")
        return found

    def _made(self, found: Any) -> Any:  # noqa: ANN401 - a graph, or what makes one
        if isinstance(found, Pregel | StateGraph) or not callable(found):
            return found
        made = self._inside(lambda: found(*_arguments(found)))
        if isinstance(made, AbstractContextManager):
            return self.stack.enter_context(made)
        if isinstance(made, AbstractAsyncContextManager):
            loop = self._loop(made)
            return self.stack.enter_context(loop.wrap_async_context_manager(made))
        if inspect.isawaitable(made):
            return self._loop(made).call(_awaited, made)
        return made

    def _graph(self, place: str, found: object) -> Pregel[Any]:
        if isinstance(found, StateGraph):
            return found.compile(checkpointer=self.saver)
        if not isinstance(found, Pregel):
            kind = type(found).__name__
            raise InvalidSetting(
                "graph", f"{place} is a {kind}, not a LangGraph graph."
            )
        if self.saver is not None:
            found.checkpointer = self.saver
        bound = getattr(found.checkpointer, "loop", None)
        if isinstance(bound, asyncio.AbstractEventLoop) and self.portal is None:
            raise InvalidSetting(
                "graph", f"{place} has an async checkpointer: add --async."
            )
        return found

    def _inside(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - its result
        """Run it where an event loop runs, if the graphs run in one."""
        if self.portal is None:
            return work()

        async def there() -> Any:  # noqa: ANN401 - as above
            return work()

        return self.portal.call(there)

    def _loop(self, made: object) -> BlockingPortal:
        if self.portal is None:
            raise InvalidSetting(
                "graph", f"an async {type(made).__name__} makes it: add --async."
            )
        return self.portal


async def _awaited(made: Any) -> Any:  # noqa: ANN401 - its result
    return await made


def _arguments(factory: Callable[..., Any]) -> list[dict[str, Any]]:
    """LangGraph gives a factory its configuration, if it wants one."""
    wanted = [
        one
        for one in inspect.signature(factory).parameters.values()
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD
    ]
    return [{"configurable": {}}] if wanted else []


def _imported(module: str, folder: Path) -> ModuleType:
    try:
        if module.endswith(".py"):
            return _from_file((folder / module).resolve())
        return importlib.import_module(module)
    except ImportError as error:
        raise InvalidSetting(
            "graph", f"{module} can't be imported: {error}."
        ) from error
    except OSError as error:
        why = error.strerror or error
        raise InvalidSetting("graph", f"{module} can't be read: {why}.") from error


def _from_file(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise InvalidSetting("graph", f"{file} isn't a Python file.")
    module = importlib.util.module_from_spec(spec)
    # Its classes are looked up by their module's name, for pickling among others.
    sys.modules.setdefault(file.stem, module)
    spec.loader.exec_module(module)
    return module


def _place(file: Path, name: str, at: object) -> str:
    place = at.get("path") if isinstance(at, dict) else at
    if not isinstance(place, str):
        raise InvalidSetting("--config", f"{file}: graph {name!r} says no path.")
    return place


def _environment(folder: Path, env: object) -> Mapping[str, str]:
    if isinstance(env, dict):
        return {str(name): str(value) for name, value in env.items()}
    if not isinstance(env, str):
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - only where a file is named

    file = folder / env
    if not file.exists():
        raise InvalidSetting("--config", f"env: there is no file {file}.")
    found = dotenv_values(file)
    return {name: value for name, value in found.items() if value is not None}
