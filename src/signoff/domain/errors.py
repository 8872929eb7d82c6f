"""Every error that signoff raises.

SignoffError
├── CallerError            you asked for something that can't be
│   ├── PolicyError            a rule or a policy file is wrong; says file and line
│   ├── PayloadRefused         arguments that can't be shown and hashed exactly
│   ├── CannotCapture          what an undo would need can't be kept
│   ├── RequestNotFound        no such request
│   ├── EntryNotFound          no such journal entry
│   ├── PolicyNotFound         no such recorded version of a policy
│   ├── DeliveryNotFound       no such delivery
│   ├── CannotRetry            a delivery that isn't dead
│   ├── PauseNotFound          no such pause
│   ├── DigestMismatch         the decision is about something else than asked
│   ├── DecisionNotOffered     this request doesn't take that kind of decision
│   ├── InvalidEdit            the edited call fits neither schema nor policy
│   ├── NotAuthenticated       nobody, or somebody unknown
│   ├── NotAllowed             somebody known who may not do this
│   ├── NobodyCanApprove       reviewers that could never suffice
│   ├── DelegationNotFound     no such delegation, or it is over
│   ├── NoCheckpointer         a graph that could never be resumed
│   ├── BlocksEventLoop        a gate for sync code, called from async code
│   ├── GateNameTaken          two gates of one name at the same time
│   ├── UnknownThread          there is no such thread to resume
│   ├── CannotSettle           an entry whose outcome isn't in question
│   ├── NotReversible          an entry that can't be undone, with the reason
│   ├── HeldIsAsked            people are asked about a held call; decide that
│   ├── HeldNeedsOthers        a held call that runs after others that are held
│   ├── ForceNeedsReason       forcing an undo without saying why
│   ├── DependentsInTheWay     later entries need the one that is to be undone
│   ├── UndoHandlerMissing     no undo of this tool and version is registered here
│   └── InvalidSetting         a setting that makes no sense
├── NotApplied             a tool says: it failed, and nothing happened
├── LostRace               somebody was faster
│   ├── AlreadyDecided         the request is settled (by whom, how, when)
│   ├── AlreadyLifted          the pause was lifted (by whom, when)
│   ├── Paused                 a pause covers this call, so it waits
│   ├── WindowClosed           the time in which it could be undone has passed
│   ├── AlreadyUndone          somebody undid it before (who, when)
│   ├── UndoInProgress         somebody is undoing it (who)
│   ├── UndoConflict           somebody changed the same thing since (what)
│   ├── HoldOver               a held call was cancelled, or runs (by whom)
│   ├── AttemptsExhausted      the approval doesn't cover another attempt
│   ├── ThreadBusy             another run of this thread is under way
│   └── TurnLost               another worker goes on with this thread
└── WorldError             something outside failed
    ├── CallNotRecorded        a call could not be recorded, so it was not run
    ├── StorageUnavailable     the database can't be opened, read or written
    ├── GraphServerFailed      a LangGraph Server can't be reached, or a run failed
    ├── SchemaTooNew           a newer signoff migrated this database
    ├── ServerUnreachable      no signoff server answers at that address
    ├── DeliveryFailed         a channel is down; the message is sent later
    ├── DeliveryRefused        a message that no later attempt would bring over
    ├── PayloadLost            what was kept for an undo can't be read any more
    ├── MissingExtra           a library that not every installation has
    └── PortTaken              another program listens there
"""

from __future__ import annotations

from signoff.domain.captures import CannotCapture, PayloadLost
from signoff.domain.faults import (
    CallerError,
    LostRace,
    NotApplied,
    SignoffError,
    WorldError,
)
from signoff.domain.outside import (
    AlreadyDecided,
    AlreadyLifted,
    AlreadyUndone,
    AttemptsExhausted,
    CallNotRecorded,
    DeliveryFailed,
    DeliveryRefused,
    GraphServerFailed,
    HoldOver,
    MissingExtra,
    Paused,
    PortTaken,
    SchemaTooNew,
    ServerUnreachable,
    StorageUnavailable,
    ThreadBusy,
    TurnLost,
    UndoConflict,
    UndoInProgress,
    WindowClosed,
)

