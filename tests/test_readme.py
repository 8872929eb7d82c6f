"""README is true: its code runs, its output is what is printed, its commands exist."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from types import ModuleType
from typing import Any, NotRequired, TypedDict

import pytest
import typer
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import tools_condition

from signoff import (
    Action,
    Context,
    Policy,
    Principal,
    Respond,
    Signoff,
    reversible,
)
from signoff.cli import app
from signoff.domain.errors import GraphServerFailed
from signoff.domain.timeline import Due
from signoff.langgraph import Runner
from signoff.notify import read_settings
from signoff.service.propose import Asked
from tests.conformance.outside import action, begun
from tests.notify.hosts import SECRET
from tests.support import ROOT

PAGES = [ROOT / "README.md", ROOT / "docs" / "quickstart.md"]
README = PAGES[0].read_text(encoding="utf-8")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(page: str, language: str) -> list[str]:
    return [body for kind, body in _FENCE.findall(page) if kind == language]


class OnePayment(BaseChatModel):
    """Stands for the reader's own model: pays once, then says what came of it."""

    @property
    def _llm_type(self) -> str:
        return "one-payment"

    def bind_tools(self, tools: object, **kwargs: object) -> "OnePayment":
        return self

    def _generate(
        self, messages: list[BaseMessage], *args: object, **kwargs: object
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=_said(messages[-1]))])


def _said(last: BaseMessage) -> AIMessage:
    if isinstance(last, ToolMessage):
        return AIMessage(last.text)
    call = {"name": "make_payment", "args": {"amount": 1450}, "id": "call_1"}
    return AIMessage("", tool_calls=[call])


def _model(state: MessagesState) -> dict[str, Any]:
    return {"messages": [_said(state["messages"][-1])]}


class Research(TypedDict):
    """The state of a graph with a gate."""

    plan: NotRequired[list[str]]
    cancelled: NotRequired[str]


@tool
def make_payment(amount: int) -> str:
    """Pay."""
    return f"Paid {amount}."


def _make_plan(state: dict[str, Any]) -> list[str]:
    return ["book a flight", "book a hotel", *state.get("remarks", [])]


def _reader() -> dict[str, Any]:
    """What README's reader has: a model, tools, a saver, a graph of their own."""
    return {
        "__name__": "readme",
        "model": OnePayment(),
        "tools": [make_payment],
        "saver": InMemorySaver(),
        "builder": StateGraph(MessagesState),
        "make_plan": _make_plan,
    }


@pytest.fixture
def names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[dict[str, Any]]:
    """All of README's Python, run in order in one session, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    session = _reader()
    for number, block in enumerate(_blocks(README, "python"), start=1):
        exec(compile(block, f"README.md block {number}", "exec"), session)  # noqa: S102 - this project's own page
    with closing(session["so"]), closing(session["wires"]), closing(session["remote"]):
        yield session


def test_the_code_prints_what_its_comments_say(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code = "".join(_blocks(README, "python"))
    promised = re.findall(r"^print\(.*\)\s+# (.*)$", code, re.MULTILINE)
    assert promised == ["False make_payment", "Paid 1450."]
    assert capsys.readouterr().out.splitlines() == promised
    assert names["so"].audit().holds


def test_the_hand_built_graph_holds_its_calls(names: dict[str, Any]) -> None:
    builder: StateGraph[Any] = names["builder"]
    builder.add_node("model", _model)
    builder.add_edge(START, "model").add_edge("tools", "model")
    builder.add_conditional_edges("model", tools_condition)
    runner = Runner(
        names["so"], builder.compile(checkpointer=InMemorySaver()), agent="hand-built"
    )
    outcome = runner.start({"messages": [("user", "Pay")]}, thread_id="t2", user="ana")
    assert [pause["name"] for pause in outcome.waiting] == ["make_payment"]


def test_the_gate_returns_what_was_approved(names: dict[str, Any]) -> None:
    builder = StateGraph(Research)
    builder.add_node("plan", names["plan_stage"])
    builder.add_edge(START, "plan").add_edge("plan", END)
    graph = builder.compile(checkpointer=InMemorySaver())
    runner = Runner(names["so"], graph, agent="planner")
    assert not runner.start({}, thread_id="t3", user="ana").finished
    (request,) = names["so"].thread("t3")
    names["so"].decide(
        request.id, names["Approve"](), by=names["sam"], digest=request.digest
    )
    finished = runner.resume("t3")
    assert finished.values == {"plan": ["book a flight", "book a hotel"]}


def test_people_ask_for_changes_until_they_agree(names: dict[str, Any]) -> None:
    builder = StateGraph(Research)
    builder.add_node("plan", names["agreed_stage"])
    builder.add_edge(START, "plan").add_edge("plan", END)
    graph = builder.compile(checkpointer=InMemorySaver())
    so, sam = names["so"], names["sam"]
    runner = Runner(so, graph, agent="planner")
    runner.start({}, thread_id="t4", user="ana")
    (first,) = so.thread("t4")
    cheaper = Respond(message="by train")
    so.decide(first.id, cheaper, by=sam, digest=first.digest)
    (pause,) = runner.resume("t4").waiting
    assert (pause["round"], pause["remarks"]) == (2, ["by train"])
    (second,) = [one for one in so.thread("t4") if one.id != first.id]
    so.decide(second.id, names["Approve"](), by=sam, digest=second.digest)
    plan = ["book a flight", "book a hotel", "by train"]
    assert runner.resume("t4").values == {"plan": plan}


def test_the_remote_runner_names_a_server_that_is_not_there(
    names: dict[str, Any],
) -> None:
    remote = names["remote"]
    assert (remote.agent, remote.so) == ("bookkeeper", names["so"])
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        with (
            closing(type(remote)(names["so"], address, "books", agent="b")) as nobody,
            pytest.raises(GraphServerFailed, match="can't be reached"),
        ):
            nobody.start({}, thread_id="t9", user="ana")


def test_who_must_agree_and_what_silence_means(names: dict[str, Any]) -> None:
    so = names["wires"]

    def asked(tool: str) -> Any:  # noqa: ANN401 - a request
        context = Context(thread=tool, agent="clerk", user="ana")
        action = Action(
            context=context, message_id="m", call_id="c", tool=tool, args={}
        )
        return so.propose(action, Asked()).request

    wire, tag = asked("wire"), asked("tag_ticket")
    words = so.agreement(wire.id).words
    assert "one of cfo" in words
    assert "two of finance" in words
    assert [step.due for step in wire.timeline] == [Due.REMIND, Due.ESCALATE]
    assert tag.terms.on_expiry == "approve"


def test_its_channels_are_settings_that_work(tmp_path: Path) -> None:
    (block,) = _blocks(README, "toml")
    file = tmp_path / "signoff.toml"
    file.write_text(f'{block}\n[[rule]]\nverdict = "review"\ntools = ["*"]\n')
    assert len(Policy.load(file).rules) == 1
    settings = read_settings(file, {"SMTP_PASSWORD": "secret", "HOOK_SECRET": SECRET})
    assert [channel.name for channel in settings.channels] == ["mail", "hook"]


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "scripts/readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Tickets:
    """What README's reader has tickets in."""

    kept: dict[str, dict[str, str]]

    def read(self, ticket: str) -> dict[str, str]:
        """A ticket's fields."""
        return dict(self.kept[ticket])

    def write(self, ticket: str, fields: dict[str, str]) -> None:
        """Set them."""
        self.kept[ticket] = dict(fields)


