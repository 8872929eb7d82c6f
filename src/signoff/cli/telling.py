"""Telling people: what was sent, what is dead, and a test of a channel."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from signoff.cli import options
from signoff.cli.desk import Desk, opened, settings_with
from signoff.cli.exits import Missing, Refused, needed
from signoff.cli.screen import line, listing, print_json, print_rows, put, say
from signoff.cli.shapes import delivery_json
from signoff.clock import ago, wall_us
from signoff.domain.notices import Delivery, DeliveryState
from signoff.ports import Channel, Outlets

if TYPE_CHECKING:
    from signoff.notify import Deliverer, Settings
    from signoff.service import Approvals

AT_ONCE: Final = 1000
_COLOURS: Final = {
    DeliveryState.SENT: "green",
    DeliveryState.DEAD: "red",
    DeliveryState.DROPPED: "dim",
}
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        envvar="SIGNOFF_POLICY",
        show_envvar=True,
        help="The file that has the channels.",
    ),
]


def deliveries(
    context: typer.Context,
    *,
    dead: Annotated[
        bool, typer.Option("--dead", help="Only those that never arrived.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=AT_ONCE, help="How many at most.")
    ] = 50,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """List what people were told, newest first. A server wants group admin."""
    if context.invoked_subcommand is not None:
        return
    state = DeliveryState.DEAD if dead else None
    with opened(store, token_file) as desk:
        found, now = desk.deliveries(state=state, limit=limit), desk.now()
    if as_json:
        print_json({"deliveries": [delivery_json(one) for one in found]})
    elif len(found) == 0:
        say("Nothing is dead." if dead else "Nobody was told anything yet.")
    else:
        table = listing("id", "told", "about", "over", "to", "state", "tries", "why")
        print_rows(table, (_row(one, now) for one in found))


def deliveries_retry(
    delivery: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="As `deliveries` shows.")
    ] = None,
    *,
    all_dead: Annotated[
        bool, typer.Option("--all-dead", help="Every one that never arrived.")
    ] = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Send what never arrived again, once what was wrong is mended."""
    if all_dead == (delivery is not None):
        raise Refused("name one delivery, or --all-dead.")
    with opened(store, token_file) as desk:
        if delivery is not None:
            desk.retry_delivery(delivery)
            put(line(f"queued again: {delivery}"))
            return
        done = _retry_all(desk)
    put(line(f"queued again: {done}"))


def notify_test(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The channel: [channels.NAME].")
    ],
    *,
    to: Annotated[
        str | None,
        typer.Option(metavar="WHO", help="A person, a group or an address."),
    ] = None,
    policy: PolicyFile = None,
) -> None:
    """Send one test message over a channel, now."""
    file = settings_with(None, None).policy if policy is None else policy
    settings = channels_in(file)
    if settings is None:
        raise Refused("no channel is set up: name the file with --policy.")
    found = {channel.name: channel for channel in settings.channels}
    if name not in found:
        raise Refused(f"there is no channel {name!r}; there are: {', '.join(found)}.")
    base_url = settings.base_url or "http://127.0.0.1:8765"
    make = needed("signoff.notify.sample", "notify").sample
    for recipient in _recipients(found[name], to):
        reference = found[name].send(make(recipient, base_url, at=wall_us()))
        put(line(f"sent to {recipient}: {reference}"))


def channels_in(file: Path | None) -> Settings | None:
    """The channels of a policy file; None if it has none.

    Raises:
        PolicyError: With file, line and a suggestion.
        Missing: It has some, but what they need isn't installed.
    """
    if file is None or not _has_channels(file):
        return None
    settings: Settings = needed("signoff.notify", "notify").read_settings(file)
    return settings


def check_channels(file: Path) -> None:
    """Check the channels of a policy file, if what they need is installed.

    Raises:
        PolicyError: With file, line and a suggestion.
    """
    if not _has_channels(file):
        return
    try:
        settings = needed("signoff.notify.settings", "notify")
    except Missing as missing:
        say(f"The channels weren't checked: {missing}")
        return
    settings.check_settings(file)


def delivering(so: Approvals, settings: Settings, base_url: str) -> Deliverer:
    """Who delivers over the channels, from entry to exit."""
    notify = needed("signoff.notify", "notify")
    outlets = Outlets(
        channels=settings.channels,
        redact=notify.redact,
        base_url=base_url if settings.base_url is None else settings.base_url,
    )
    deliverer: Deliverer = notify.Deliverer(so, outlets)
    if settings.channels != ():
        say(f"Telling people over: {', '.join(c.name for c in settings.channels)}.")
    return deliverer


def _retry_all(desk: Desk) -> int:
    done: set[str] = set()
    while True:
        dead = desk.deliveries(state=DeliveryState.DEAD, limit=AT_ONCE)
        # One that died again meanwhile is for the next time.
        new = {one.id for one in dead} - done
        if not new:
            return len(done)
        for delivery_id in sorted(new):
            desk.retry_delivery(delivery_id)
        done |= new


def _has_channels(file: Path) -> bool:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return True  # whoever reads it next says what is wrong
    return not {"channels", "people", "base_url"}.isdisjoint(data)


def _recipients(channel: Channel, to: str | None) -> Iterable[str]:
    names = None if to is None else [to]
    recipients = channel.recipients(names)
    if len(recipients) == 0:
        raise Refused(f"{channel.name} has no default; name somebody with --to.")
    return recipients


def _row(delivery: Delivery, now: int) -> Iterable[Text]:
    state = delivery.state
    return (
        Text(delivery.id, "cyan"),
        Text(ago(delivery.queued_at, now)),
        line(f"{delivery.kind} {delivery.request_id}"),
        line(delivery.channel),
        line(delivery.recipient),
        Text(state.value, _COLOURS.get(state, "")),
        Text(str(delivery.attempts)),
        line(delivery.last_error or "—"),
    )
