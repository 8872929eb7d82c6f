"""What the demo really did, read from its folder without the demo's own code."""

import email
import email.policy
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from dulwich.repo import Repo

NOTES = "release-notes.md"
OLD_DRAFT = "drafts/november-closing-v1.md"
OTHER_DRAFT = "drafts/november-closing-v2.md"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Mail files, rows of the bank, heads of production, names of files."""

    mails: list[EmailMessage]
    payments: list[tuple[str, int]]
    balances: dict[str, int]
    messages: list[str]
    files: set[str]


UNTOUCHED_FILES = {
    "drafts/november-closing-v1.md",
    "drafts/november-closing-v2.md",
    "invoices/acc-logistics-2214.txt",
    "release-notes.md",
}


def read_evidence(folder: Path) -> Evidence:
    """Read what lies in the folder now."""
    with closing(sqlite3.connect(folder / "bank.db")) as bank:
        payments = bank.execute("SELECT payee, cents FROM payments ORDER BY id")
        balances = bank.execute("SELECT name, cents FROM accounts")
        paid, held = payments.fetchall(), dict(balances.fetchall())
    return Evidence(
        mails=[_read(file) for file in sorted((folder / "mail").iterdir())],
        payments=paid,
        balances=held,
        messages=_messages(folder / "production.git"),
        files=_paths(folder / "files"),
    )


def nothing_happened(found: Evidence) -> bool:
    """Whether the world is as it was made."""
    return found == Evidence(
        mails=[],
        payments=[],
        balances={"Operating account": 2_400_000, "ACC Logistics": 0, "City Power": 0},
        messages=["Start"],
        files=UNTOUCHED_FILES,
    )


def _paths(folder: Path) -> set[str]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix() for file in found}


def _read(file: Path) -> EmailMessage:
    return email.message_from_bytes(file.read_bytes(), policy=email.policy.default)


def _messages(bare: Path) -> list[str]:
    """Production's commit messages, oldest first."""
    with closing(Repo(str(bare))) as repo:
        walked = [entry.commit for entry in repo.get_walker()]
        return [commit.message.decode().strip() for commit in reversed(walked)]