__all__ = [
    "AlreadyDecided",
    "AlreadyLifted",
    "AlreadyUndone",
    "AttemptsExhausted",
    "BlocksEventLoop",
    "CallNotRecorded",
    "CallerError",
    "CannotCapture",
    "CannotRetry",
    "CannotSettle",
    "DecisionNotOffered",
    "DelegationNotFound",
    "DeliveryFailed",
    "DeliveryNotFound",
    "DeliveryRefused",
    "DependentsInTheWay",
    "DigestMismatch",
    "EntryNotFound",
    "ForceNeedsReason",
    "GateNameTaken",
    "GraphServerFailed",
    "HoldOver",
    "InvalidEdit",
    "InvalidSetting",
    "LostRace",
    "MissingExtra",
    "NoCheckpointer",
    "NobodyCanApprove",
    "NotAllowed",
    "NotApplied",
    "NotAuthenticated",
    "NotReversible",
    "PauseNotFound",
    "Paused",
    "PayloadLost",
    "PayloadRefused",
    "PolicyError",
    "PolicyNotFound",
    "PortTaken",
    "RequestNotFound",
    "SchemaTooNew",
    "ServerUnreachable",
    "SignoffError",
    "StorageUnavailable",
    "ThreadBusy",
    "TurnLost",
    "UndoConflict",
    "UndoHandlerMissing",
    "UndoInProgress",
    "UnknownThread",
    "WindowClosed",
    "WorldError",
]


class PolicyError(CallerError):
    """A rule or a policy file is wrong.

    Attributes:
        problem: What is wrong, in one sentence.
        file: The policy file, or None for a policy written in Python.
        line: The line in the file, from 1, or None.
        suggestion: What was probably meant, or None.
    """

    code = "policy_error"
    status = 422

    def __init__(
        self,
        problem: str,
        *,
        file: str | None = None,
        line: int | None = None,
        suggestion: str | None = None,
    ) -> None:
        self.problem, self.file = problem, file
        self.line, self.suggestion = line, suggestion
        place = "" if file is None else f"{file}:{line}: " if line else f"{file}: "
        hint = "" if suggestion is None else f" Did you mean {suggestion!r}?"
        super().__init__(f"{place}{problem}{hint}")


class PayloadRefused(CallerError):
    """Arguments that can't be shown and hashed exactly, so they are never run.

    Attributes:
        path: Where in the payload, such as `args.items[2]`.
        reason: Why, with the cure.
    """

    code = "payload_refused"
    status = 422

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")


class RequestNotFound(CallerError):
    """No request has this id (or it isn't yours to see)."""

    code = "request_not_found"
    status = 404

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        super().__init__(
            f"No request {request_id!r}. `signoff list` shows those that wait."
        )


class EntryNotFound(CallerError):
    """The journal has no entry with this id."""

    code = "entry_not_found"
    status = 404

    def __init__(self, entry_id: str) -> None:
        self.entry_id = entry_id
        super().__init__(
            f"No journal entry {entry_id!r}. `signoff list --unknown` shows open ones."
        )


class PolicyNotFound(CallerError):
    """No recorded policy has this version, or several start like this."""

    code = "policy_not_found"
    status = 404

    def __init__(self, version: str) -> None:
        self.version = version
        super().__init__(
            f"No one policy {version!r} was recorded. `signoff policy log` lists them."
        )


class DeliveryNotFound(CallerError):
    """The outbox has no delivery with this id."""

    code = "delivery_not_found"
    status = 404

    def __init__(self, delivery_id: str) -> None:
        self.delivery_id = delivery_id
        super().__init__(
            f"No delivery {delivery_id!r}. `signoff deliveries` lists them."
        )


class CannotRetry(CallerError):
    """Only a dead delivery is sent again; the others see to it themselves."""

    code = "cannot_retry"
    status = 409

    def __init__(self, delivery_id: str, state: str) -> None:
        self.delivery_id, self.state = delivery_id, state
        super().__init__(f"{delivery_id} is {state}; only a dead delivery is retried.")


class PauseNotFound(CallerError):
    """There is no pause with this id."""

    code = "pause_not_found"
    status = 404

    def __init__(self, pause_id: str) -> None:
        self.pause_id = pause_id
        super().__init__(
            f"No pause {pause_id!r}. `signoff pauses` shows those that hold."
        )


