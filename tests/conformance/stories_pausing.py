"""A1, A4-A8, A12, A13, A15, A19, A20: pausing, and what an answer reaches."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, TypedDict

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from signoff import Approve, Reject, allow, review
from signoff.domain.errors import AlreadyDecided
from signoff.langgraph import Runner, gate
from tests.conformance.harness import (
    GO,
    NOT_APPLICABLE,
    Open,
    Place,
    asking,
    asking_at_once,
    at,
    attempt,
    opened,
    stage,
    story,
    together,
    tools,
    waiting,
)
from tests.conformance.ours import Ours, OursByHand
from tests.conformance.upstream import Bare, Batched, PerCall
from tests.langgraph.agents import MARIA, OTTO

MALFORMED: list[Any] = [
    "approve",
    {"decisions": "approve"},
    [],
    {"decisions": [{"type": "approve"}] * 5},
    {"decisions": []},
    {"decisions": [{"type": "maybe"}]},
    {"decisions": [{}]},
    True,
    [{"type": "approve"}],
    {"type": "yes"},
    {"decisions": [{"type": "edit"}]},
    {"decisions": [{"type": "respond"}]},
    {"type": "edit"},
]


class Stage(TypedDict, total=False):
    """The state of a staged graph."""

    ran: Any


@story(
    "A1",
    "the node runs again on a resume: people saw plan 1, plan 2 runs",
    "the plan that was approved runs",
)
def a1(system: Open, place: Place) -> str:
    """Approve the plan that is shown, and see which one runs."""
    made: list[int] = []

    def plan() -> int:
        made.append(1)
        return len(made)

    with stage(system, place) as (one, saver, _):
        if isinstance(one, Ours):
            so = one.so
            ask: Any = lambda: gate(so, "plan", plan).value  # noqa: E731 - one of two
        elif isinstance(one, Bare):
            ask = _ask_with_interrupt(plan)
        else:
            return NOT_APPLICABLE
        builder = StateGraph(Stage)
        builder.add_node("stage", lambda _: {"ran": ask()})
        builder.add_edge(START, "stage")
        graph = builder.compile(checkpointer=saver)
        (pause,) = graph.invoke({}, at("t1"))["__interrupt__"]
        if isinstance(one, Ours):
            (request,) = one.so.thread("t1")
            assert request.args["value"] == 1
            one.so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
        ran = graph.invoke(Command(resume={pause.id: "approve"}), at("t1"))["ran"]
    if ran == 1 and len(made) == 1:
        return "the plan that was approved runs"
    return f"plan 1 is approved, plan {ran} runs"


def _ask_with_interrupt(plan: Any) -> Any:  # noqa: ANN401 - a function of no arguments
    def ask() -> int:
        made: int = plan()
        interrupt(made)
        return made

    return ask


@story(
    "A4",
    "approve and reject at once: both callers are told that it worked",
    "one wins, the other is told who",
)
def a4(system: Open, place: Place) -> str:
    """Two people answer differently at the same moment, ten times."""
    both_told_ok = 0
    with stage(system, place) as (one, saver, tally):
        for amount in range(1, 11):
            config = at(f"t{amount}")
            graph = one.agent(asking(amount), tools(tally), saver)
            graph.invoke(GO, config)
            if isinstance(one, Ours):
                request = one.asked(config)[amount]
                say = partial(one.so.decide, request.id, digest=request.digest)
                ends = together(
                    partial(say, Approve(), by=MARIA), partial(say, Reject(), by=OTTO)
                )
                graph.invoke(None, config)
            else:
                yes = one.answer(graph, config, {amount: "approve"})
                no = one.answer(graph, config, {amount: "reject"})
                ends = together(
                    partial(graph.invoke, yes, config),
                    partial(graph.invoke, no, config),
                )
            told = [end for end in ends if isinstance(end, AlreadyDecided)]
            assert all(one.by in {MARIA.id, OTTO.id} for one in told)
            both_told_ok += told == []
    return (
        "both are told that it worked"
        if both_told_ok
        else "one wins, the other is told who"
    )


@story(
    "A5",
    "a malformed answer bricks the thread for ever",
    "changes nothing, still answerable",
)
def a5(system: Open, place: Place) -> str:
    """Send each malformed answer, then a proper one."""
    bricked = ran = 0
    with stage(system, place) as (one, saver, tally):
        if isinstance(one, Bare):
            return NOT_APPLICABLE  # its answers mean what the application makes of them
        for amount, value in enumerate(MALFORMED, start=1):
            config = at(f"t{amount}")
            graph = one.agent(asking(amount), tools(tally), saver)
            graph.invoke(GO, config)
            attempt(partial(graph.invoke, Command(resume=value), config))
            ran += tally.of(f"pay {amount}") > 0
            answerable = _answerable(one, graph, config, amount)
            bricked += not (answerable and tally.of(f"pay {amount}") == 1)
    if ran:
        return f"runs it ({ran} of {len(MALFORMED)} shapes)"
    if bricked:
        return f"bricked ({bricked} of {len(MALFORMED)} shapes)"
    return "changes nothing, still answerable"


def _answerable(one: Any, graph: Any, config: Any, amount: int) -> bool:  # noqa: ANN401 - any system
    def answer() -> None:
        graph.invoke(one.answer(graph, config, {amount: "approve"}), config)

    return attempt(answer) is None and not waiting(graph, config)


@story(
    "A6",
    "a late answer without an id approves a newer, bigger call",
    "refused",
)
def a6(system: Open, place: Place) -> str:
    """Reject 10; the model asks for 10000; a late click approves."""
    with stage(system, place) as (one, saver, tally):
        graph = one.agent(asking(10, 10_000), tools(tally), saver)
        graph.invoke(GO, at("t1"))
        graph.invoke(one.answer(graph, at("t1"), {10: "reject"}), at("t1"))
        attempt(partial(graph.invoke, one.bare_answer("approve"), at("t1")))
        return "runs the bigger call" if tally.of("pay 10000") else "refused"


@story(
    "A7",
    "the answer to the first question, sent twice, answers the second",
    "the second stays open",
)
def a7(system: Open, place: Place) -> str:
    """Two questions in one node; the first one's answer is sent again, by its id."""
    with stage(system, place) as (one, saver, _):
        if isinstance(one, Ours):
            so = one.so
            ask: Any = lambda name: gate(so, name, name).value  # noqa: E731 - one of two
        elif isinstance(one, Bare):
            ask = interrupt
        else:
            return NOT_APPLICABLE
        builder = StateGraph(Stage)
        builder.add_node("stage", lambda _: {"ran": [ask("one"), ask("two")]})
        builder.add_edge(START, "stage")
        graph = builder.compile(checkpointer=saver)
        graph.invoke({}, at("t1"))
        (pause,) = graph.get_state(at("t1")).interrupts
        if isinstance(one, Ours):
            (request,) = one.so.thread("t1")
            one.so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
        for _ in range(2):
            attempt(partial(graph.invoke, Command(resume={pause.id: "yes"}), at("t1")))
        graph.invoke(None, at("t1"))
        open_still = waiting(graph, at("t1")) == 1
    return "the second stays open" if open_still else "answers the second"


