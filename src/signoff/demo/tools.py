"""What the demo's agent can do, as LangChain tools. Everything is really done."""

from __future__ import annotations

from typing import Annotated, Literal

from langchain_core.tools import BaseTool, tool
from pydantic import Field

from signoff.demo.bank import Payment
from signoff.demo.snapshot import cents_of, euros
from signoff.demo.world import World
from signoff.domain.errors import NotApplied
from signoff.langgraph import idempotency_key

Path = Annotated[str, Field(description="Path below the files folder")]


def make_tools(world: World) -> list[BaseTool]:
    """The agent's tools on this world."""
    return [*_file_tools(world), *_outward_tools(world)]


def _file_tools(world: World) -> list[BaseTool]:
    @tool
    def list_files() -> str:
        """List the files."""
        return "\n".join(world.paths())

    @tool
    def read_file(path: Path) -> str:
        """Read a file."""
        return world.existing(path).read_text(encoding="utf-8")

    @tool
    def delete_file(path: Path) -> str:
        """Delete a file. It can't be brought back."""
        world.existing(path).unlink()
        return f"Deleted {path}."

    @tool
    def write_file(path: Path, text: str) -> str:
        """Write a file, over what was there."""
        file = world.file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
        return f"Wrote {path}."

    return [list_files, read_file, delete_file, write_file]


def _outward_tools(world: World) -> list[BaseTool]:
    @tool
    def send_email(
        to: Annotated[list[str], Field(description="Addresses", min_length=1)],
        subject: str,
        body: str,
    ) -> str:
        """Send an e-mail."""
        try:
            world.mail.send(to, subject, body)
        except (ConnectionRefusedError, ValueError) as error:
            raise NotApplied(f"the mail was not sent: {error}") from error
        return f"Sent {subject!r} to {', '.join(to)}."

    @tool
    def make_payment(
        payee: Annotated[str, Field(description="The payee's account")],
        amount: Annotated[float, Field(description="In EUR", gt=0)],
        reference: str,
        speed: Literal["standard", "instant"] = "standard",
    ) -> str:
        """Pay from the operating account."""
        cents = cents_of(amount)
        wanted = Payment(
            id=0, payee=payee, cents=cents, reference=reference, speed=speed
        )
        number = world.bank.pay(wanted, key=idempotency_key())
        return f"Paid {euros(cents)} to {payee} (payment {number})."

    @tool
    def push_to_production(path: Path, message: str) -> str:
        """Publish a file: commit it and push it to production."""
        content = world.existing(path).read_bytes()
        commit = world.production.push(path, content, message)
        return f"Published {path} to production (commit {commit[:7]})."

    return [send_email, make_payment, push_to_production]
