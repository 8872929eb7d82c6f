"""A scripted chat model that plays one short story, and the loading of a real one.

What it says next follows from the conversation alone, so it goes on where it was
after a restart of the process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain.chat_models import init_chat_model
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult

from signoff.demo.world import INVOICE, OLD_DRAFT, RELEASE_NOTES
from signoff.domain.errors import InvalidSetting

TASK: Final = (
    "Close the books for November: pay ACC Logistics 1,450 EUR, mail their invoice to "
    "our accountant, remove the old draft, publish the release notes."
)

_READS: Final[Sequence[tuple[str, Mapping[str, Any]]]] = (
    ("list_files", {}),
    ("read_file", {"path": INVOICE}),
    ("read_file", {"path": RELEASE_NOTES}),
)
_DEEDS: Final[Sequence[tuple[str, Mapping[str, Any]]]] = (
    (
        "make_payment",
        {"payee": "ACC Logistics", "amount": 1450, "reference": "Invoice 2214"},
    ),
    (
        "send_email",
        {
            "to": ["accountant@example.com"],
            "subject": "Invoice 2214 from ACC Logistics",
            "body": "Hello,\n\nhere is invoice 2214 over 1,450.00 EUR for freight in "
            "November.\n\nYour bookkeeper",
        },
    ),
    ("delete_file", {"path": OLD_DRAFT}),
    ("push_to_production", {"path": RELEASE_NOTES, "message": "Release 2.19.0"}),
)
_DONE: Final = ("Paid ", "Sent ", "Deleted ", "Published ", "Wrote ")
_EXAMPLE: Final = "Name it like anthropic:claude-sonnet-4-5."
_KEYS: Final = {
    "anthropic": "ANTHROPIC_API_KEY",
    "google_genai": "GOOGLE_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "openai": "OPENAI_API_KEY",
}


class ScriptedModel(BaseChatModel):
    """Reads, then proposes four risky calls at once, then says what came of them."""

    @property
    def _llm_type(self) -> str:
        return "signoff-demo-script"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> ScriptedModel:  # noqa: ANN401, ARG002 - BaseChatModel's signature
        """The script knows the tools."""
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - BaseChatModel's signature
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as above
        **kwargs: Any,  # noqa: ANN401, ARG002 - as above
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=next_message(messages))])


def next_message(conversation: Sequence[BaseMessage]) -> AIMessage:
    """What the bookkeeper says next."""
    since = _since_task(conversation)
    asked = {call["name"] for call in _calls(since)}
    if asked.isdisjoint(name for name, _ in _READS):
        return _proposal("I look at what is there first.", _READS, len(conversation))
    if asked.isdisjoint(name for name, _ in _DEEDS):
        said = "The invoice matches. These are the four steps."
        return _proposal(said, _DEEDS, len(conversation))
    return AIMessage(_report(since))


def load_model(name: str | None) -> BaseChatModel:
    """The scripted model, or a real one by LangChain's name for it.

    Raises:
        InvalidSetting: Its package or its key is missing, or there is no such model.
    """
    if name is None:
        return ScriptedModel()
    key = _KEYS.get(name.partition(":")[0])
    try:
        model = init_chat_model(name)
    except ImportError as error:
        raise InvalidSetting("--model", one_line(error)) from error
    except Exception as error:
        if key is not None and key not in os.environ:
            raise InvalidSetting("--model", _no_key(name, key)) from error
        problem = f"{name}: {one_line(error).partition('. ')[0]}. {_EXAMPLE}"
        raise InvalidSetting("--model", problem) from error
    if key is not None and key not in os.environ:
        raise InvalidSetting("--model", _no_key(name, key))
    return model


def _no_key(name: str, key: str) -> str:
    return f"{name} needs a key: set {key}, or leave --model out for the scripted one."


def one_line(error: Exception) -> str:
    """An error's text in one line."""
    return " ".join(str(error).split())


def _since_task(conversation: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    asked = [i for i, m in enumerate(conversation) if isinstance(m, HumanMessage)]
    return conversation[asked[-1] :] if asked else conversation


def _calls(messages: Sequence[BaseMessage]) -> list[ToolCall]:
    return [
        call
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    ]


def _proposal(
    said: str, wanted: Sequence[tuple[str, Mapping[str, Any]]], turn: int
) -> AIMessage:
    calls = [
        ToolCall(name=name, args=dict(args), id=f"call_{turn}_{number}")
        for number, (name, args) in enumerate(wanted, start=1)
    ]
    return AIMessage(said, tool_calls=calls)


def _report(since: Sequence[BaseMessage]) -> str:
    answers = {m.tool_call_id: m for m in since if isinstance(m, ToolMessage)}
    deeds = {name for name, _ in _DEEDS}
    lines = [
        _outcome(call["name"], answers[call["id"]])
        for call in _calls(since)
        if call["name"] in deeds and call["id"] in answers
    ]
    return "\n".join(["Here is what came of it:", *lines])


def _outcome(tool: str, answer: ToolMessage) -> str:
    """One call's outcome, told as its answer tells it."""
    noted, mark, result = answer.text.partition("\n\nTool response:\n")
    text = result if mark else noted
    if answer.status == "error":
        return f"- {tool}: not done. {text.splitlines()[0]}"
    if not text.startswith(_DONE):
        return f"- {tool}: not done. A reviewer answered: {text}"
    changed = " A reviewer changed it first." if mark else ""
    return f"- {tool}: done. {text}{changed}"
