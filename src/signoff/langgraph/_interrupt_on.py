"""LangChain's `interrupt_on` read as rules, so that both ways of asking are one."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import update_wrapper
from typing import Any, Final

from langchain.agents.middleware import ToolCallRequest
from langgraph.runtime import get_runtime

from signoff.domain.actions import Action
from signoff.domain.policy import Policy
from signoff.domain.predicates import Predicate
from signoff.domain.requests import Request
from signoff.domain.rules import DECISION_KINDS, Rule, allow, review
from signoff.langgraph import _words as words
from signoff.langgraph._calls import Call
from signoff.langgraph._guard import Guard
from signoff.langgraph._results import Result, with_notice
from signoff.service.propose import Asked

InterruptOn = bool | Mapping[str, Any]

DESCRIPTION_PREFIX: Final = "Tool execution requires approval"

_REQUEST: Final[ContextVar[ToolCallRequest | None]] = ContextVar(
    "signoff_tool_call_request", default=None
)


@contextmanager
def asking_about(request: ToolCallRequest) -> Iterator[None]:
    """The tool call that a `when` of `interrupt_on` is asked about."""
    token = _REQUEST.set(request)
    try:
        yield
    finally:
        _REQUEST.reset(token)


def policy_from(
    interrupt_on: Mapping[str, InterruptOn] | None, policy: Policy | None
) -> Policy | None:
    """The rules of `interrupt_on`, before those of a policy; None if there are none.

    Raises:
        ValueError: A tool's configuration offers no decision.
    """
    if interrupt_on is None:
        return None
    rules = [rule for item in interrupt_on.items() for rule in _rules(*item)]
    return Policy([*rules, *(() if policy is None else policy.rules)])


def vouched_policy(interrupt_on: Mapping[str, InterruptOn], *, attempts: int) -> Policy:
    """The rules of `interrupt_on` alone, as LangChain reads them: the rest runs.

    Whoever holds the thread may answer, also for calls on their own behalf.
    """
    rules = [
        replace(rule, self_approval=True, attempts=attempts)
        for item in interrupt_on.items()
        for rule in _rules(*item)
    ]
    return Policy([*rules, allow("*")])


@dataclass(frozen=True, slots=True, kw_only=True)
class WordedGuard(Guard):
    """A guard that says what LangChain's arguments want said.

    Attributes:
        interrupt_on: Where a listed tool's `description` stands.
        prefix: Put before a listed tool's own description where it has no other.
        edit_notice: Begins the note on an edited call's result; None adds no note.
    """

    interrupt_on: Mapping[str, InterruptOn]
    prefix: str
    edit_notice: str | None

    def shown(self, call: Call, asked: Asked) -> Asked:
        """What `description` or `description_prefix` say of a listed tool's call."""
        config = self.interrupt_on.get(call.action.tool, False)
        if config is False:
            return asked
        given = config.get("description") if isinstance(config, Mapping) else None
        if given is None:
            own = [self.prefix, asked.description]
            return replace(asked, description="\n\n".join(t for t in own if t != ""))
        if not callable(given):
            return replace(asked, description=str(given))
        request = call.request
        try:
            text = str(given(request.tool_call, request.state, get_runtime()))
        except Exception as error:  # noqa: BLE001 - the call is asked about all the same
            why = f"its description failed: {type(error).__name__}: {error}"
            note = why if asked.note is None else f"{asked.note}; {why}"
            return replace(asked, note=note)
        return replace(asked, description=text)

    def noted(self, call: Call, request: Request, result: Result) -> Result:
        """The result with this agent's own note, if it has one."""
        if self.edit_notice in {None, ""}:
            return result
        notice = words.edit_notice(request, str(self.edit_notice))
        return with_notice(result, notice, call.call_id)


def _rules(tool: str, config: InterruptOn) -> list[Rule]:
    name = glob.escape(tool)
    if config is True:
        return [review(name)]
    if config is False:
        return [allow(name)]
    offered = config.get("allowed_decisions")
    if not offered:
        raise ValueError(
            f"interrupt_on[{tool!r}] needs allowed_decisions: a list of some of "
            f"{', '.join(DECISION_KINDS)}. It has the keys {sorted(config)}."
        )
    when = config.get("when")
    condition = None if when is None else _read(when)
    asked = review(name, decisions=tuple(dict.fromkeys(offered)), when=condition)
    # Where LangChain's `when` says no, LangChain runs the call.
    return [asked] if when is None else [asked, allow(name)]


def _read(when: Callable[[ToolCallRequest], bool]) -> Predicate:
    def condition(_: Action) -> bool:
        request = _REQUEST.get()
        if request is None:
            raise LookupError("this condition needs LangChain's ToolCallRequest")
        return when(request)

    # The policy's version is taken over the source of what is wrapped.
    update_wrapper(condition, when)
    return condition
