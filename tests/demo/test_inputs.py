"""What a person may get wrong on the command line: one line, with the cure."""

import socket
from contextlib import closing
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from signoff.demo import run
from signoff.demo.model import ScriptedModel, load_model, next_message
from signoff.domain.errors import InvalidSetting
from tests.demo.evidence import read_evidence
from tests.demo.program import run_demo


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidSetting, match="name a new or an empty one"):
        run(auto="approve", folder=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "thesis.txt"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidSetting, match="name a new or an empty one"):
        run(auto="approve", folder=file)
    assert file.read_text(encoding="utf-8") == "mine"


def test_an_unknown_mode_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="approve, reject, edit, respond"):
        run(auto="maybe", folder=tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        done = run_demo("--no-browser", "--port", port, "--dir", str(tmp_path))
    assert done.returncode not in {0, 70}
    (said,) = done.stderr.splitlines()
    assert f"Port {port}" in said
    assert "--port" in said


def test_without_a_name_the_script_plays() -> None:
    assert isinstance(load_model(None), ScriptedModel)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("nobody:none", "nobody"),
        ("no-such-model", "no-such-model"),
        ("anthropic:claude-sonnet-4-5", r"ANTHROPIC_API_KEY|pip install"),
        ("openai:gpt-5", r"OPENAI_API_KEY|pip install"),
    ],
)
def test_a_model_that_cannot_be_used(
    name: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InvalidSetting, match=cure) as refused:
        load_model(name)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("--model: ")


class Unreachable(ScriptedModel):
    """A real model whose provider is down."""

    def _generate(self, *args: object, **kwargs: object) -> ChatResult:
        raise ConnectionError("the provider\nis down")


def test_a_model_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signoff.demo.stage.load_model", lambda _: Unreachable())
    with pytest.raises(InvalidSetting, match="the provider is down"):
        run(auto="approve", model="some:model", folder=tmp_path)


class Overdrawn(ScriptedModel):
    """A model whose payment the bank refuses."""

    def _generate(
        self,
        messages: list[BaseMessage],
        *args: object,
        **kwargs: object,
    ) -> ChatResult:
        said = next_message(messages)
        for call in said.tool_calls:
            if call["name"] == "make_payment":
                call["args"] = {**call["args"], "amount": 10**6}
        return ChatResult(generations=[ChatGeneration(message=said)])


def test_a_call_that_its_tool_refuses_is_told_as_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signoff.demo.stage.load_model", lambda _: Overdrawn())
    lines: list[str] = []
    assert run(auto="approve", folder=tmp_path, say=lines.append) == 0
    said = " ".join(" ".join(lines).split())
    assert "the tool refused, and nothing happened" in said
    assert "make_payment: not done. It failed, and nothing happened" in said
    assert read_evidence(tmp_path).payments == []
