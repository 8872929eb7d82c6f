"""What a worker serves: modules, files, factories, langgraph.json; clear errors."""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from signoff import Signoff, review
from signoff.domain.errors import InvalidSetting, NoCheckpointer
from signoff.langgraph import App, Runner, read_app, serving
from signoff.storage import SqlStore
from tests.durable.conftest import Shop, StartWorker
from tests.forked import run_forked
from tests.support import wait_until

GRAPH = """
from contextlib import asynccontextmanager, contextmanager
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

builder = StateGraph(MessagesState)
builder.add_node("say", lambda _: {"messages": [("ai", "hello")]})
builder.add_edge(START, "say")
graph = builder.compile(checkpointer=InMemorySaver())
bare = builder.compile()
number = 7
closed = []

def made():
    return graph

def configured(config):
    assert "configurable" in config
    return graph

async def awaited():
    return graph

@contextmanager
def opened():
    yield graph
    closed.append("opened")

@asynccontextmanager
async def aopened():
    yield graph
    closed.append("aopened")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served_here.py").write_text(GRAPH)
    return tmp_path


@pytest.fixture(autouse=True)
def _imports_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "served_here", raising=False)


@pytest.mark.parametrize("name", ["graph", "made", "configured", "opened"])
@pytest.mark.parametrize("place", ["./served_here.py", "served_here"])
def test_a_graph_or_what_makes_one(folder: Path, place: str, name: str) -> None:
    app = App(graphs={"a": f"{place}:{name}"}, folder=folder)
    with serving(app) as (served,):
        module = sys.modules["served_here"]
        assert served.agent == "a"
        assert served.graph is module.graph
    assert module.closed == (["opened"] if name == "opened" else [])


@pytest.mark.parametrize("name", ["graph", "awaited", "aopened"])
def test_in_an_event_loop(folder: Path, sqlite_url: str, name: str) -> None:
    app = App(graphs={"a": f"./served_here.py:{name}"}, folder=folder)
    with serving(app, asynchronous=True) as (served,):
        so = Signoff(sqlite_url, policy=[review("*")])
        runner = Runner(so, served.graph, agent="a", portal=served.portal)
        assert served.portal is not None
        start: Any = partial(runner.astart, thread_id="t1")
        assert served.portal.call(start, {"messages": []}).finished
        assert runner.resume("t1").finished
        so.close()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_checkpointer_for_graphs_without_one(
    folder: Path, database_url: str, tmp_path: Path, *, asynchronous: bool
) -> None:
    address = database_url
    if address.startswith("sqlite"):
        address = f"sqlite:///{tmp_path / 'threads.db'}"
    named = {"a": "./served_here.py:bare", "b": "./served_here.py:builder"}
    app = App(graphs=named, folder=folder)
    with serving(app, checkpointer=address, asynchronous=asynchronous) as all_served:
        so = Signoff(database_url, policy=[review("*")])
        for served in all_served:
            runner = Runner(so, served.graph, agent="a", portal=served.portal)
            if served.portal is None:
                runner.start({"messages": []}, thread_id=served.agent)
            else:
                start: Any = partial(runner.astart, thread_id=served.agent)
                served.portal.call(start, {"messages": []})
            assert runner.resume(served.agent).finished
        so.close()


@pytest.mark.row("A19")
def test_a_graph_without_a_checkpointer_is_refused(folder: Path) -> None:
    app = App(graphs={"a": "./served_here.py:bare"}, folder=folder)
    with pytest.raises(NoCheckpointer, match="compile"), serving(app):
        pass


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("served_here", "isn't module:attribute"),
        ("./served_here.py:nothing", "has no 'nothing'"),
        ("./served_here.py:number", "is a int, not a LangGraph graph"),
        ("./missing.py:graph", "can't be read"),
        ("no_such_module:graph", "can't be imported"),
        ("./served_here.py:awaited", "add --async"),
        ("./served_here.py:aopened", "add --async"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine")
def test_what_is_no_graph_is_one_clear_error(
    folder: Path, place: str, says: str
) -> None:
    app = App(graphs={"a": place}, folder=folder)
    with pytest.raises(InvalidSetting, match=says), serving(app):
        pass


def test_a_langgraph_json(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "parts").mkdir()
    (folder / "parts" / "served_part.py").write_text("NAME = 'part'\n")
    (folder / ".env").write_text("export SERVED_ONE='1'\nSERVED_TWO=2 # two\n")
    monkeypatch.setenv("SERVED_TWO", "already")
    monkeypatch.delenv("SERVED_ONE", raising=False)
    file = folder / "langgraph.json"
    document = {
        "dependencies": ["./parts", "langchain"],
        "graphs": {
            "one": "./served_here.py:graph",
            "two": {"path": "./served_here.py:made", "description": "two"},
        },
        "env": ".env",
    }
    file.write_text(json.dumps(document))
    with serving(read_app(file)) as served:
        assert [one.agent for one in served] == ["one", "two"]
        assert os.environ["SERVED_ONE"] == "1"
        assert os.environ["SERVED_TWO"] == "already"
        assert __import__("served_part").NAME == "part"
    monkeypatch.setenv("SERVED_ONE", "")  # so that its end is undone too


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "can't be read"),
        ("[]", "names no graph"),
        ('{"graphs": {}}', "names no graph"),
        ('{"graphs": {"a": 1}}', "says no path"),
        ('{"graphs": {"a": "./a.py:b"}, "env": "missing"}', "there is no file"),
    ],
)
def test_a_langgraph_json_that_is_wrong(folder: Path, text: str, says: str) -> None:
    file = folder / "langgraph.json"
    file.write_text(text)
    with pytest.raises(InvalidSetting, match=says):
        read_app(file)


def refused(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """A worker that can't start: its exit code and what it says."""
    done = run_forked("signoff", "worker", *arguments, env=env)
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_worker_that_cannot_start_says_why_in_one_line(shop: Shop) -> None:
    graph, env = "tests.durable.shop:graph", shop.env
    at = ("--store", shop.url)
    assert refused(*at, env=env)[0] == 2
    code, said = refused(graph, *at, env=env)
    assert (code, said.count("\n")) == (2, 1)
    assert "has no checkpointer" in said
    code, said = refused(graph, "--store", "http://127.0.0.1:1", env=env)
    assert (code, "needs the database" in said) == (2, True)
    code, said = refused(graph, *at, "--heartbeat", "soon", env=env)
    assert (code, "--heartbeat" in said) == (2, True)
    assert isinstance(shop.so.store, SqlStore)
    with shop.so.store.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO signoff_schema VALUES (99, 'future')")
    code, said = refused(graph, *at, "--checkpointer", shop.threads, env=env)
    assert code == 6
    assert "schema 99" in said


@pytest.mark.slow
def test_a_worker_serves_every_graph_of_a_langgraph_json(
    shop: Shop, start_worker: StartWorker, tmp_path: Path
) -> None:
    file = tmp_path / "langgraph.json"
    graphs = {"payer": "tests.durable.shop:graph", "other": "tests.durable.shop:graph"}
    file.write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    command = ["--config", str(file), "--async"]
    request = shop.ask()
    worker = start_worker(*command, bare=True).ready()
    shop.approve(request)
    wait_until(lambda: shop.so.wakeups() == [], "it went on", timeout=30)
    assert shop.finished("t1")
    (one,) = shop.so.workforce().workers
    assert one.agents == ("payer", "other")
    worker.send(signal.SIGTERM)
    assert worker.end() == 0
