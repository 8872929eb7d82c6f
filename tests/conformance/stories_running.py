"""A2, A3, A9-A11, A14, A16-A18: what runs, how often, and past which gate."""

from __future__ import annotations

import random
import threading
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ToolRetryMiddleware
from langgraph.graph import START, MessagesState, StateGraph

from tests.conformance.children import Resume, race, resume_and_die
from tests.conformance.harness import (
    GO,
    NOT_APPLICABLE,
    ROUNDS,
    TRIALS,
    Decision,
    Open,
    Place,
    asking,
    asking_at_once,
    at,
    attempt,
    in_process,
    stage,
    story,
    together,
    tools,
    waiting,
)
from tests.conformance.ours import Ours
from tests.conformance.upstream import Batched
from tests.forked import processes

KILLED = -9
HOUR = timedelta(hours=1)


@story(
    "A2",
    "killed after the effect, before the checkpoint: it runs again, nobody asked",
    "never again; people say what happened",
)
def a2(system: Open, place: Place) -> str:
    """Kill a process between the effect and its checkpoint, in each durability."""
    ends = Counter[str]()
    answers = ("by id",) if system.column == Ours.column else ("by id", "without an id")
    for durability in ("sync", "async", "exit"):
        for answer in answers:
            folder = place.folder / f"{durability} {answer}"
            folder.mkdir()
            ends[_killed(system, Place(place.url, folder), durability, answer)] += 1
    if set(ends) == {"asks what happened"}:
        return "never again; people say what happened"
    of = ends.total()
    return ", ".join(f"{end} ({n} of {of})" for end, n in sorted(ends.items()))


def _killed(system: Open, place: Place, durability: Any, answer: str) -> str:  # noqa: ANN401 - LangGraph's
    thread, tally = place.folder.name, place.tally
    config = at(thread)
    with stage(system, place) as (one, saver, _):
        graph = one.agent(asking(10), tools(tally), saver)
        graph.invoke(GO, config, durability=durability)
        command = one.bare_answer("approve")
        if answer == "by id":
            command = one.answer(graph, config, {10: "approve"})
    how = Resume(thread, command, durability, "after effect")
    assert in_process(resume_and_die, one.name, place, how) == KILLED
    assert tally.of("pay 10") == 1
    with stage(system, place, HOUR) as (one, saver, _):
        graph = one.agent(asking(10), tools(tally), saver)
        graph.invoke(None, config)
        pauses = graph.get_state(config).interrupts
    if tally.of("pay 10") > 1:
        return "runs again"
    if pauses and pauses[0].value.get("type") == "unknown_outcome":
        return "asks what happened"
    return "asks for approval again" if pauses else "goes on"


@story(
    "A3",
    "two resumes of one pause, threads or processes: it runs twice",
    "once",
)
def a3(system: Open, place: Place) -> str:
    """Resume from two threads, then from two processes, twenty times each."""
    with stage(system, place) as (one, saver, tally):
        graph = one.agent(asking(1), tools(tally), saver)
        for round_ in range(ROUNDS):
            config = at(f"t{round_}")
            graph.invoke(GO, config)
            command = one.answer(graph, config, {1: "approve"})
            together(*[partial(graph.invoke, command, config)] * 2)
        by_threads = len(tally.lines) - ROUNDS
        rounds = []
        for amount in range(100, 100 + ROUNDS):
            config = at(f"p{amount}")
            other = one.agent(asking(amount), tools(tally), saver)
            other.invoke(GO, config)
            command = one.answer(other, config, {amount: "approve"})
            rounds.append((f"p{amount}", amount, command))
    _race(one.name, place, rounds)
    by_processes = len(tally.lines) - by_threads - 2 * ROUNDS
    twice = {"threads": by_threads, "processes": by_processes}
    assert all(n >= 0 for n in twice.values()), twice
    told = [f"{n} of {ROUNDS} by {who}" for who, n in twice.items() if n]
    return f"runs twice ({', '.join(told)})" if told else "once"


