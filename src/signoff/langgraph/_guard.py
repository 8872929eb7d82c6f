"""The gate at the execution boundary, written once: steps, and two short drivers.

`interrupt()` only parks the thread. Its return value is never read: after every wake-up
the store says what happens next, so a forged, stale, doubled or malformed resume value
changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final
from weakref import WeakValueDictionary

import anyio
from langchain.agents.middleware import ToolCallRequest
from langchain_core.messages import ToolCall, ToolMessage
from langgraph.errors import GraphBubbleUp

from signoff.aio import AsyncApprovals
from signoff.domain.errors import (
    CallNotRecorded,
    DigestMismatch,
    PayloadRefused,
    WorldError,
)
from signoff.domain.journal import Entry, EntryState, may_retry
from signoff.domain.policy import Policy, Ruling
from signoff.domain.requests import Request, Status
from signoff.domain.rules import Verdict
from signoff.langgraph import _words as words
from signoff.langgraph._attempts import Attempts
from signoff.langgraph._calls import (
    Call,
    ReadContext,
    argument_problem,
    calls_beside,
    find_tool,
    json_schema,
    known_tool,
    read_call,
)
from signoff.langgraph._results import Result, decode, encode, summarize, with_notice
from signoff.langgraph._wakes import drop_wakes, pause
from signoff.service import Approvals
from signoff.service.propose import Asked, Standing

log: Final = logging.getLogger("signoff")

POLL_S: Final = 0.05

Handler = Callable[[ToolCallRequest], Result]
AsyncHandler = Callable[[ToolCallRequest], Awaitable[Result]]
Payload = Callable[[Call, Request], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Do:
    """Call a use case by its name."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """Run the tool; the step gets its result or its error."""

    request: ToolCallRequest


@dataclass(frozen=True, slots=True)
class Pause:
    """Park the thread until somebody wakes it."""

    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """Another worker runs this call; look again soon."""

    seconds: float


Steps = Generator[Do | Run | Pause | Wait, Any, Result]


def do(name: str, *args: object, **kwargs: object) -> Do:
    """A use case and its arguments."""
    return Do(name, args, kwargs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Judges every tool call of one agent or node.

    Attributes:
        policy: The rules; None is the policy of `so`.
        replays: Whether a call that needs no approval may be re-executed when its
            neighbour pauses (a plain ToolNode), so that it is journaled too.
    """

    so: Approvals
    context: ReadContext
    policy: Policy | None = None
    payload: Payload = words.approval_payload
    replays: bool = False
    _aio: AsyncApprovals = field(init=False)
    _asks: dict[str, Asked] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_aio", AsyncApprovals(self.so))

    def run(self, request: ToolCallRequest, handler: Handler) -> Result:
        """Judge and run a call, from sync code."""
        call = read_call(request, self.context)
        return drive(self.so, self.steps(call), handler)

    async def arun(self, request: ToolCallRequest, handler: AsyncHandler) -> Result:
        """Judge and run a call, from async code."""
        call = read_call(request, self.context)
        return await adrive(self._aio, self.steps(call), handler)

    def rule(self, call: Call) -> Ruling:
        """The verdict of this guard's policy."""
        if self.policy is None:
            return self.so.rule(call.action)
        return self.policy.decide(call.action)

    def problem(self, call: Call) -> str | None:
        """Why nobody needs to be asked: the tool would refuse these arguments."""
        return argument_problem(call.request.tool, call.action.args)

    def shown(self, call: Call, asked: Asked) -> Asked:  # noqa: ARG002 - for those who know more of this call
        """What a request shows of this call, given what its tool says of itself."""
        return asked

    def told(self, call: Call, request: Request) -> ToolMessage:
        """What the model is told of a call that people decided not to run."""
        return words.settled_message(call, request)

    def noted(self, call: Call, request: Request, result: Result) -> Result:
        """The result of a call that people changed, with a note that they did."""
        return with_notice(result, words.edit_notice(request), call.call_id)

    def steps(self, call: Call) -> Steps:
        """What happens to a call, one step at a time."""
        ruling = self.rule(call)
        try:
            if self._runs_at_once(call, ruling):
                self.so.allowed(call.action, ruling)
                answer: Result = yield Run(call.request)
                return answer
            problem = self.problem(call)
            if problem is not None:
                return words.refused_message(
                    call, f"the arguments don't fit: {problem}"
                )
            return (yield from self._judged(call, ruling))
        except PayloadRefused as error:
            return words.refused_message(call, str(error))

    def _runs_at_once(self, call: Call, ruling: Ruling) -> bool:
        if ruling.verdict is not Verdict.ALLOW or call.resuming:
            return False
        return not self.replays or self._alone(call)

    def _alone(self, call: Call) -> bool:
        """Whether no neighbour in this node could pause and re-execute the call."""
        return len(calls_beside(call.request)) <= 1

    def _introduced(self, call: Call) -> Generator[Do, None, Asked]:
        """What a request shows of the tool; the agent's tools are made known once."""
        tool, name = call.request.tool, call.action.tool
        if tool is None:
            return Asked(note="the agent has no tool of this name")
        if name not in self._asks:
            agent = call.action.context.agent
            tools = [known_tool(one, agent) for one in call.request.runtime.tools]
            yield do("know_tools", tools)
            if self.policy is not None:
                yield do("publish", self.policy)
            shown = Asked(schema=json_schema(tool), description=tool.description)
            self._asks[name] = shown
        return self._asks[name]

    def _judged(self, call: Call, ruling: Ruling) -> Steps:
        asked = self.shown(call, (yield from self._introduced(call)))
        tried = set[str]()
        while True:
            found: Standing = yield do("propose", call.action, asked, ruling=ruling)
            if found.verdict is Verdict.DENY:
                return words.denied_message(call, ruling.rule.reason)
            if found.entry is not None:
                reply = yield from self._ran_before(call, found.request, found.entry)
            elif found.request is None:
                reply = yield from self._allowed(call)
            else:
                reply = yield from self._asked_for(call, found.request, tried)
            if reply is not None:
                answer: Result = reply
                return answer

    def _allowed(self, call: Call) -> Generator[Any, Any, Any]:
        if not self.replays:
            return (yield Run(call.request))
        entry = yield do("begin_allowed", call.action)
        if entry is None:
            return None
        return (yield from self._execute(call, entry, call.request))

    def _asked_for(
        self, call: Call, request: Request, tried: set[str]
    ) -> Generator[Any, Any, Any]:
        if request.status is Status.PENDING:
            yield Pause(self.payload(call, request))
            return None
        if request.status is not Status.APPROVED:
            return self.told(call, request)
        entry = yield do("begin", request)
        if entry is not None:
            drop_wakes()
            to_run = self._edited(call, request)
            return (yield from self._execute(call, entry, to_run, request))
        if request.id in tried:
            # Approved, yet the claim fails and nobody holds it: the votes don't add up.
            raise DigestMismatch(request.id, request.digest)
        tried.add(request.id)
        return None

    def _ran_before(
        self, call: Call, request: Request | None, entry: Entry
    ) -> Generator[Any, Any, Any]:
        if entry.state is EntryState.DONE:
            return self._kept(call, entry)
        if entry.state is EntryState.RUNNING:
            entry = yield do("look_again", entry)
            if entry.state is EntryState.RUNNING:
                yield Wait(POLL_S)
            return None
        raised = _raised_here(call, entry) and entry.attempt < entry.attempts
        if entry.state is EntryState.PREPARED or may_retry(entry) or raised:
            return (yield from self._again(call, request, entry, raised=raised))
        if entry.state is EntryState.FAILED:
            return words.ended_message(call, entry)
        if _raised_here(call, entry):
            return words.exhausted_message(call, entry)
        yield Pause(words.unknown_payload(call, entry))
        return None

    def _again(
        self, call: Call, request: Request | None, entry: Entry, *, raised: bool
    ) -> Generator[Any, Any, Any]:
        again = yield do("begin_again", entry, raised=raised)
        if again is None:
            return None
        if entry.state is not EntryState.PREPARED:
            drop_wakes()
        to_run = call.request if request is None else self._edited(call, request)
        return (yield from self._execute(call, again, to_run, request))

    def _execute(
        self,
        call: Call,
        entry: Entry,
        to_run: ToolCallRequest,
        request: Request | None = None,
    ) -> Generator[Any, Any, Any]:
        attempts = Attempts(self.so, entry)
        if to_run.tool is not None:
            to_run = to_run.override(tool=attempts.at(to_run.tool))
        try:
            result: Result = yield Run(to_run)
        except BaseException as error:
            attempts.raised(error)
            if not isinstance(error, GraphBubbleUp):
                _RAISED[entry.id] = call.request.runtime
            raise
        if request is not None and request.edited:
            result = self.noted(call, request, result)
        if request is not None and words.by_silence(request):
            result = with_notice(result, words.SILENCE_NOTICE, call.call_id)
        if attempts.open:
            yield do(
                "finish",
                attempts.entry,
                "finish",
                result=encode(result),
                summary=summarize(result),
            )
        return result

    def _edited(self, call: Call, request: Request) -> ToolCallRequest:
        """The call that was approved: from the store, never from the message."""
        asked = call.request
        tool_call = ToolCall(
            name=request.tool,
            args=dict(request.args),
            id=asked.tool_call["id"],
            type="tool_call",
        )
        if request.tool == call.action.tool:
            return asked.override(tool_call=tool_call)
        tool = find_tool(asked.runtime.tools, request.tool)
        # Without its tool the handler itself says that there is none of this name.
        return replace(asked, tool_call=tool_call, tool=tool)

    def _kept(self, call: Call, entry: Entry) -> Result:
        if entry.result is None:
            return words.ended_message(call, entry)
        result: Result = decode(entry.result)
        return result


