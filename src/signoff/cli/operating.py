"""Run it: migrate, tokens, serve and the demo."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.text import Text

from signoff.cli import options
from signoff.cli.desk import (
    is_server,
    open_database,
    opened,
    settings_with,
    sqlite_file,
)
from signoff.cli.exits import Refused, needed
from signoff.cli.screen import line, listing, print_json, print_rows, put, say
from signoff.cli.shapes import token_json
from signoff.cli.telling import channels_in, delivering
from signoff.clock import ago
from signoff.domain.duration import duration
from signoff.domain.errors import PolicyError
from signoff.domain.principals import PrincipalKind, Token

PORT: Final = 8765
Auto = Literal["approve", "reject", "edit", "respond"]


def migrate(
    *,
    workers: Annotated[
        bool,
        typer.Option(
            "--workers",
            help="Also make the tables of the workers' jobs (PostgreSQL), where a "
            "worker itself may not.",
        ),
    ] = False,
    store: options.Store = None,
) -> None:
    """Bring a database's schema up to date. Safe while others use it."""
    from signoff.storage import engine as engines  # noqa: PLC0415 - SQLAlchemy costs a second
    from signoff.storage import migrate as schema  # noqa: PLC0415 - as above

    address = settings_with(store, None).store
    if is_server(address):
        raise Refused("a server migrates its own database; name the database here.")
    file = sqlite_file(address)
    new = file is not None and not file.exists()
    engine = engines.make_engine(address)
    try:
        plain = engine.url.set(drivername=engine.dialect.name)
        shown = plain.render_as_string(hide_password=True)
        say(f"{shown}: {'a new file' if new else 'looking at its schema'}")
        steps: list[str] = []
        number = schema.migrate(engine, lambda step: steps.append(_said(step)))
    finally:
        engine.dispose()
    if workers and file is None:
        jobs = needed("signoff.durable.jobs", "postgres").install_jobs(address)
        say(f"the workers' jobs are in schema {jobs}")
    already = "already " if steps == [] else ""
    put(Text(f"{already}at {number}"))


def token_create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Whose it is, such as an address.")
    ],
    *,
    kind: Annotated[
        PrincipalKind, typer.Option(help="Only a person decides.")
    ] = PrincipalKind.PERSON,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", "-g", help="A group that rules name. Repeatable."),
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Such as 90d; else for ever.")
    ] = None,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Make a token. It is printed this once.

    On a database this needs no token; on a server it needs one of group admin.
    """
    span = _span(expires_in)
    with opened(store, token_file, create=True) as desk:
        token, secret = desk.create_token(
            name, kind=kind, groups=group or (), expires_in=span
        )
    groups = f", in {', '.join(token.groups)}" if token.groups != () else ""
    typer.echo(secret)
    say(f"Token {token.id} for {line(name).plain} ({token.kind}{groups}).")
    say("It is shown this once. Keep it: export SIGNOFF_TOKEN=... or a file.")


def token_list(
    *,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """List the tokens, without their secrets."""
    with opened(store, token_file) as desk:
        tokens, now = desk.tokens(), desk.now()
    if as_json:
        print_json({"tokens": [token_json(token) for token in tokens]})
    elif len(tokens) == 0:
        say("No token yet: signoff token create NAME")
    else:
        table = listing("id", "name", "kind", "groups", "made", "state")
        print_rows(table, (_token_row(token, now) for token in tokens))


def token_revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows.")],
    *,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """End a token at once."""
    with opened(store, token_file) as desk:
        desk.revoke_token(token)
    put(line(f"revoked: {token}"))


def serve(
    *,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 is any free one.")
    ] = PORT,
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The address that people use, if another."),
    ] = None,
    inbox: Annotated[
        bool,
        typer.Option("--inbox/--no-inbox", help="The web page too, or only the API."),
    ] = True,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="SIGNOFF_POLICY",
            show_envvar=True,
            help="The policy that judges edits, and the channels that tell people.",
        ),
    ] = None,
    store: options.Store = None,
) -> None:
    """Serve the inbox and the HTTP API, in one process."""
    address = settings_with(store, None).store
    if is_server(address):
        raise Refused("serve needs a database, not another server's address.")
    say("Starting...")
    server = needed("signoff.server", "server")
    page = server.FromUrl(needed("signoff.inbox", "ui").make_app) if inbox else None
    with closing(open_database(address, policy)) as so, ExitStack() as beside:
        settings = channels_in(policy)

        def ready(url: str) -> None:
            if settings is not None:
                told_at = url if public_url is None else public_url
                beside.enter_context(delivering(so, settings, told_at))
            _ready(url)

        server.serve(
            so, host=host, port=port, ui=page, base_url=public_url, on_ready=ready
        )


def demo(
    *,
    auto: Annotated[
        Auto | None, typer.Option(help="No browser: decide everything like this.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="A LangChain model, such as anthropic:claude-sonnet-4-5.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help=f"The port; {PORT}, or a free one if it is taken."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--dir", metavar="FOLDER", help="Where the demo's world is made."),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page.")
    ] = True,
) -> None:
    """Watch an agent ask before it acts, on real files, mail, money and Git."""
    run: Callable[..., int] = needed("signoff.demo", "demo").run
    code = run(
        auto=auto,
        model=model,
        port=port,
        folder=folder,
        open_browser=browser,
    )
    raise typer.Exit(code)


def _ready(url: str) -> None:
    put(Text(f"Serving at {url}"), soft_wrap=True)
    say("Sign in with a token: signoff token create NAME. Ctrl-C stops.")


def _said(step: str) -> str:
    say(step)
    return step


def _span(text: str | None) -> timedelta | None:
    return None if text is None else span(text, "--expires-in")


def span(text: str, option: str) -> timedelta:
    """A span that was given as an option.

    Raises:
        Refused: It isn't one.
    """
    try:
        return duration(text, name=option)
    except PolicyError as error:
        raise Refused(error.problem) from error


def _token_row(token: Token, now: int) -> Iterable[Text]:
    return (
        Text(token.id, "cyan"),
        line(token.principal),
        Text(token.kind.value),
        line(", ".join(token.groups) or "—"),
        Text(ago(token.created_at, now)),
        _token_state(token, now),
    )


def _token_state(token: Token, now: int) -> Text:
    if token.revoked_at is not None:
        return Text(f"revoked {ago(token.revoked_at, now)}", "red")
    if token.expires_at is None:
        return Text("works", "green")
    if token.expires_at <= now:
        return Text(f"expired {ago(token.expires_at, now)}", "red")
    return Text(f"works; ends {ago(token.expires_at, now)}", "green")