class DigestMismatch(CallerError):
    """The decision is about something else than what the request asks now."""

    code = "digest_mismatch"
    status = 409

    def __init__(self, request_id: str, given: str | None) -> None:
        self.request_id, self.given = request_id, given
        said = "No digest was" if given is None else f"Digest {given[:16]!r}… was"
        super().__init__(
            f"{said} sent for {request_id}, which asks something else now. "
            "Open the request again and decide on what it shows."
        )


class DecisionNotOffered(CallerError):
    """The rule of this request doesn't offer that kind of decision."""

    code = "decision_not_offered"
    status = 422

    def __init__(self, request_id: str, kind: str, offered: tuple[str, ...]) -> None:
        self.request_id, self.kind, self.offered = request_id, kind, offered
        super().__init__(
            f"{request_id} can't be answered with {kind!r}. "
            f"It takes: {', '.join(offered)}."
        )


class InvalidEdit(CallerError):
    """The edited call doesn't fit the tool's schema, or policy denies it.

    Attributes:
        problems: One sentence a problem, each starting with the field's path.
    """

    code = "invalid_edit"
    status = 422

    def __init__(self, request_id: str, problems: tuple[str, ...]) -> None:
        self.request_id, self.problems = request_id, problems
        super().__init__(
            f"The edit of {request_id} was not taken: {'; '.join(problems)}. "
            "The request still waits."
        )


class NotAuthenticated(CallerError):
    """Nobody signed in, or a token that is unknown, expired or revoked."""

    code = "not_authenticated"
    status = 401

    def __init__(self, reason: str = "No token was sent.") -> None:
        self.reason = reason
        super().__init__(
            f"{reason} Make one with `signoff token create NAME` and pass it in "
            "SIGNOFF_TOKEN."
        )


class NotAllowed(CallerError):
    """Somebody known who may not do this; the reason says what would be needed."""

    code = "not_allowed"
    status = 403

    def __init__(self, principal: str, reason: str) -> None:
        self.principal, self.reason = principal, reason
        super().__init__(f"{principal} may not do this: {reason}")


class NobodyCanApprove(CallerError):
    """Too few of the people with a token could ever approve; nothing was asked.

    Attributes:
        tool: What was to be asked about.
        wanted: The agreement that can't be met, in words.
        needed: How many different people its nearest alternative needs.
        able: How many of those with a token could be counted.
        reviewers: The groups or people of that alternative; None is any person.
    """

    code = "nobody_can_approve"
    status = 422

    def __init__(
        self,
        tool: str,
        wanted: str,
        *,
        needed: int,
        able: int,
        reviewers: tuple[str, ...] | None,
    ) -> None:
        self.tool, self.wanted, self.reviewers = tool, wanted, reviewers
        self.needed, self.able = needed, able
        group = "" if reviewers is None else f" --group {reviewers[0]}"
        super().__init__(
            f"Nobody could ever approve {tool}: it needs {wanted}, and of the people "
            f"with a token {able} of the {needed} needed could be counted. Nothing was "
            f"asked and nothing runs. Add somebody with `signoff token create NAME"
            f"{group}` and run it again; an application that vouches for people "
            "without tokens says Signoff(..., directory='open')."
        )


class DelegationNotFound(CallerError):
    """There is no such delegation, or it was revoked before."""

    code = "delegation_not_found"
    status = 404

    def __init__(self, delegation_id: str) -> None:
        self.delegation_id = delegation_id
        super().__init__(
            f"No delegation {delegation_id!r} that could be revoked. "
            "`signoff delegate list` shows those there are."
        )


class NoCheckpointer(CallerError):
    """A graph without a checkpointer or a thread id could never be resumed."""

    code = "no_checkpointer"

    def __init__(self, missing: str) -> None:
        self.missing = missing
        cure = (
            "compile the graph with one, e.g. create_agent(..., "
            "checkpointer=SqliteSaver.from_conn_string('threads.db')) "
            "or builder.compile(checkpointer=...), or name one: signoff worker "
            "--checkpointer sqlite:///threads.db"
            if missing == "checkpointer"
            else "pass config={'configurable': {'thread_id': '...'}} when you invoke it"
        )
        super().__init__(
            f"This graph has no {missing}, so a call that waits for a person could "
            f"never go on: {cure}."
        )


