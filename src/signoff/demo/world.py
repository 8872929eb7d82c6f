"""The demo's world in one folder: real files, mail, money and a Git repository."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from signoff.demo.bank import Bank
from signoff.demo.mail import MailServer
from signoff.demo.production import Production, digest_of
from signoff.demo.snapshot import Snapshot
from signoff.domain.errors import InvalidSetting, NotApplied

INVOICE: Final = "invoices/acc-logistics-2214.txt"
OLD_DRAFT: Final = "drafts/november-closing-v1.md"
RELEASE_NOTES: Final = "release-notes.md"

_MARK: Final = "signoff-demo.txt"
_MARKED: Final = """\
This folder belongs to `signoff demo`; delete it whenever you like.

files/           what the agent reads, edits and deletes
mail/            what its mail server received
bank.db          the bank that it pays from (SQLite)
production.git   the bare repository that stands for production
clone/           its working clone
signoff.db       the requests, decisions, journal and ledger of signoff
threads.db       LangGraph's checkpoints
"""
_FILES: Final = {
    INVOICE: (
        "Invoice 2214\n"
        "From:      ACC Logistics\n"
        "To:        Example Ltd\n"
        "For:       freight, November 2026\n"
        "Amount:    1,450.00 EUR\n"
        "Due:       30 November 2026\n"
    ),
    OLD_DRAFT: "# November closing, draft 1\n\nSuperseded by draft 2.\n",
    "drafts/november-closing-v2.md": "# November closing\n\nFreight: 1,450.00 EUR\n",
    RELEASE_NOTES: "# Release 2.19.0\n\n- November prices\n- Faster checkout\n",
}


class World:
    """Everything that the demo's agent can reach.

    Args:
        folder: Made if it doesn't exist; an earlier demo's is used again.

    Raises:
        InvalidSetting: The folder holds something that isn't a demo's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.is_new = _claim(self.folder)
        self.files = self.folder / "files"
        if self.is_new:
            self.restock()
        self.bank = Bank(self.folder / "bank.db")
        self.mail = MailServer(self.folder / "mail")
        self.production = Production(
            self.folder / "production.git", self.folder / "clone"
        )

    def store_url(self) -> str:
        """Where signoff keeps its database in this world."""
        return f"sqlite:///{self.folder / 'signoff.db'}"

    def file(self, path: str) -> Path:
        """The file that a tool means; always one inside `files/`.

        Raises:
            NotApplied: The path leads elsewhere.
        """
        found = (self.files / path).resolve()
        if self.files.resolve() not in found.parents:
            raise NotApplied(f"{path!r} is not a file of yours; list_files shows them.")
        return found

    def existing(self, path: str) -> Path:
        """The same, for a file that must be there.

        Raises:
            NotApplied: It isn't.
        """
        found = self.file(path)
        if not found.is_file():
            raise NotApplied(f"there is no file {path!r}; list_files shows them.")
        return found

    def paths(self) -> list[str]:
        """The files that there are."""
        found = (file for file in self.files.rglob("*") if file.is_file())
        return sorted(file.relative_to(self.files).as_posix() for file in found)

    def snapshot(self) -> Snapshot:
        """What the world holds now, read back from where it really is."""
        return Snapshot(
            files={
                path: digest_of((self.files / path).read_bytes())
                for path in self.paths()
            },
            mails=self.mail.received(),
            balances=self.bank.balances(),
            payments=self.bank.payments(),
            production=self.production.commits(),
        )

    def restock(self) -> None:
        """Put back the files that a round of the story works on."""
        for path, text in _FILES.items():
            file = self.files / path
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text.encode())


def _claim(folder: Path) -> bool:
    """Make the folder ours; True if it wasn't yet."""
    mark = folder / _MARK
    if mark.exists():
        return False
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidSetting(
            "--dir",
            f"{folder} is there and isn't a demo's folder; name a new or an empty one.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(_MARKED, encoding="utf-8")
    return True