def test_the_undo_on_the_page_takes_a_change_back(
    names: dict[str, Any], tmp_path: Path
) -> None:
    tickets = names["tickets"] = Tickets({"7": {"title": "old"}})
    found = names["so"].undos.get("update_ticket")
    rules = [reversible("update_ticket", window="10m")]
    with closing(Signoff(f"sqlite:///{tmp_path / 'undo.db'}", policy=rules)) as so:
        so.add_undo(found.spec)
        entry = begun(so, action("update_ticket", id="7", title="new"))
        tickets.write("7", {"title": "new"})
        assert so.finish(entry, "finish", result=b"", summary="done", output=None)
        undone = so.undo_action(entry.id, by=Principal(id="maria"), reason="wrong")
    assert (undone.state.value, tickets.read("7")) == ("undone", {"title": "old"})


@pytest.mark.slow
def test_the_output_is_what_the_demo_prints() -> None:
    script = _script()
    cure = "the demo prints something else now: run scripts/readme.py"
    assert script.block_in(README) == script.demo_output(), cure


def _commands(program: str) -> list[str]:
    """Every command line of the pages that starts with this program."""
    found = [
        line.split("  ")[0].strip()
        for page in PAGES
        for block in _blocks(page.read_text(encoding="utf-8"), "console")
        for line in block.splitlines()
    ]
    return [line for line in found if line.startswith(f"{program} ")]


@pytest.mark.parametrize("line", sorted(set(_commands("signoff"))))
def test_its_commands_and_their_options_exist(line: str) -> None:
    words = shlex.split(line)[1:]
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    alone = getattr(command, "invoke_without_command", True)
    assert alone, f"{words[:1]} is no command"
    known = {name for option in command.params for name in option.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_its_make_targets_exist() -> None:
    spoken = re.findall(r"`make ([a-z]+)", _FENCE.sub("", README))
    named = {*spoken, *(line.split()[1] for line in _commands("make"))}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert named <= set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    assert {"demo", "test", "check", "crash"} <= named


@pytest.mark.parametrize("row", sorted(set(re.findall(r"K=([A-DI]\d+)`", README))))
def test_each_row_that_it_names_has_a_test(row: str) -> None:
    marks = re.compile(rf'row\([^)]*"{row}"')
    tests = (ROOT / "tests").rglob("test_*.py")
    assert any(marks.search(file.read_text(encoding="utf-8")) for file in tests)


def _signoff(folder: Path, *words: str, token: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "signoff", *words],
        capture_output=True,
        check=True,
        cwd=folder,
        env={**os.environ, "SIGNOFF_TOKEN": token},
        text=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.slow
def test_the_quickstart_works_in_two_terminals(tmp_path: Path) -> None:
    (program,) = _blocks(PAGES[1].read_text(encoding="utf-8"), "python")
    (tmp_path / "agent.py").write_text(program, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-W", "error", "agent.py"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == "It waits: delete_file\n"
        assert (tmp_path / "report.txt").exists()
        printed = _signoff(tmp_path, "token", "create", "sam")
        token = re.search(r"sgn_[\w-]+", printed)
        assert token is not None
        (waiting,) = json.loads(_signoff(tmp_path, "list", "--json"))["requests"]
        decided = ("approve", waiting["id"], "--yes", "--digest", waiting["digest"])
        _signoff(tmp_path, *decided, token=token[0])
        said, _ = agent.communicate("\n", timeout=60)
    assert said.splitlines()[-1] == "Deleted report.txt."
    assert not (tmp_path / "report.txt").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text)
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []
