"""The gate at the execution boundary, written once, as steps.

`interrupt()` only parks the thread. Its return value is never read: after every wake-up
the store says what happens next, so a forged, stale, doubled or malformed resume value
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, Final
from weakref import WeakValueDictionary

from langchain.agents.middleware import ToolCallRequest
from langchain_core.messages import ToolCall, ToolMessage
from langgraph.errors import GraphBubbleUp

from signoff.aio import AsyncApprovals
from signoff.domain.errors import (
    DigestMismatch,
    Paused,
    PayloadRefused,
)
from signoff.domain.journal import (
    HAPPENED,
    Entry,
    EntryKind,
    EntryState,
    entry_id,
    may_retry,
)
from signoff.domain.policy import Policy, Ruling
from signoff.domain.requests import Request, Status
from signoff.domain.rules import Verdict
from signoff.domain.text import joined
from signoff.domain.undoing import agent_notice_id
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
from signoff.langgraph._held import NEEDS_GRAPH, OwnTool, can_wait, held_tool
from signoff.langgraph._results import (
    Result,
    as_json,
    decode,
    encode,
    summarize,
    with_id,
    with_notice,
)
from signoff.langgraph._steps import (
    AsyncHandler,
    Do,
    Handler,
    Pause,
    Run,
    Steps,
    Unparked,
    Wait,
    adrive,
    do,
    drive,
)
from signoff.langgraph._wakes import drop_wakes
from signoff.service import Approvals
from signoff.service.parking import OPEN, Need
from signoff.service.propose import Asked, Standing

POLL_S: Final = 0.05

Payload = Callable[[Call, Request], dict[str, Any]]


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
        self.so.expects_holds(self.policy)

    def run(self, request: ToolCallRequest, handler: Handler) -> Result:
        """Judge and run a call, from sync code."""
        call = read_call(request, self.context)
        ruling = self._glance(call)
        if ruling is None or not self._runs_at_once(call, ruling):
            return drive(self.so, self.steps(call, ruling), handler)
        refused = self._recorded(call, ruling)
        if refused is not None:
            return refused
        with Unparked():
            return handler(request)

    async def arun(self, request: ToolCallRequest, handler: AsyncHandler) -> Result:
        """Judge and run a call, from async code."""
        call = read_call(request, self.context)
        ruling = self._glance(call)
        if ruling is None or not self._runs_at_once(call, ruling):
            return await adrive(self._aio, self.steps(call, ruling), handler)
        refused = self._recorded(call, ruling)
        if refused is not None:
            return refused
        with Unparked():
            return await handler(request)

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

    def steps(self, call: Call, ruling: Ruling | None = None) -> Steps:
        """What happens to a call, one step at a time; the ruling, if it has one yet."""
        if isinstance(call.request.tool, OwnTool):
            own: Result = yield Run(call.request)
            return own
        try:
            yield from self._unpaused(call)
            ruling = self.rule(call) if ruling is None else ruling
            needs = yield from self._needs(call, ruling)
            if needs == () and self._runs_at_once(call, ruling):
                self.so.allowed(call.action, ruling)
                answer: Result = yield Run(call.request)
                return answer
            problem = self.problem(call)
            if problem is not None:
                return words.refused_message(
                    call, f"the arguments don't fit: {problem}"
                )
            if needs != ():
                behind: Result | None = yield from self._behind(call, ruling, needs)
                if behind is not None:
                    return behind
            return (yield from self._judged(call, ruling))
        except PayloadRefused as error:
            return words.refused_message(call, str(error))

    def _glance(self, call: Call) -> Ruling | None:
        """The ruling on a call, from memory; None where more is looked at first.

        Most calls are allowed ones, and to take those through the steps would cost as
        much again.
        """
        so, own = self.so, isinstance(call.request.tool, OwnTool)
        if own or so.holds.expected or so.known_pauses(call.action) != ():
            return None
        return self.rule(call)

    def _recorded(self, call: Call, ruling: Ruling) -> ToolMessage | None:
        """Record an allowed call; what the model is told if that is refused."""
        try:
            self.so.allowed(call.action, ruling)
        except PayloadRefused as error:
            return words.refused_message(call, str(error))
        return None

    def _needs(
        self, call: Call, ruling: Ruling
    ) -> Generator[Do, Any, tuple[Need, ...]]:
        """The held calls that must happen before this one."""
        if ruling.verdict is Verdict.DENY or not self.so.holds.expected:
            return ()
        found: tuple[Need, ...] = yield do("held_needs", call.action, ruling=ruling)
        return found

    def _behind(
        self, call: Call, ruling: Ruling, needs: tuple[Need, ...]
    ) -> Generator[Any, Any, Result | None]:
        """Park it behind what it needs, or wait until people let that run now."""
        found: Standing | None = yield do("standing", call.action.id)
        if found is not None and found.entry is not None:
            return None
        while needs != ():
            over = next((one for one, _ in needs if one.state not in OPEN), None)
            if over is not None:
                return words.needs_message(call, over)
            if self._can_wait(call, ruling):
                parked: Result | None = yield from self._hold(call, ruling, needs)
                return parked
            yield from self._offered(call, needs[0][0])
            needs = yield from self._needs(call, ruling)
        drop_wakes()
        return None

    def _can_wait(self, call: Call, ruling: Ruling) -> bool:
        """Whether it may be parked too; a look would be of no use later."""
        looks = ruling.verdict is Verdict.ALLOW and call.action.traits.read_only
        waits = ruling.verdict in {Verdict.HOLD, Verdict.ALLOW} and not looks
        return waits and can_wait(call.request.tool)

    def _offered(self, call: Call, needed: Entry) -> Generator[Do | Pause, Any, None]:
        entry: Entry = yield do("run_held", needed.id)
        request: Request | None = None
        if entry.state is EntryState.HELD:
            request = yield do("offer_held", entry.id)
        if request is not None and request.status is Status.PENDING:
            yield Pause(self.payload(call, request))
        elif entry.state in OPEN:
            yield Pause(words.behind_payload(call, entry))

    def _hold(
        self, call: Call, ruling: Ruling, needs: tuple[Need, ...] = ()
    ) -> Generator[Any, Any, Result | None]:
        yield from self._introduced(call)
        self._known(call)
        try:
            entry: Entry | None = yield do(
                "begin_held", call.action, ruling=ruling, needs=needs
            )
        except Paused as paused:
            yield from self._stalled(call, paused.tool)
            return None
        return None if entry is None else words.queued_message(call, entry)

    def _known(self, call: Call) -> bool:
        """Make the tool known as one that can run later, if it can."""
        tool, agent = call.request.tool, call.action.context.agent
        if tool is None or not can_wait(tool):
            return False
        if self.so.holds.get(agent, tool.name) is None:
            rule = None if self.policy is None else self.policy.decide
            self.so.add_held(held_tool(tool, agent=agent, rule=rule))
        return True

    def _unpaused(self, call: Call) -> Generator[Do | Pause, Any, None]:
        """Wait while people have paused what this call is part of.

        Of an allowed call that is one look at what this process knows.
        """
        stopping = self.so.known_pauses(call.action)
        if stopping is None:
            stopping = yield do("pauses_on", call.action)
        if stopping != ():
            yield from self._stalled(call)

    def _stalled(
        self, call: Call, tool: str | None = None
    ) -> Generator[Do | Pause, Any, None]:
        stopping = yield do("stall", call.action, tool)
        while stopping != ():
            yield Pause(words.stalled_payload(call, stopping))
            stopping = yield do("stall", call.action, tool)

    def _runs_at_once(self, call: Call, ruling: Ruling) -> bool:
        if ruling.verdict is not Verdict.ALLOW or call.resuming:
            return False
        if self.so.undos.get(call.action.tool) is not None:
            return False  # people may have taken the same back: then it asks
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
        if ruling.verdict is Verdict.HOLD and not self._known(call):
            asked = replace(asked, note=joined(asked.note, NEEDS_GRAPH))
        tried = set[str]()
        while True:
            found: Standing = yield do("propose", call.action, asked, ruling=ruling)
            if found.verdict is Verdict.DENY:
                return words.denied_message(call, ruling.rule.reason)
            try:
                reply = yield from self._next(call, found, tried)
            except Paused as paused:
                # Between the look and the claim, whose transaction has the last word.
                yield from self._stalled(call, paused.tool)
                continue
            if reply is not None:
                answer: Result = reply
                return answer

    def _next(
        self, call: Call, found: Standing, tried: set[str]
    ) -> Generator[Any, Any, Any]:
        if found.entry is not None:
            return (yield from self._ran_before(call, found.request, found.entry))
        if found.verdict is Verdict.REVERSIBLE and found.request is None:
            return (yield from self._reversible(call))
        if found.verdict is Verdict.HOLD and found.request is None:
            return (yield from self._hold(call, self.rule(call)))
        if found.request is None:
            return (yield from self._allowed(call))
        return (yield from self._asked_for(call, found.request, tried))

    def _allowed(self, call: Call) -> Generator[Any, Any, Any]:
        if not self.replays:
            return (yield Run(call.request))
        entry = yield do("begin_allowed", call.action)
        if entry is None:
            return None
        return (yield from self._execute(call, entry, call.request))

    def _reversible(self, call: Call) -> Generator[Any, Any, Any]:
        asked = self.shown(call, (yield from self._introduced(call)))
        ruling = self.rule(call)
        entry = yield do("begin_reversible", call.action, asked, ruling=ruling)
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
        entry = yield self._claim(call, request)
        if entry is not None:
            drop_wakes()
            to_run = self._edited(call, request)
            return (yield from self._execute(call, entry, to_run, request))
        if request.id in tried:
            # Approved, yet the claim fails and nobody holds it: the votes don't add up.
            raise DigestMismatch(request.id, request.digest)
        tried.add(request.id)
        return None

    def _claim(self, call: Call, request: Request) -> Do:
        """Claim an approved call; one that can be taken back gets its window."""
        if self.so.undos.get(request.tool) is None or request.tool != call.action.tool:
            return do("begin", request)
        approved = replace(call.action, args=request.args)
        ruling = self.rule(replace(call, action=approved))
        return do("begin", request, action=approved, ruling=ruling)

    def _ran_before(
        self, call: Call, request: Request | None, entry: Entry
    ) -> Generator[Any, Any, Any]:
        if entry.state is EntryState.CANCELLED:
            return words.cancelled_message(call, entry)
        if entry.kind is EntryKind.HELD:
            # Whatever became of it: the agent learns that by a message of its own.
            return words.queued_message(call, entry)
        if entry.state in HAPPENED:
            return self._kept(call, entry)
        if entry.state is EntryState.RUNNING:
            entry = yield do("look_again", entry)
            if entry.state is EntryState.RUNNING:
                yield Wait(POLL_S)
            return None
        raised = _raised_here(call, entry) and entry.attempt < entry.attempts
        if entry.state is EntryState.PREPARED or may_retry(entry) or raised:
            return (yield from self._again(call, request, entry, raised=raised))
        return (yield from self._ended_badly(call, entry))

    def _ended_badly(self, call: Call, entry: Entry) -> Generator[Any, Any, Any]:
        if entry.state is EntryState.FAILED:
            return words.ended_message(call, entry)
        if _raised_here(call, entry):
            return words.exhausted_message(call, entry)
        entry = yield do("look_into", entry)
        if entry.state is EntryState.UNKNOWN:
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
        except Exception as error:
            lost = attempts.lost(error)
            if lost is not None:
                yield do(
                    "finish", lost.entry, lost.move, result=None, summary=lost.summary
                )
            if not isinstance(error, GraphBubbleUp):
                _RAISED[entry.id] = call.request.runtime
            raise
        except BaseException as error:
            attempts.raised(error)  # these steps are closed and can't be carried out
            raise
        if request is not None:
            result = self._told_how(call, request, result)
        if attempts.open:
            yield do(
                "finish",
                attempts.entry,
                "finish",
                result=encode(result),
                summary=summarize(result),
                output=as_json(result),
            )
        return result

    def _told_how(self, call: Call, request: Request, result: Result) -> Result:
        """The result, with a note where people changed the call or said nothing."""
        if request.edited:
            result = self.noted(call, request, result)
            told = agent_notice_id(entry_id(request.action_id), "edited")
            result = with_id(result, told, call.call_id)
        if words.by_silence(request):
            result = with_notice(result, words.SILENCE_NOTICE, call.call_id)
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
