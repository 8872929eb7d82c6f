"""The tree of errors: each leaf has a code, a status, a docstring and a cure."""

import inspect

import pytest

from signoff.domain import errors
from signoff.domain.errors import CallerError, LostRace, SignoffError, WorldError

LEAVES: list[SignoffError] = [
    errors.PolicyError("approvals must be 1 or more.", file="p.toml", line=3),
    errors.PayloadRefused("args.n", "is beyond 2^53; send it as a string"),
    errors.RequestNotFound("req_1"),
    errors.EntryNotFound("ent_1"),
    errors.PolicyNotFound("3f"),
    errors.DeliveryNotFound("dlv_1"),
    errors.CannotRetry("dlv_1", "sent"),
    errors.DeliveryFailed("mail", "no connection", 30.0),
    errors.DeliveryRefused("mail", "550 no such user"),
    errors.PauseNotFound("pau_1"),
    errors.DigestMismatch("req_1", "d" * 64),
    errors.DecisionNotOffered("req_1", "edit", ("approve", "reject")),
    errors.InvalidEdit("req_1", ("args.n: 'x' is not of type 'number'",)),
    errors.NotAuthenticated(),
    errors.NotAllowed("eve", "req_1 is decided by: finance."),
    errors.NobodyCanApprove(
        "pay", "two of finance", needed=2, able=1, reviewers=("finance",)
    ),
    errors.DelegationNotFound("dlg_1"),
    errors.NoCheckpointer("checkpointer"),
    errors.NoCheckpointer("thread id"),
    errors.BlocksEventLoop("gate", "agate"),
    errors.GateNameTaken("plan"),
    errors.UnknownThread("t1"),
    errors.CannotSettle("ent_1", "done"),
    errors.NotReversible("ent_1", "its tool has no undo"),
    errors.ForceNeedsReason("ent_1"),
    errors.DependentsInTheWay("ent_1", (("ent_2", "declared"),)),
    errors.UndoHandlerMissing("pay", 2, "ent_1"),
    errors.WindowClosed("ent_1", 1),
    errors.AlreadyUndone("ent_1", "bob", 1),
    errors.UndoInProgress("ent_1", "bob"),
    errors.UndoConflict("ent_1", [{"path": "p", "before": 1, "after": 2, "now": 3}]),
    errors.HoldOver("ent_1", "cancelled", "bob"),
    errors.HeldIsAsked("ent_1", "req_1"),
    errors.HeldNeedsOthers("ent_2", ("ent_1",)),
    errors.CannotCapture("big.bin", "holds too much"),
    errors.PayloadLost("ent_1", "it isn't there any more"),
    errors.InvalidSetting("order", "must be one of deadline, newest, risk."),
    errors.NotApplied("the bank said no; try another account"),
    errors.AlreadyDecided("req_1", "rejected", "bob", 1),
    errors.AlreadyLifted("pau_1", "bob", 1),
    errors.Paused("pay", ("pau_1",)),
    errors.AttemptsExhausted("ent_1", 2),
    errors.ThreadBusy("t1"),
    errors.GraphServerFailed("t1", "it can't be reached"),
    errors.TurnLost("t1", "host/1/ab12"),
    errors.CallNotRecorded(),
    errors.StorageUnavailable("sqlite:///x.db", "disk I/O error"),
    errors.SchemaTooNew(9, 1),
    errors.ServerUnreachable("http://127.0.0.1:1", "refused"),
    errors.PortTaken("127.0.0.1", 80),
    errors.MissingExtra("scipy", "advise"),
]
FAMILIES = {SignoffError, CallerError, LostRace, WorldError}


def every_error() -> set[type[SignoffError]]:
    return {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, SignoffError)
    }


def test_every_leaf_is_listed_here_and_in_the_tree() -> None:
    leaves = every_error() - FAMILIES
    assert {type(leaf) for leaf in LEAVES} == leaves
    drawn = errors.__doc__ or ""
    undrawn = [kind for kind in leaves if f"─ {kind.__name__} " not in drawn]
    assert undrawn == []


def test_codes_are_unique_and_words() -> None:
    codes = [kind.code for kind in every_error()]
    assert len(set(codes)) == len(codes)
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)


@pytest.mark.parametrize("error", LEAVES, ids=str)
def test_a_leaf_says_what_and_what_to_do(error: SignoffError) -> None:
    assert "code" in vars(type(error))
    assert 400 <= error.status <= 599
    assert (type(error).__doc__ or "").strip().endswith(".") or "Attributes" in (
        type(error).__doc__ or ""
    )
    message = str(error)
    assert len(message) > 20
    assert "\n" not in message
    cures = (
        "` Open Check must takes send only try pass already waits Choose compile tried"
    )
    assert any(
        cure in message for cure in (*cures.split(), "decided by", "is retried")
    ), message


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            errors.PolicyError("x.", file="f", line=2, suggestion="y"),
            "f:2: x. Did you mean 'y'?",
        ),
        (errors.PolicyError("x.", file="f"), "f: x."),
        (errors.PolicyError("x."), "x."),
        (
            errors.AlreadyDecided("r", "expired", None, 1),
            "r was already expired by its deadline.",
        ),
    ],
)
def test_messages(error: SignoffError, text: str) -> None:
    assert str(error) == text


def test_families_tell_who_can_help() -> None:
    assert {kind.status for kind in every_error() if issubclass(kind, LostRace)} == {
        409
    }
    assert all(
        kind.status >= 500 for kind in every_error() if issubclass(kind, WorldError)
    )
    assert all(
        kind.status < 500 for kind in every_error() if issubclass(kind, CallerError)
    )
