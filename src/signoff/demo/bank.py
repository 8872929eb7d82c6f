"""A small bank: accounts and payments in SQLite, moved in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from signoff.domain.errors import NotApplied

OUR_ACCOUNT: Final = "Operating account"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY,
    cents INTEGER NOT NULL CHECK (cents >= 0)
);
CREATE TABLE IF NOT EXISTS payments (
    id INTEGER PRIMARY KEY,
    payee TEXT NOT NULL REFERENCES accounts (name),
    cents INTEGER NOT NULL CHECK (cents > 0),
    reference TEXT NOT NULL,
    speed TEXT NOT NULL,
    idempotency_key TEXT UNIQUE
);
INSERT OR IGNORE INTO accounts VALUES
    ('Operating account', 2400000),
    ('ACC Logistics', 0),
    ('City Power', 0);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money that left our account; the bank gives the `id`, so it isn't compared."""

    id: int = field(compare=False)
    payee: str
    cents: int
    reference: str
    speed: str


class Bank:
    """The bank in one SQLite file.

    Args:
        file: Made, with money in our account, if it doesn't exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        with closing(sqlite3.connect(file)) as db:
            db.executescript(_SCHEMA)

    def pay(self, wanted: Payment, *, key: str | None) -> int:
        """Pay from our account; returns the payment's id.

        Raises:
            NotApplied: No such payee, not enough money, or paid already under this key.
        """
        try:
            with self._transaction() as db:
                return _pay(db, wanted, key)
        except sqlite3.IntegrityError as error:
            raise NotApplied(f"the bank refused: {_why(error)}") from error

    def balances(self) -> dict[str, int]:
        """What each account holds, in cents."""
        with self._transaction() as db:
            return dict(db.execute("SELECT name, cents FROM accounts ORDER BY name"))

    def payments(self) -> tuple[Payment, ...]:
        """Every payment ever made, oldest first."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT id, payee, cents, reference, speed FROM payments ORDER BY id"
            )
            names = ("id", "payee", "cents", "reference", "speed")
            return tuple(Payment(**dict(zip(names, row, strict=True))) for row in rows)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._file)) as db, db:
            db.execute("PRAGMA foreign_keys = ON")
            yield db


def _why(error: sqlite3.IntegrityError) -> str:
    reasons = {
        "FOREIGN KEY": "it knows no such payee",
        "CHECK": "there is not enough money",
        "UNIQUE": "it was paid before",
    }
    known = (why for word, why in reasons.items() if word in str(error))
    return next(known, str(error))


def _pay(db: sqlite3.Connection, wanted: Payment, key: str | None) -> int:
    made = db.execute(
        "INSERT INTO payments (payee, cents, reference, speed, idempotency_key)"
        " VALUES (?, ?, ?, ?, ?) RETURNING id",
        (wanted.payee, wanted.cents, wanted.reference, wanted.speed, key),
    ).fetchone()
    for cents, account in ((-wanted.cents, OUR_ACCOUNT), (wanted.cents, wanted.payee)):
        db.execute(
            "UPDATE accounts SET cents = cents + ? WHERE name = ?", (cents, account)
        )
    return int(made[0])
