"""Without `resume_as`: LangChain's arguments on the store's decisions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
)
from langchain_core.messages import AIMessage

from signoff import Edit, Signoff
from signoff.domain.errors import (
    PayloadRefused,
)
from signoff.domain.requests import Status
from signoff.langgraph import SignoffMiddleware
from tests.langgraph.agents import (
    MARIA,
    call,
    open_saver,
    said,
    turn,
)
from tests.langgraph.dropin.moved import (
    ANA,
    Moved,
    moved_agent,
    pauses,
)

PAY = [turn(call("pay", "c1", amount=10))]
BOTH = {"pay": True, "wire": True}
YES = {"type": "approve"}


async def strict(
    stack: AsyncExitStack,
    url: str,
    folder: Path,
    *,
    turns: Sequence[AIMessage] = PAY,
    **more: Any,  # noqa: ANN401 - the middleware's own arguments
) -> Moved:
    saver = await stack.enter_async_context(open_saver("sync", url, folder))
    so = Signoff(url)
    stack.callback(so.close)
    return moved_agent(so, saver, turns, mode="per_call", **more)


async def test_without_resume_as_no_answer_decides(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        agent = await strict(stack, sqlite_url, tmp_path, interrupt_on=BOTH)
        (pause,) = await agent.start()
        assert pause.value["signoff"]["request_id"] == agent.requests()[0].id
        for _ in range(2):
            done = await agent.answer(YES)
            assert len(pauses(done)) == 1
        assert agent.effects.done == []
        assert agent.requests()[0].status is Status.PENDING


def _described(
    tool_call: Mapping[str, Any],
    state: Mapping[str, Any],
    runtime: Any,  # noqa: ANN401 - LangChain's
) -> str:
    return f"{tool_call['args']['amount']} after {len(state['messages'])} in {runtime}"


@pytest.mark.parametrize(
    ("config", "arguments", "expected"),
    [
        (True, {}, r"Tool execution requires approval\n\nPay an amount\."),
        (True, {"description_prefix": "Look"}, r"Look\n\nPay an amount\."),
        ({"description": "Pays"}, {"description_prefix": "Look"}, "Pays"),
        ({"description": _described}, {}, r"10 after 2 in Runtime\(.*"),
    ],
    ids=["default", "prefix", "text", "callable"],
)
async def test_strict_shows_the_description_that_was_asked_for(
    sqlite_url: str,
    tmp_path: Path,
    config: Any,  # noqa: ANN401 - LangChain's
    arguments: Mapping[str, Any],
    expected: str,
) -> None:
    if config is not True:
        config = {"allowed_decisions": ["approve"], **config}
    async with AsyncExitStack() as stack:
        agent = await strict(
            stack, sqlite_url, tmp_path, interrupt_on={"pay": config}, **arguments
        )
        (pause,) = await agent.start()
        (request,) = agent.requests()
        assert re.fullmatch(expected, request.description, re.DOTALL)
        assert pause.value["description"] == request.description


async def test_strict_asks_though_a_description_fails(
    sqlite_url: str, tmp_path: Path
) -> None:
    def broken(*_: object) -> str:
        raise KeyError("subject")

    config = {"allowed_decisions": ["approve"], "description": broken}
    async with AsyncExitStack() as stack:
        agent = await strict(stack, sqlite_url, tmp_path, interrupt_on={"pay": config})
        await agent.start()
        (request,) = agent.requests()
        assert request.note == "its description failed: KeyError: 'subject'"


@pytest.mark.parametrize(
    ("notice", "expected"),
    [
        ("Changed.", 'Changed. Executed instead: pay with arguments {"amount": 3}.'),
        (None, "paid 3.0 to ana"),
    ],
    ids=["own", "none"],
)
async def test_strict_tells_the_model_of_an_edit_as_asked(
    sqlite_url: str, tmp_path: Path, notice: str | None, expected: str
) -> None:
    async with AsyncExitStack() as stack:
        agent = await strict(
            stack, sqlite_url, tmp_path, interrupt_on=BOTH, edit_notice=notice
        )
        await agent.start()
        (request,) = agent.requests()
        edit = Edit(args={"amount": 3})
        agent.so.decide(request.id, edit, by=MARIA, digest=request.digest)
        done = await agent.answer(YES)
        assert said(agent.told(done)[0]).startswith(expected)


async def test_strict_asks_nobody_about_a_call_whose_result_could_reach_nothing(
    sqlite_url: str, tmp_path: Path
) -> None:
    nameless = [turn({**call("pay", "c1", amount=1), "id": None})]
    async with AsyncExitStack() as stack:
        agent = await strict(
            stack, sqlite_url, tmp_path, turns=nameless, interrupt_on=BOTH
        )
        with pytest.raises(PayloadRefused, match="the id of the call of pay"):
            await agent.start()
        assert agent.requests() == []


# Wrong arguments.


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"resume_as": ANA}, "needs interrupt_on"),
        ({"attempts": 2}, "goes with resume_as"),
        ({"interrupt_mode": "sometimes"}, "'per_call' or 'batched'"),
        ({"interrupt_on": {"pay": {}}}, "needs allowed_decisions"),
        ({"interrupt_on": {"pay": {}}, "resume_as": ANA}, "allowed_decisions"),
    ],
)
def test_arguments_that_make_no_sense_name_their_cure(
    sqlite_url: str, arguments: dict[str, Any], problem: str
) -> None:
    so = Signoff(sqlite_url)
    with pytest.raises(ValueError, match=problem):
        SignoffMiddleware(so, **arguments)
    so.close()


def test_both_modes_are_one_class_to_their_users(sqlite_url: str) -> None:
    so = Signoff(sqlite_url)
    strict_one = SignoffMiddleware(so, {"pay": True})
    vouched = SignoffMiddleware(so, {"pay": True}, resume_as=ANA)
    assert not isinstance(strict_one, HumanInTheLoopMiddleware)
    assert isinstance(vouched, SignoffMiddleware)
    assert isinstance(vouched, HumanInTheLoopMiddleware)
    so.close()