# The runtime is made anew for every execution of a node, so that only a retry within
# the same execution finds its entry here; a later wake-up is no retry.
_RAISED: Final[WeakValueDictionary[str, Any]] = WeakValueDictionary()


def _raised_here(call: Call, entry: Entry) -> bool:
    return _RAISED.get(entry.id) is call.request.runtime


def drive(  # noqa: C901 - one arm for each kind of step
    so: Approvals, steps: Steps, handler: Handler
) -> Result:
    """Carry out the steps, from sync code."""
    try:
        step = next(steps)
        while True:
            try:
                answer: Any = None
                if isinstance(step, Do):
                    answer = _call(getattr(so, step.name), step)
                elif isinstance(step, Run):
                    with _unparked():
                        answer = handler(step.request)
                elif isinstance(step, Wait):
                    threading.Event().wait(step.seconds)
                else:
                    _pause(step)
            except Exception as error:  # noqa: BLE001 - handed to the steps, which re-raise
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        result: Result = done.value
        return result
    except _ParkedHere as parked:
        return parked.placeholder


async def adrive(  # noqa: C901 - one arm for each kind of step
    so: AsyncApprovals, steps: Steps, handler: AsyncHandler
) -> Result:
    """Carry out the steps, from async code."""
    try:
        step = next(steps)
        while True:
            try:
                answer: Any = None
                if isinstance(step, Do):
                    answer = await _acall(getattr(so, step.name), step)
                elif isinstance(step, Run):
                    with _unparked():
                        answer = await handler(step.request)
                elif isinstance(step, Wait):
                    await anyio.sleep(step.seconds)
                else:
                    _pause(step)
            except Exception as error:  # noqa: BLE001 - handed to the steps, which re-raise
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        result: Result = done.value
        return result
    except _ParkedHere as parked:
        return parked.placeholder


