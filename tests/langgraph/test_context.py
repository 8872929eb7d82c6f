"""Who and where, said by the application in the run's configuration."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from signoff import Approve, Policy, Signoff, allow, review
from signoff.domain.errors import NoCheckpointer
from signoff.langgraph import Runner, SignoffMiddleware, guard_tools
from tests.langgraph.agents import (
    MARIA,
    Effects,
    Scripted,
    call,
    turn,
    with_create_agent,
    with_guard_tools,
)

PAY = [turn(call("pay", "c1", amount=10))]
GO = {"messages": [("user", "go")]}


def _config(**values: str) -> RunnableConfig:
    return {"configurable": {"thread_id": "t1", **values}}


@pytest.mark.parametrize("build", [with_create_agent, with_guard_tools])
def test_the_configuration_names_agent_user_and_team(
    database_url: str,
    build: Any,  # noqa: ANN401 - one of two builders
) -> None:
    so = Signoff(database_url, policy=[review("*")])
    graph = build(so, Scripted(turns=PAY), Effects().tools(), InMemorySaver())
    said = {"signoff_agent": "a", "signoff_user": "ana", "signoff_team": "sales"}
    graph.invoke(GO, _config(**said))
    (request,) = so.pending().requests
    assert (request.agent, request.user, request.team) == ("a", "ana", "sales")
    assert (request.thread, request.kind) == ("t1", "action")
    so.close()


@pytest.mark.parametrize(("said", "user"), [("ana", "ana"), ("", None)])
def test_the_platforms_authenticated_user_counts_if_nothing_else_is_said(
    sqlite_url: str, said: str, user: str | None
) -> None:
    so = Signoff(sqlite_url, policy=[review("*")])
    graph = with_create_agent(
        so, Scripted(turns=PAY), Effects().tools(), InMemorySaver()
    )
    graph.invoke(GO, _config(langgraph_auth_user_id=said))
    assert [request.user for request in so.pending().requests] == [user]
    so.close()


def test_the_middlewares_own_names_are_the_defaults(sqlite_url: str) -> None:
    so, effects = Signoff(sqlite_url, policy=[review("*")]), Effects()
    middleware = SignoffMiddleware(so, agent="payer", team="sales")
    graph: Any = create_agent(
        Scripted(turns=PAY),
        effects.tools(),
        middleware=[middleware],
        checkpointer=InMemorySaver(),
    )
    graph.invoke(GO, _config())
    (request,) = so.pending().requests
    assert (request.agent, request.team) == ("payer", "sales")
    assert [tool.agent for tool in so.tools()] == ["payer"] * 5
    graph.invoke(GO, {"configurable": {"thread_id": "t2", "signoff_agent": "other"}})
    assert {one.agent for one in so.pending().requests} == {"payer", "other"}
    so.close()


def test_policy_may_read_the_context(sqlite_url: str) -> None:
    rules = [allow("pay", when="user == 'ana' && team == 'sales'"), review("*")]
    so, effects = Signoff(sqlite_url, policy=Policy(rules)), Effects()
    graph = with_create_agent(so, Scripted(turns=PAY), effects.tools(), InMemorySaver())
    runner = Runner(so, graph, agent="payer")
    assert not runner.start(GO, thread_id="t1", user="bo", team="sales").finished
    assert runner.start(GO, thread_id="t2", user="ana", team="sales").finished
    assert len(effects.done) == 1
    so.close()


@pytest.mark.parametrize("build", [with_create_agent, with_guard_tools])
def test_a_run_without_a_checkpointer_is_refused_with_the_cure(
    sqlite_url: str,
    build: Any,  # noqa: ANN401 - one of two builders
) -> None:
    so, effects = Signoff(sqlite_url, policy=[review("*")]), Effects()
    graph = build(so, Scripted(turns=PAY), effects.tools(), None)
    with pytest.raises(NoCheckpointer, match="checkpointer"):
        graph.invoke(GO, _config())
    assert effects.done == []
    assert so.count() == 0
    so.close()


def test_a_node_may_have_rules_of_its_own(sqlite_url: str) -> None:
    so, effects = Signoff(sqlite_url, policy=[allow("*")]), Effects()
    node = guard_tools(so, effects.tools(), policy=Policy([review("*", approvals=2)]))
    graph: Any = _only(node)
    graph.invoke({"messages": PAY}, _config())
    (request,) = so.pending().requests
    assert request.terms.approvals == 2
    so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
    graph.invoke(None, _config())
    assert effects.done == []
    so.close()


def _only(node: Any) -> Any:  # noqa: ANN401 - a tools node
    builder = StateGraph(MessagesState)
    builder.add_node("tools", node)
    builder.add_edge(START, "tools")
    return builder.compile(checkpointer=InMemorySaver())
