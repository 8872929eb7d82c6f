"""`signoff worker`: runs threads once people decided, and says who runs what."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from signoff.cli import options
from signoff.cli.desk import (
    is_server,
    open_database,
    require_database,
    settings_with,
    sqlite_file,
)
from signoff.cli.exits import Refused, needed
from signoff.cli.screen import line, listing, print_json, print_rows, put, say
from signoff.cli.telling import channels_in, delivering
from signoff.clock import ago
from signoff.domain.duration import duration, in_words
from signoff.domain.errors import PolicyError
from signoff.ports import Waiting, Worker, Workforce

if TYPE_CHECKING:
    from signoff.durable import Settings
    from signoff.langgraph import App
    from signoff.notify import Settings as Telling

SHOWN_THREADS = 3


def worker(  # noqa: PLR0913 - each parameter is an option of the command
    graph: Annotated[
        str | None,
        typer.Argument(
            metavar="GRAPH",
            help="module:graph or ./file.py:graph; a compiled graph, or what makes it.",
            show_default=False,
        ),
    ] = None,
    *,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Instead: every graph of a langgraph.json."),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The name under which the graph's actions are recorded; else what "
            "stands after the colon. Only this agent's threads are woken.",
        ),
    ] = None,
    checkpointer: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="sqlite:///threads.db or postgresql://host/name, for graphs that were "
            "compiled without one.",
        ),
    ] = None,
    asynchronous: Annotated[
        bool,
        typer.Option(
            "--async", help="Run the graphs in an event loop: async tools, async saver."
        ),
    ] = False,
    concurrency: Annotated[
        int,
        typer.Option(min=1, max=64, help="How many threads it runs at the same time."),
    ] = 4,
    heartbeat: Annotated[
        str,
        typer.Option(
            metavar="SPAN",
            help="How often it says that it is alive. Silent for this and 3 s more, it "
            "counts as dead, and others take its threads over.",
        ),
    ] = "5s",
    drain: Annotated[
        str,
        typer.Option(
            metavar="SPAN",
            help="How long it waits at SIGTERM or Ctrl-C for threads that run, taking "
            "no new ones. What still runs then is left to other workers.",
        ),
    ] = "30s",
    status: Annotated[
        bool,
        typer.Option(
            "--status", help="Instead: list the workers, their threads, what waits."
        ),
    ] = False,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="SIGNOFF_POLICY",
            show_envvar=True,
            help="The file with the channels over which this worker tells people.",
        ),
    ] = None,
    as_json: options.Json = False,
    store: options.Store = None,
) -> None:
    """Run threads as soon as people decided. Any number of workers, on any machines.

    On PostgreSQL the workers share the work; on SQLite one process does it.
    """
    address = settings_with(store, None).store
    if is_server(address):
        raise Refused("a worker needs the database, not a server's address.")
    if status:
        _show(address, as_json=as_json)
        return
    if sqlite_file(address) is None:
        needed("signoff.durable.jobs", "postgres")
    graphs = _langgraph()
    app = _app(graphs, graph, config, agent)
    telling = _telling(policy)
    settings = _settings(concurrency, heartbeat, drain)
    with graphs.serving(
        app, checkpointer=checkpointer, asynchronous=asynchronous
    ) as served:
        _work(address, served, settings, telling)


def _langgraph() -> Any:  # noqa: ANN401 - a module
    return needed("signoff.langgraph", "langgraph")


def _app(
    graphs: Any,  # noqa: ANN401 - a module
    graph: str | None,
    config: Path | None,
    agent: str | None,
) -> App:
    if (graph is None) == (config is None):
        raise Refused("name one graph (module:graph), or --config langgraph.json.")
    if config is not None:
        if agent is not None:
            raise Refused("--agent is for one graph; langgraph.json names its own.")
        app: App = graphs.read_app(config)
        return app
    named = str(graph).rpartition(":")[2] if agent is None else agent
    one: App = graphs.App(graphs={named: str(graph)})
    return one


def _telling(file: Path | None) -> Telling | None:
    telling = channels_in(file)
    if telling is not None and telling.channels != () and telling.base_url is None:
        raise Refused(f"{file} needs base_url: where people reach the inbox.")
    return telling


def _work(
    address: str, served: Iterable[Any], settings: Settings, telling: Telling | None
) -> None:
    from signoff import durable  # noqa: PLC0415 - SQLAlchemy costs a second
    from signoff.service.turns import Turns  # noqa: PLC0415 - SQLAlchemy costs a second

    with closing(open_database(address)) as so, ExitStack() as beside:
        turns = Turns(so.store, heartbeat=settings.heartbeat)
        runners = [
            _langgraph().Runner(
                so, one.graph, agent=one.agent, turns=turns, portal=one.portal
            )
            for one in served
        ]
        names = [runner.agent for runner in runners]
        say(f"Worker {turns.worker} on {so.store.url}")
        say(f"Agents: {', '.join(names)}; {settings.concurrency} threads at a time.")
        carrier = durable.carrier_for(so, runners, address, settings)
        if telling is not None and telling.base_url is not None:
            beside.enter_context(delivering(so, telling, telling.base_url))
        durable.Worker(carrier, turns, settings, say=say).run(names)


def _settings(concurrency: int, heartbeat: str, drain: str) -> Settings:
    from signoff.durable import Settings  # noqa: PLC0415 - SQLAlchemy costs a second

    return Settings(
        concurrency=concurrency,
        heartbeat=_span(heartbeat, "--heartbeat"),
        drain=_span(drain, "--drain"),
    )


def _span(text: str, name: str) -> timedelta:
    try:
        return duration(text, name=name)
    except PolicyError as error:
        raise Refused(error.problem) from error


def _show(address: str, *, as_json: bool) -> None:
    require_database(address)
    with closing(open_database(address)) as so:
        found = so.workforce()
    if as_json:
        print_json(_document(found))
        return
    if found.workers == ():
        say("No worker: signoff worker module:graph")
    else:
        table = listing("worker", "agents", "started", "last heard", "runs")
        print_rows(table, (_worker_row(one, found.now) for one in found.workers))
    for place, threads in found.others.items():
        put(line(f"{place} (no worker) runs {_threads(threads)}"))
    for one in found.waiting:
        put(_waiting(one, found.now))
    if found.waiting == ():
        say("Nothing waits to be woken.")


def _document(found: Workforce) -> dict[str, Any]:
    waiting = [
        {**asdict(one), "lag": max(0, found.now - one.since)} for one in found.waiting
    ]
    return {
        "now": found.now,
        "workers": [asdict(one) for one in found.workers],
        "others": found.others,
        "waiting": waiting,
    }


def _worker_row(one: Worker, now: int) -> Iterable[Text]:
    heard = ago(one.beat_at, now)
    return (
        line(one.id, "cyan"),
        line(", ".join(one.agents)),
        Text(ago(one.started_at, now)),
        Text(heard, "green") if one.alive else Text(f"{heard}: dead", "red"),
        line(_threads(one.threads)),
    )


def _threads(threads: tuple[str, ...]) -> str:
    if threads == ():
        return "—"
    more = len(threads) - SHOWN_THREADS
    shown = ", ".join(threads[:SHOWN_THREADS])
    return shown if more <= 0 else f"{shown} and {more} more"


def _waiting(one: Waiting, now: int) -> Text:
    lag = in_words(timedelta(microseconds=max(0, now - one.since)))
    agent = "agent unknown" if one.agent is None else one.agent
    said = f"{agent}: {one.count} to be woken, the oldest for {lag}"
    if one.failing > 0:
        said += f"; {one.failing} failed before: {one.error}"
    return line(said)