class _ParkedHere(BaseException):
    """Leaves the steps of a call whose tools node pauses for it later."""

    def __init__(self, placeholder: ToolMessage) -> None:
        self.placeholder = placeholder


def _pause(step: Pause) -> None:
    parked = _PARKED.get()
    if parked is not None:
        raise _ParkedHere(parked.park(step.payload))
    pause(step.payload)


class Parked:
    """The calls of one tools node that wait, so that it pauses once, for all of them.

    Were each call to interrupt on its own, the first one would cut off its neighbours
    in a plain ToolNode, and which answer belongs to which call would be a race.
    """

    def __init__(self) -> None:
        self.payloads: list[dict[str, Any]] = []

    def park(self, payload: dict[str, Any]) -> ToolMessage:
        """Note a pause; the placeholder never reaches the graph's state."""
        self.payloads.append(payload)
        return ToolMessage(content="", tool_call_id=str(payload["tool_call_id"]))

    def value(self) -> dict[str, Any]:
        """The one pause's value: LangChain's shape for one call or for several."""
        if len(self.payloads) == 1:
            return self.payloads[0]
        by_call = sorted(self.payloads, key=lambda p: str(p["tool_call_id"]))
        return words.several_payload(by_call)


_PARKED: Final[ContextVar[Parked | None]] = ContextVar("signoff_parked", default=None)


@contextmanager
def parking() -> Iterator[Parked]:
    """Collect the pauses of a tools node instead of raising each."""
    parked = Parked()
    token = _PARKED.set(parked)
    try:
        yield parked
    finally:
        _PARKED.reset(token)


@contextmanager
def _unparked() -> Iterator[None]:
    """While a tool runs: an agent inside of it pauses by itself, not this node."""
    token = _PARKED.set(None)
    try:
        yield
    finally:
        _PARKED.reset(token)


@contextmanager
def recorded() -> Iterator[None]:
    """Keep what is wrong with the store from the model, and tell the operator."""
    try:
        yield
    except WorldError as error:
        log.exception("a tool call could not be recorded, so it was not run")
        raise CallNotRecorded from error


def _call(use_case: Callable[..., Any], step: Do) -> Any:  # noqa: ANN401 - any use case
    with recorded():
        return use_case(*step.args, **step.kwargs)


async def _acall(use_case: Callable[..., Any], step: Do) -> Any:  # noqa: ANN401 - any use case
    with recorded():
        return await use_case(*step.args, **step.kwargs)