@story("A8", "the resume of an unknown thread starts a fresh run", "refused")
def a8(system: Open, place: Place) -> str:
    """Resume a thread that never was."""
    with stage(system, place) as (one, saver, tally):
        model = asking(10)
        graph = one.agent(model, tools(tally), saver)
        if isinstance(one, OursByHand):  # nothing of ours stands before its model
            resume: Any = partial(Runner(one.so, graph, agent="a").resume, "never seen")
        else:
            answer = one.bare_answer("approve")
            resume = partial(graph.invoke, answer, at("never seen"))
        attempt(resume)
        return "starts a fresh run" if model.heard else "refused"


@story(
    "A12",
    "the condition flips before the resume, and a rejected call runs",
    "the recorded verdict stands",
)
def a12(system: Open, place: Place) -> str:
    """Ask because of a condition, flip it, reject."""
    risky = [True]

    class Flipping(Ours):
        rules = (review("*", when=lambda _: risky[0]), allow("*"))

    class When(PerCall):
        on: ClassVar = {
            "pay": {"allowed_decisions": ["approve", "reject"], "when": _when(risky)}
        }

    class WhenBatched(When, Batched):
        pass

    changed: dict[Open, Open] = {PerCall: When, Batched: WhenBatched, Ours: Flipping}
    if system not in changed:
        return NOT_APPLICABLE
    with opened(changed[system], place) as one, place.saver() as saver:
        graph = one.agent(asking(10), tools(place.tally), saver)
        graph.invoke(GO, at("t1"))
        resume = one.answer(graph, at("t1"), {10: "reject"})
        risky[0] = False
        attempt(partial(graph.invoke, resume, at("t1")))
        ran = place.tally.of("pay 10")
    return "the rejected call runs" if ran else "the recorded verdict stands"


