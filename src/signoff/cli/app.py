"""The Typer app: its commands, and what happens around each of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from signoff import __version__
from signoff.cli import (
    advising,
    agreeing,
    checking,
    deciding,
    operating,
    pausing,
    policies,
    reading,
    telling,
    undoing,
    working,
)
from signoff.cli.exits import ExitCode, guarded

DEBUG: Final = "--debug"

EPILOG: Final = (
    "Exit codes: 0 ok, 1 problems found or answered no, 2 wrong usage, 3 not found, "
    "4 not allowed, 5 too late (decided, it asks something else now, or no undo), "
    "6 the store, the server or a port."
)


class SignoffGroup(TyperGroup):
    """Commands whose errors are one line; `--debug` may stand anywhere."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - as above
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002 - as above
        **extra: object,
    ) -> object:
        """Run, say what went wrong, and exit with its code."""
        given = list(sys.argv[1:] if args is None else args)
        debug = _take_debug(given) or "SIGNOFF_DEBUG" in os.environ
        _print_anything()

        def command() -> object:
            return super(SignoffGroup, self).main(
                given,
                prog_name,
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )

        code = guarded(command, debug=debug)
        if standalone_mode:
            sys.exit(code)
        return code

    def invoke(self, ctx: Any) -> object:  # noqa: ANN401 - Typer's own type is private
        """Run the command; a reader who left, such as `head`, isn't an error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            # What is still buffered would fail again when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(ExitCode.BROKEN_PIPE) from error
        return result


app = typer.Typer(
    name="signoff",
    cls=SignoffGroup,
    help="People decide what an agent may do: list what waits, look at it, decide it.",
    epilog=EPILOG,
    pretty_exceptions_enable=False,
)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _show_version(wanted=value),
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option(DEBUG, help="Show the traceback of an error.")
    ] = False,
) -> None:
    """People decide what an agent may do: list what waits, look at it, decide it."""
    del version, debug  # their callbacks have acted already
    show_help(context)


def show_help(context: typer.Context) -> None:
    """Without a subcommand, print the help."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)


def _take_debug(args: list[str]) -> bool:
    end = args.index("--") if "--" in args else len(args)
    found = DEBUG in args[:end]
    args[:end] = [arg for arg in args[:end] if arg != DEBUG]
    return found


def _print_anything() -> None:
    """A terminal that lacks a character shows its number instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


_LOOK, _DECIDE, _RUN = "Look", "Decide", "Run and check"

app.command("list", rich_help_panel=_LOOK)(reading.list_requests)
app.command("show", rich_help_panel=_LOOK)(reading.show)
app.command("journal", rich_help_panel=_LOOK)(undoing.journal)
app.command("approve", rich_help_panel=_DECIDE)(deciding.approve)
app.command("reject", rich_help_panel=_DECIDE)(deciding.reject)
app.command("edit", rich_help_panel=_DECIDE)(deciding.edit)
app.command("respond", rich_help_panel=_DECIDE)(deciding.respond)
app.command("assign", rich_help_panel=_DECIDE)(agreeing.assign)
app.command("cancel", rich_help_panel=_DECIDE)(deciding.cancel)
app.command("undo", rich_help_panel=_DECIDE)(undoing.undo)
app.command("release", rich_help_panel=_DECIDE)(undoing.release)
app.command("close", rich_help_panel=_DECIDE)(undoing.close)
app.command("settle", rich_help_panel=_DECIDE)(deciding.settle)
app.command("advise", rich_help_panel=_RUN)(advising.advise)
app.command("pause", rich_help_panel=_RUN)(pausing.pause)
app.command("resume", rich_help_panel=_RUN)(pausing.resume)
app.command("pauses", rich_help_panel=_LOOK)(pausing.pauses)
app.command("demo", rich_help_panel=_RUN)(operating.demo)
app.command("serve", rich_help_panel=_RUN)(operating.serve)
app.command("worker", rich_help_panel=_RUN)(working.worker)
app.command("migrate", rich_help_panel=_RUN)(operating.migrate)

audit = typer.Typer(
    help="Check the ledger.", callback=show_help, invoke_without_command=True
)
audit.command("verify")(checking.audit_verify)
app.add_typer(audit, name="audit", rich_help_panel=_RUN)

policy = typer.Typer(
    help="Check a policy file, try it on the record, see what changed.",
    callback=show_help,
    invoke_without_command=True,
)
policy.command("check")(checking.policy_check)
policy.command("diff")(policies.policy_diff)
policy.command("log")(policies.policy_log)
policy.command("schema")(policies.policy_schema)
policy.command("simulate")(policies.policy_simulate)
app.add_typer(policy, name="policy", rich_help_panel=_RUN)

token = typer.Typer(
    help="Make, list and revoke tokens.",
    callback=show_help,
    invoke_without_command=True,
)
token.command("create")(operating.token_create)
token.command("list")(operating.token_list)
token.command("revoke")(operating.token_revoke)
app.add_typer(token, name="token", rich_help_panel=_RUN)

deliveries = typer.Typer(
    help="What people were told, and what never arrived.",
    callback=telling.deliveries,
    invoke_without_command=True,
)
deliveries.command("retry")(telling.deliveries_retry)
app.add_typer(deliveries, name="deliveries", rich_help_panel=_RUN)

notify = typer.Typer(
    help="Try a channel of the policy file.",
    callback=show_help,
    invoke_without_command=True,
)
notify.command("test")(telling.notify_test)
app.add_typer(notify, name="notify", rich_help_panel=_RUN)

delegate = typer.Typer(
    help="Lend your right to decide, and take it back.",
    callback=show_help,
    invoke_without_command=True,
)
delegate.command("create")(agreeing.delegate_create)
delegate.command("list")(agreeing.delegate_list)
delegate.command("revoke")(agreeing.delegate_revoke)
app.add_typer(delegate, name="delegate", rich_help_panel=_DECIDE)
