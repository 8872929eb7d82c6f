"""Everything that the demo runs in one process, opened together and closed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langgraph.graph.state import CompiledStateGraph

from signoff.bootstrap import Signoff
from signoff.clock import monotonic
from signoff.demo.agent import AGENT, POLICY, USER, checkpoints_in, make_agent
from signoff.demo.model import TASK, load_model, one_line
from signoff.demo.screen import call_line
from signoff.demo.world import World
from signoff.domain.errors import InvalidSetting, SignoffError, WorldError
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Request, Status
from signoff.langgraph import Runner

_TOKEN_LIFE: Final = timedelta(days=1)
_POLL_S: Final = 0.05


class TookTooLong(WorldError):
    """The demo waited in vain, so its checks mean nothing."""

    code = "demo_took_too_long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The world, signoff and the agent on one thread.

    Attributes:
        continues: Whether the thread was there before, so that it goes on.
        model: The name of a real chat model; None is the scripted one.
    """

    world: World
    so: Signoff
    graph: CompiledStateGraph[Any, Any, Any, Any]
    runner: Runner
    thread: str
    continues: bool
    model: str | None
    _tokens: list[str] = field(default_factory=list)

    def go(self) -> None:
        """Give the agent its task, or let it go on, until it waits or is done.

        Raises:
            InvalidSetting: The model that was asked for didn't answer.
        """
        try:
            if self.continues:
                self.runner.resume(self.thread)
            else:
                task = {"messages": [{"role": "user", "content": TASK}]}
                self.runner.start(task, thread_id=self.thread, user=USER)
        except SignoffError:
            raise
        except Exception as error:
            if self.model is None:
                raise
            problem = f"{self.model} didn't answer: {one_line(error)}"
            raise InvalidSetting("--model", problem) from error

    def messages(self) -> Sequence[BaseMessage]:
        """The conversation so far."""
        return messages_of(self.graph, self.thread)

    def answer(self) -> str | None:
        """What the agent said at the end, or None while it isn't done."""
        return final_answer(self.messages())

    def ran(self) -> Iterator[str]:
        """The calls that were answered and that nobody was asked about."""
        messages = self.messages()
        answered = {m.tool_call_id for m in messages if isinstance(m, ToolMessage)}
        asked = {call_line(**r.proposed) for r in self.so.thread(self.thread)}
        for call in self._calls():
            line = call_line(call["name"], call["args"])
            if call["id"] in answered and line not in asked:
                yield f"runs   {'':8}{line}"

    def waiting(self) -> list[Request]:
        """The requests that wait."""
        return [one for one in self.requests() if one.status is Status.PENDING]

    def requests(self) -> list[Request]:
        """The thread's requests, in the order in which the agent named the calls."""
        asked = self.so.thread(self.thread)
        named = [call_line(call["name"], call["args"]) for call in self._calls()]
        return sorted(asked, key=lambda one: named.index(call_line(**one.proposed)))

    def token(
        self, name: str, *groups: str, kind: PrincipalKind = PrincipalKind.PERSON
    ) -> str:
        """A token that ends with the demo."""
        token, secret = self.so.create_token(
            name, kind=kind, groups=groups, expires_in=_TOKEN_LIFE
        )
        self._tokens.append(token.id)
        return secret

    def wait(self, done: Callable[[], bool], what: str, timeout: float = 60) -> None:
        """Wait until something is so, woken by whatever happens in signoff.

        Raises:
            TookTooLong: It wasn't, in `timeout` seconds.
        """
        deadline, bell = monotonic() + timeout, self.so.bell
        heard = bell.rings
        while not done():
            if monotonic() > deadline:
                raise TookTooLong(f"{what}: not within {timeout:g} s.")
            heard = bell.wait(heard, _POLL_S)

    def _calls(self) -> Iterator[ToolCall]:
        for message in self.messages():
            yield from message.tool_calls if isinstance(message, AIMessage) else ()

    def revoke_tokens(self) -> None:
        """End the tokens that this run made."""
        for token in self._tokens:
            self.so.revoke_token(token)


@contextmanager
def open_stage(world: World, model: str | None) -> Iterator[Stage]:
    """Start the mail server, signoff and the agent in this world.

    Raises:
        InvalidSetting: The model can't be used.
    """
    loaded = load_model(model)
    with (
        world.mail.running(),
        closing(Signoff(world.store_url(), policy=POLICY)) as so,
        checkpoints_in(world.folder / "threads.db") as checkpoints,
    ):
        graph = make_agent(so, world, loaded, checkpoints)
        thread, continues = _next_thread(graph)
        if not continues:
            world.restock()
        runner = Runner(so, graph, agent=AGENT)
        stage = Stage(
            world=world,
            so=so,
            graph=graph,
            runner=runner,
            thread=thread,
            continues=continues,
            model=model,
        )
        try:
            yield stage
        finally:
            stage.revoke_tokens()


def messages_of(
    graph: CompiledStateGraph[Any, Any, Any, Any], thread: str
) -> Sequence[BaseMessage]:
    """The messages that a thread's checkpoint holds."""
    state = graph.get_state({"configurable": {"thread_id": thread}})
    found: Sequence[BaseMessage] = state.values.get("messages", [])
    return found


def final_answer(messages: Sequence[BaseMessage]) -> str | None:
    """The last message, if it is the agent's and asks for nothing more."""
    last = messages[-1] if messages else None
    if isinstance(last, AIMessage) and not last.tool_calls:
        return last.text
    return None


def _next_thread(graph: CompiledStateGraph[Any, Any, Any, Any]) -> tuple[str, bool]:
    """The first thread that isn't done, and whether it was begun."""
    number = 1
    while True:
        thread = f"november-{number}"
        messages = messages_of(graph, thread)
        if final_answer(messages) is None:
            return thread, len(messages) > 0
        number += 1