class BlocksEventLoop(CallerError):
    """A function for sync code was called from async code; nothing was done."""

    code = "blocks_event_loop"

    def __init__(self, function: str, cure: str) -> None:
        self.function, self.cure = function, cure
        super().__init__(
            f"{function}() waits for the database, so in an async node it would hold "
            f"up everything else: use `await {cure}(...)` there."
        )


class GateNameTaken(CallerError):
    """Two gates of one name at once: whose answer is whose could not be told."""

    code = "gate_name_taken"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"Another gate {name!r} of this node has not ended yet. Gates that run at "
            "the same time must have names of their own, such as "
            f"{name + ' 1'!r} and {name + ' 2'!r}."
        )


class UnknownThread(CallerError):
    """There is no such thread to resume; nothing was started."""

    code = "unknown_thread"
    status = 404

    def __init__(self, thread: str) -> None:
        self.thread = thread
        super().__init__(
            f"Thread {thread!r} has no saved state to go on from, so nothing was run. "
            "Check the id, or start it with an input."
        )


class CannotSettle(CallerError):
    """Only an entry whose outcome is unknown can be settled by a person."""

    code = "cannot_settle"
    status = 409

    def __init__(self, entry_id: str, state: str) -> None:
        self.entry_id, self.state = entry_id, state
        super().__init__(f"{entry_id} is {state}; only an unknown outcome is settled.")


class NotReversible(CallerError):
    """This entry can't be undone.

    Attributes:
        reason: Why.
    """

    code = "not_reversible"
    status = 409

    def __init__(self, entry_id: str, reason: str) -> None:
        self.entry_id, self.reason = entry_id, reason
        super().__init__(
            f"{entry_id} can't be undone: {reason}. `signoff journal` shows what can."
        )


class HeldIsAsked(CallerError):
    """People are asked about this held call, so that decides and nobody's word alone.

    Attributes:
        request_id: What they are asked.
    """

    code = "held_is_asked"
    status = 409

    def __init__(self, entry_id: str, request_id: str) -> None:
        self.entry_id, self.request_id = entry_id, request_id
        super().__init__(
            f"{entry_id} waits for a decision on {request_id}. Approve that, and it "
            "runs."
        )


class HeldNeedsOthers(CallerError):
    """A held call needs others that are still held; it runs after them.

    Attributes:
        needs: Their ids.
    """

    code = "held_needs_others"
    status = 409

    def __init__(self, entry_id: str, needs: tuple[str, ...]) -> None:
        self.entry_id, self.needs = entry_id, needs
        super().__init__(
            f"{entry_id} needs what has not happened yet: {', '.join(needs)}. Release "
            "that first."
        )


class ForceNeedsReason(CallerError):
    """An undo that overrides what others did must say why."""

    code = "force_needs_reason"
    status = 422

    def __init__(self, entry_id: str) -> None:
        self.entry_id = entry_id
        super().__init__(
            f"Forcing the undo of {entry_id} needs a reason; it is kept for good. "
            "Say it and send it again, or try without force."
        )


class DependentsInTheWay(CallerError):
    """Later entries need what is to be undone; nothing was undone.

    Attributes:
        dependents: Their ids, the newest first; each with `declared` or `probable`.
    """

    code = "dependents_in_the_way"
    status = 409

    def __init__(self, entry_id: str, dependents: tuple[tuple[str, str], ...]) -> None:
        self.entry_id, self.dependents = entry_id, dependents
        listed = ", ".join(f"{one} ({how})" for one, how in dependents)
        super().__init__(
            f"{entry_id} can't be undone while these need it: {listed}. "
            f"`signoff undo --since {entry_id}` undoes them first, newest first."
        )


class UndoHandlerMissing(CallerError):
    """No undo of this tool and version is registered in this process.

    Attributes:
        version: Which one the entry was made for.
    """

    code = "undo_handler_missing"
    status = 409

    def __init__(self, tool: str, version: int, entry_id: str) -> None:
        self.tool, self.version, self.entry_id = tool, version, entry_id
        super().__init__(
            f"{entry_id} needs the undo of {tool!r}, version {version}, and none that "
            "takes it is registered here. Open the process that has it, or register "
            "it again with so.undo(..., upcast=...)."
        )


class InvalidSetting(CallerError):
    """A setting that makes no sense; the message says which values do."""

    code = "invalid_setting"

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"{name}: {reason}")