def _race(name: str, place: Place, rounds: list[Any]) -> None:
    context = processes()
    barrier = context.Barrier(2)
    work = (name, place, rounds, barrier)
    both = [context.Process(target=race, args=work) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(90)
        assert process.exitcode == 0


@story(
    "A9",
    "in a plain tools node answers reach the wrong call, a neighbour runs twice",
    "every answer reaches its call, neighbours run once",
)
def a9(system: Open, place: Place) -> str:
    """Three calls that wait beside one that doesn't, answered one by one at random."""
    with stage(system, place) as (one, saver, _):
        if not one.hand_built:
            return NOT_APPLICABLE  # there each call is a node's run of its own
        trials = TRIALS if isinstance(one, Ours) else TRIALS // 5
        dice = random.Random(7)  # noqa: S311 - no secret
        wrong = twice = 0
        for trial in range(trials):
            folder = place.folder / str(trial)
            folder.mkdir()
            ends = _trial(one, Place(place.url, folder), saver, dice)
            wrong, twice = wrong + (not ends[0]), twice + (not ends[1])
    if wrong or twice:
        wrongly = f"other payments than approved ({wrong} of {trials})"
        return f"{wrongly}, a neighbour twice ({twice} of {trials})"
    return "every answer reaches its call, neighbours run once"


def _trial(
    one: Any,  # noqa: ANN401 - any system
    place: Place,
    saver: Any,  # noqa: ANN401 - any checkpointer
    dice: random.Random,
) -> tuple[bool, bool]:
    config, tally = at(place.folder.name), place.tally
    amounts = [1, 2, 3]
    dice.shuffle(amounts)
    own = tools(tally, first=_jitter(dice))
    graph = one.agent(asking_at_once(*amounts, look=True), own, saver)
    graph.invoke(GO, config)
    wanted: dict[int, Decision] = {
        amount: dice.choice(["approve", "reject", {"amount": amount * 10}])
        for amount in amounts
    }
    for _ in range(10):
        pauses = graph.get_state(config).interrupts
        if not pauses:
            break
        shown = _shown(one, config, pauses)
        some = dice.sample(shown, dice.randint(1, len(shown)))
        said = {amount: wanted[amount] for amount in some}
        attempt(partial(graph.invoke, one.answer(graph, config, said), config))
    right = sorted(
        f"pay {amount if said == 'approve' else amount * 10}"
        for amount, said in wanted.items()
        if said != "reject"
    )
    paid = sorted(line for line in tally.lines if line.startswith("pay"))
    return paid == right, tally.of("look rates") == 1


def _shown(one: Any, config: Any, pauses: Any) -> list[int]:  # noqa: ANN401 - any system
    if isinstance(one, Ours):
        return sorted(one.asked(config))
    return [pause.value["args"]["amount"] for pause in pauses]


def _jitter(dice: random.Random) -> Any:  # noqa: ANN401 - waits a moment
    return lambda: threading.Event().wait(dice.random() / 500)


@story(
    "A10",
    "calls of one turn can't be answered one by one",
    "each on its own, in any order",
)
def a10(system: Open, place: Place) -> str:
    """Answer the last of three calls first, then the first, then the middle one."""
    with stage(system, place) as (one, saver, tally):
        graph = one.agent(asking_at_once(1, 2, 3), tools(tally), saver)
        graph.invoke(GO, at("t1"))
        wanted: list[str] = []
        for amount in (3, 1, 2):
            said: Decision = "reject" if amount == 1 else "approve"
            wanted += [f"pay {amount}"] if said == "approve" else []

            def answer(amount: int = amount, said: Decision = said) -> None:
                command = one.answer(graph, at("t1"), {amount: said})
                graph.invoke(command, at("t1"))

            if attempt(answer) is not None or tally.lines != wanted:
                return "not one by one"
    return "each on its own, in any order"


class Jump(AgentMiddleware[Any, Any, Any]):
    """Another middleware that goes to the tools by itself."""

    def after_model(self, state: Any, runtime: Any) -> Any:  # noqa: ANN401 - LangChain's
        last = state["messages"][-1]
        return {"jump_to": "tools"} if getattr(last, "tool_calls", None) else None

    after_model.__can_jump_to__ = ("tools",)  # type: ignore[attr-defined]  # LangChain's


@story(
    "A11",
    "another middleware's `jump_to` runs a rejected call",
    "held",
)
def a11(system: Open, place: Place) -> str:
    """Reject under a middleware that jumps, listed before and after the gate."""
    ends = []
    with stage(system, place) as (one, saver, tally):
        if one.hand_built:
            return NOT_APPLICABLE
        for amount, around in ((1, {"outside": [Jump()]}), (2, {"inside": [Jump()]})):
            config = at(f"t{amount}")
            graph: Any = one.agent(asking(amount), tools(tally), saver, **around)
            graph.invoke(GO, config)
            if not waiting(graph, config):
                ends.append("runs without asking")
                continue
            graph.invoke(one.answer(graph, config, {amount: "reject"}), config)
            ran = tally.of(f"pay {amount}")
            ends.append("runs the rejected call" if ran else "held")
    return ", ".join(sorted(set(ends) - {"held"})) or "held"


@story(
    "A14",
    "subgraphs: an answer is lost or reaches another agent's call",
    "reaches its own",
)
def a14(system: Open, place: Place) -> str:
    """Two agents side by side in one graph ask the same; one is approved."""
    with stage(system, place) as (one, saver, tally):
        builder = StateGraph(MessagesState)
        for name, amount in (("north", 1), ("south", 2)):
            builder.add_node(name, one.agent(asking(amount), tools(tally), None))
            builder.add_edge(START, name)
        graph: Any = builder.compile(checkpointer=saver)
        graph.invoke(GO, at("t1"))
        said: dict[int, Decision] = {1: "reject", 2: "approve"}
        error = attempt(partial(_answer_each, one, graph, said))
        if error is not None:
            return f"fails with {type(error).__name__}"
    return "reaches its own" if tally.lines == ["pay 2"] else "reaches another"


def _answer_each(one: Any, graph: Any, said: dict[int, Decision]) -> None:  # noqa: ANN401 - any system
    if isinstance(one, Batched):
        for pause in graph.get_state(at("t1")).interrupts:
            (asked,) = pause.value["action_requests"]
            decision = one.bare_answer(said[asked["args"]["amount"]])
            graph.invoke(type(decision)(resume={pause.id: decision.resume}), at("t1"))
        return
    graph.invoke(one.answer(graph, at("t1"), said), at("t1"))


class FailsOnce(AgentMiddleware[Any, Any, Any]):
    """The network is down when the answered call should run, once."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:  # noqa: ANN401 - LangChain's
        if self.broken:
            self.broken = False
            raise ConnectionError("the network is down")
        return handler(request)


@story(
    "A16",
    "the run fails after the approval, and the approval is lost",
    "kept until the effect is recorded",
)
def a16(system: Open, place: Place) -> str:
    """Fail on the way to the approved call, then go on."""
    with stage(system, place) as (one, saver, tally):
        if one.hand_built:
            return NOT_APPLICABLE
        fails = FailsOnce()
        graph = one.agent(asking(10), tools(tally), saver, outside=[fails])
        graph.invoke(GO, at("t1"))
        command = one.answer(graph, at("t1"), {10: "approve"})
        fails.broken = True
        assert isinstance(
            attempt(partial(graph.invoke, command, at("t1"))), ConnectionError
        )
        assert tally.lines == []
        graph.invoke(None, at("t1"))
        if waiting(graph, at("t1")):
            return "lost: asks again"
    ran = tally.of("pay 10")
    return "kept until the effect is recorded" if ran == 1 else f"runs {ran} times"


@story(
    "A17",
    "retries: asked at every attempt, or one approval covers any number",
    "asked once, the stated attempts",
)
def a17(system: Open, place: Place) -> str:
    """One approval under a middleware that retries, listed first and last."""
    ends = set()
    with stage(system, place) as (one, saver, tally):
        if one.hand_built:
            return NOT_APPLICABLE
        for amount, where in ((1, "outside"), (2, "inside")):
            retry = ToolRetryMiddleware(max_retries=2, initial_delay=0.0, jitter=False)
            own = tools(tally, then=_fails)
            around: Any = {where: [retry]}
            graph: Any = one.agent(asking(amount), own, saver, **around)
            config, asked = at(f"t{amount}"), 0
            graph.invoke(GO, config)
            while waiting(graph, config) and asked < 5:
                asked += 1
                graph.invoke(one.answer(graph, config, {amount: "approve"}), config)
            ran = tally.of(f"pay {amount}")
            ends.add(
                f"{ran} attempts for {asked} approvals"
                if (asked, ran) != (1, 1)
                else "asked once, the stated attempts"
            )
    return ", ".join(sorted(ends))


def _fails() -> None:
    raise ConnectionError("half done")


@story(
    "A18",
    "going back in time runs an executed call again",
    "the recorded result; a changed call is asked about",
)
def a18(system: Open, place: Place) -> str:
    """Go back to before the effect; then fork with another amount."""
    with stage(system, place) as (one, saver, tally):
        graph = one.agent(asking(10), tools(tally), saver)
        graph.invoke(GO, at("t1"))
        graph.invoke(one.answer(graph, at("t1"), {10: "approve"}), at("t1"))
        before = next(
            s for s in graph.get_state_history(at("t1")) if s.next == ("tools",)
        )
        graph.invoke(None, before.config)
        asked_again = waiting(graph, at("t1")) > 0
        ran = tally.of("pay 10")
        message = before.values["messages"][-1].model_copy(deep=True)
        message.tool_calls[0]["args"]["amount"] = 10_000
        fork = graph.update_state(before.config, {"messages": [message]})
        graph.invoke(None, fork)
        silently = tally.of("pay 10000") > 0
    if ran > 1 or silently:
        return "runs again, nobody asked" if ran > 1 else "runs the changed call"
    if asked_again:
        return "asks again"
    return "the recorded result; a changed call is asked about"
