"""What the world holds at one moment, and what one call should make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from signoff.demo.bank import OUR_ACCOUNT, Payment
from signoff.demo.mail import Mail, plain
from signoff.demo.production import Commit, digest_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that the agent could have changed, read back from where it really is.

    Attributes:
        files: The SHA-256 of each file's content, by path.
        balances: Cents by account.
        production: Its commits, oldest first.
    """

    files: Mapping[str, str]
    mails: tuple[Mail, ...]
    balances: Mapping[str, int]
    payments: tuple[Payment, ...]
    production: tuple[Commit, ...]

    def summary(self) -> str:
        """One line of it."""
        head = self.production[-1].id[:7]
        held = euros(self.balances[OUR_ACCOUNT])
        return (
            f"files {len(self.files)} · mails {len(self.mails)} · payments "
            f"{len(self.payments)} · bank {held} · production {head}"
        )


def expected(before: Snapshot, tool: str, args: Mapping[str, Any]) -> Snapshot:
    """The world after exactly one run of this call, and nothing else."""
    effect = _EFFECTS.get(tool)
    return before if effect is None else effect(before, args)


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """What changed, one line each; none if nothing did."""
    return [
        *_changed_files(before.files, after.files),
        *(
            f"mail to {', '.join(m.to)}: {m.subject}"
            for m in _new(before.mails, after.mails)
        ),
        *(_paid(p) for p in _new(before.payments, after.payments)),
        *(f"pushed: {c.message}" for c in _new(before.production, after.production)),
        *_other_changes(before, after),
    ]


def euros(cents: int) -> str:
    """Cents as a person reads them: `1,450.00 EUR`."""
    return f"{cents // 100:,}.{cents % 100:02} EUR"


def cents_of(amount: float) -> int:
    """An amount in euros as cents."""
    return round(amount * 100)


def _deleted(before: Snapshot, args: Mapping[str, Any]) -> Snapshot:
    gone = args["path"]
    files = {path: sha for path, sha in before.files.items() if path != gone}
    return replace(before, files=files)


def _written(before: Snapshot, args: Mapping[str, Any]) -> Snapshot:
    content = digest_of(args["text"].encode())
    return replace(before, files={**before.files, args["path"]: content})


def _mailed(before: Snapshot, args: Mapping[str, Any]) -> Snapshot:
    mail = Mail(
        file="", to=tuple(args["to"]), subject=args["subject"], body=plain(args["body"])
    )
    return replace(before, mails=(*before.mails, mail))


def _payment(before: Snapshot, args: Mapping[str, Any]) -> Snapshot:
    cents, payee = cents_of(args["amount"]), args["payee"]
    payment = Payment(
        id=0,
        payee=payee,
        cents=cents,
        reference=args["reference"],
        speed=args.get("speed", "standard"),
    )
    balances = dict(before.balances)
    balances[OUR_ACCOUNT] -= cents
    balances[payee] += cents
    return replace(before, balances=balances, payments=(*before.payments, payment))


def _pushed(before: Snapshot, args: Mapping[str, Any]) -> Snapshot:
    path = args["path"]
    files = {**before.production[-1].files, path: before.files[path]}
    commit = Commit(id="", message=args["message"], files=files)
    return replace(before, production=(*before.production, commit))


_EFFECTS: Final[Mapping[str, Callable[[Snapshot, Mapping[str, Any]], Snapshot]]] = {
    "delete_file": _deleted,
    "write_file": _written,
    "send_email": _mailed,
    "make_payment": _payment,
    "push_to_production": _pushed,
}


def _new(before: tuple[T, ...], after: tuple[T, ...]) -> tuple[T, ...]:
    return after[len(before) :]


def _paid(payment: Payment) -> str:
    return f"payment of {euros(payment.cents)} to {payment.payee} ({payment.reference})"


def _changed_files(
    before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[str]:
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            yield f"file deleted: {path}"
        elif path not in before:
            yield f"file made: {path}"
        elif before[path] != after[path]:
            yield f"file changed: {path}"


def _other_changes(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """What no tool can do: history that was rewritten."""
    for name in ("mails", "payments", "production"):
        was, now = getattr(before, name), getattr(after, name)
        if now[: len(was)] != was:
            yield f"{name}: what was there before has changed"