def _when(risky: list[bool]) -> Any:  # noqa: ANN401 - LangChain's condition
    return lambda _: risky[0]


class Swallow(AgentMiddleware[Any, Any, Any]):
    """Code that goes on whatever happens."""

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:  # noqa: ANN401 - LangChain's
        try:
            return handler(request)
        except Exception as error:  # noqa: BLE001 - the mistake that is tested
            text = f"went on after {type(error).__name__}"
            return ToolMessage(text, tool_call_id=request.tool_call["id"])


@story(
    "A13",
    "`except Exception` around the call swallows the pause",
    "no effect without a decision",
)
def a13(system: Open, place: Place) -> str:
    """Code around the pause swallows it; a tool that asks by itself does so inside."""

    @tool
    def pay(amount: int) -> str:
        """Pay an amount, unless somebody says no."""
        try:
            answer = interrupt(amount)
        except Exception:  # noqa: BLE001 - the mistake that is tested
            answer = {"type": "approve"}
        if answer["type"] == "approve":
            place.tally.add(f"pay {amount}")
        return "done"

    with stage(system, place) as (one, saver, tally):
        if isinstance(one, Bare):
            graph: Any = create_agent(asking(10), [pay], checkpointer=saver)
        elif one.hand_built:
            graph = one.agent(asking(10), tools(tally), saver)
        else:
            graph = one.agent(asking(10), tools(tally), saver, outside=[Swallow()])
        graph.invoke(GO, at("t1"))
        ran = tally.of("pay 10")
    return "runs with no decision" if ran else "no effect without a decision"


@story(
    "A15",
    "a message while it waits leaves a call without an answer",
    "the thread stays valid, the request is cancelled",
)
def a15(system: Open, place: Place) -> str:
    """Write again while a call waits."""
    with stage(system, place) as (one, saver, tally):
        model = asking(10)
        graph = one.agent(model, tools(tally), saver)
        graph.invoke(GO, at("t1"))
        attempt(partial(graph.invoke, {"messages": [HumanMessage("wait")]}, at("t1")))
        messages = model.heard[-1]
        calls = {
            c["id"] for m in messages if isinstance(m, AIMessage) for c in m.tool_calls
        }
        answered = {m.tool_call_id for m in messages if isinstance(m, ToolMessage)}
        if calls - answered:
            return "a call is left without an answer"
        assert isinstance(one, Ours)
        (request,) = one.so.thread("t1")
        return f"the thread stays valid, the request is {request.status.value}"


@story(
    "A19",
    "without a checkpointer it pauses and can never go on",
    "refused, with the cure",
)
def a19(system: Open, place: Place) -> str:
    """Run an agent that keeps no checkpoints."""
    with opened(system, place) as one:
        graph = one.agent(asking(10), tools(place.tally), None)
        error = attempt(partial(graph.invoke, GO))
    if error is None:
        return "pauses for ever"
    if "checkpointer=" in str(error):
        return "refused, with the cure"
    return f"{type(error).__name__}"


@story(
    "A20",
    "of several questions of one node or turn only one is shown",
    "all shown",
)
def a20(system: Open, place: Place) -> str:
    """Ask three things in one turn."""
    with stage(system, place) as (one, saver, tally):
        graph = one.agent(asking_at_once(1, 2, 3), tools(tally), saver)
        graph.invoke(GO, at("t1"))
        pauses = graph.get_state(at("t1")).interrupts
        shown = sum(len(_asked(pause.value)) for pause in pauses)
    return "all shown" if shown == 3 else f"{shown} of 3 shown"


def _asked(value: dict[str, Any]) -> list[Any]:
    several: list[Any] = value.get("action_requests", [value])
    return several
