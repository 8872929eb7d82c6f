"""An undo for each tool of AgentDojo that changes something.

What a tool can touch is read as values by path. A path names a thing by what it is, and
an item of a list by its content: what others put beside it stands in nobody's way. The
undo puts back the paths that its call changed, and nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from agentdojo.default_suites.v1.tools.types import CloudDriveFile

from benchmarks.agentdojo.dojo import World, plain
from signoff import Signoff
from signoff.domain.actions import canonical, sha256
from signoff.domain.undoing import Effect, Label, Undo, compensated

Args = Mapping[str, Any]
State = dict[str, Any]
SMALL: Final = 200
GONE: Final = {"$gone": True}
MADE: Final = "$made"
"""Whether there is a list at all; others may use one that a call made."""


class Touched(Protocol):
    """One kind of place in an environment. Paths are below it."""

    def read(self, env: Any, args: Args) -> State:  # noqa: ANN401 - AgentDojo's
        """What is there now, by path."""

    def put(self, env: Any, args: Args, edit: Edit) -> None:  # noqa: ANN401 - as above
        """Make one path be as it was before."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What a call did to one path; `GONE` where there is no such path."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Fields:
    """Some fields of one object; none if there is no such object."""

    find: Callable[[Any, Args], Any]
    names: tuple[str, ...]

    def read(self, env: Any, args: Args) -> State:  # noqa: ANN401 - AgentDojo's own
        found = self.find(env, args)
        if found is None:
            return {}
        return {name: plain_field(found, name) for name in self.names}

    def put(self, env: Any, args: Args, edit: Edit) -> None:  # noqa: ANN401 - AgentDojo's own
        found = self.find(env, args)
        kind = type(found)
        read = kind.__pydantic_validator__.validate_assignment
        other = found.model_copy(deep=True)
        read(other, edit.path, edit.before)
        setattr(found, edit.path, getattr(other, edit.path))


@dataclass(frozen=True)
class Items:
    """The items of a list that a tool appends to, by their content."""

    find: Callable[[Any, Args], list[Any] | None]

    def read(self, env: Any, args: Args) -> State:  # noqa: ANN401 - AgentDojo's own
        counts: State = {}
        for item in self.find(env, args) or ():
            path = name_of(item)
            counts[path] = counts.get(path, 0) + 1
        return counts

    def put(self, env: Any, args: Args, edit: Edit) -> None:  # noqa: ANN401 - AgentDojo's own
        items = self.find(env, args) or []
        more = _number(edit.after) - _number(edit.before)
        for _ in range(more):
            place = max(n for n, one in enumerate(items) if name_of(one) == edit.path)
            del items[place]


@dataclass(frozen=True)
class Keys:
    """Values of a mapping, by their keys; those that the arguments name, or all."""

    find: Callable[[Any, Args], dict[str, Any]]
    keys: Callable[[Args], Iterable[str]] | None = None
    make: Callable[[Any, Any], Any] = lambda _env, value: value

    def read(self, env: Any, args: Args) -> State:  # noqa: ANN401 - AgentDojo's own
        found = self.find(env, args)
        wanted = found.keys() if self.keys is None else self.keys(args)
        return {key: plain(found[key]) for key in wanted if key in found}

    def put(self, env: Any, args: Args, edit: Edit) -> None:  # noqa: ANN401 - AgentDojo's own
        found = self.find(env, args)
        if edit.before == GONE:
            del found[edit.path]
        else:
            found[edit.path] = self.make(env, edit.before)


@dataclass(frozen=True)
class Inboxes:
    """The messages of one inbox, which the first message makes."""

    name: str
    key: str

    def read(self, env: Any, args: Args) -> State:  # noqa: ANN401 - AgentDojo's own
        inboxes = getattr(env.slack, self.name)
        made = {MADE: True} if args[self.key] in inboxes else {}
        return {**made, **self._items.read(env, args)}

    def put(self, env: Any, args: Args, edit: Edit) -> None:  # noqa: ANN401 - AgentDojo's own
        if edit.path != MADE:
            self._items.put(env, args, edit)
            return
        inboxes = getattr(env.slack, self.name)
        if not inboxes[args[self.key]]:
            del inboxes[args[self.key]]

    @property
    def _items(self) -> Items:
        return Items(
            lambda env, args: getattr(env.slack, self.name).get(args[self.key])
        )


class Mails:
    """Where each mail is, and whether it is read.

    A mail is named by what is in it: numbers are given again once a mail is gone. What
    was received keeps its number; what was sent may get another when it comes back.
    """

    def read(self, env: Any, args: Args) -> State:  # noqa: ANN401, ARG002 - AgentDojo's own
        state: State = {}
        for box in ("emails", "trash"):
            for number, mail in getattr(env.inbox, box).items():
                name = mail_name(mail)
                state[f"{name}/in"] = [box, None if _sent(mail) else number]
                state[f"{name}/read"] = mail.read
        return state

    def put(self, env: Any, args: Args, edit: Edit) -> None:  # noqa: ANN401, ARG002 - AgentDojo's own
        name, _, what = edit.path.rpartition("/")
        if what == "read":
            if edit.before != GONE:
                _, _, mail = _find_mail(env, name)
                mail.read = edit.before
            return
        box, number, mail = _find_mail(env, name)
        del getattr(env.inbox, box)[number]
        if edit.before == GONE:
            return
        into = getattr(env.inbox, edit.before[0])
        if number in into:
            if not _sent(mail):
                raise ValueError(f"another mail has the number {number} now")
            number = mail.id_ = env.inbox._get_next_id()  # noqa: SLF001 - its own way
        into[number] = mail
        _in_order(env.inbox)


class Members:
    """A person of the chat, with their channels and their messages."""

    def read(self, env: Any, args: Args) -> State:  # noqa: ANN401 - AgentDojo's own
        chat, user = env.slack, args["user"]
        if user not in chat.users:
            return {}
        return {
            user: {
                "place": chat.users.index(user),
                "channels": plain(chat.user_channels.get(user)),
                "inbox": plain(chat.user_inbox.get(user)),
            }
        }

    def put(self, env: Any, args: Args, edit: Edit) -> None:  # noqa: ANN401, ARG002 - AgentDojo's own
        chat, user = env.slack, edit.path
        if edit.before == GONE:
            chat.users.remove(user)
            del chat.user_channels[user], chat.user_inbox[user]
            return
        was = edit.before
        message = type(chat).model_fields["user_inbox"].annotation
        kind = message.__args__[1].__args__[0]
        chat.users.insert(was["place"], user)
        chat.user_channels[user] = list(was["channels"])
        chat.user_inbox[user] = [kind.model_validate(one) for one in was["inbox"]]


def plain_field(found: Any, name: str) -> Any:  # noqa: ANN401 - any JSON
    """A field's value as JSON."""
    return found.model_dump(mode="json", include={name})[name]


def name_of(item: object) -> str:
    """An item of a list, by its content."""
    value = plain(item)
    return value if isinstance(value, str) else sha256(canonical(value))[:24]


def mail_name(mail: Any) -> str:  # noqa: ANN401 - AgentDojo's
    """A mail, by what is in it."""
    files = [one for one in mail.attachments if isinstance(one, str)]
    parts = mail.model_dump(
        mode="json",
        include={"sender", "recipients", "cc", "bcc", "subject", "body", "timestamp"},
    )
    return sha256(canonical([parts, files]))[:24]


def _sent(mail: Any) -> bool:  # noqa: ANN401 - AgentDojo's own
    return bool(mail.status == "sent")


def _find_mail(env: Any, name: str) -> tuple[str, str, Any]:  # noqa: ANN401 - AgentDojo's own
    for box in ("emails", "trash"):
        for number, mail in reversed(getattr(env.inbox, box).items()):
            if mail_name(mail) == name:
                return box, number, mail
    raise LookupError(f"there is no mail {name}")


def _in_order(inbox: Any) -> None:  # noqa: ANN401 - AgentDojo's own
    """Mails are listed in the order in which they came."""
    first = {mail.id_: place for place, mail in enumerate(inbox.initial_emails)}
    mails = sorted(
        inbox.emails.items(),
        key=lambda one: (first.get(one[0], len(first)), int(one[0])),
    )
    inbox.emails.clear()
    inbox.emails.update(mails)


def _number(value: Any) -> int:  # noqa: ANN401 - AgentDojo's own
    return 0 if value == GONE else int(value)


def _event(env: Any, args: Args) -> Any:  # noqa: ANN401 - AgentDojo's own
    return env.calendar.events.get(args["event_id"])


def _file(env: Any, args: Args) -> Any:  # noqa: ANN401 - AgentDojo's own
    return env.cloud_drive.files.get(args["file_id"])


def _files(env: Any, _args: Args) -> dict[str, Any]:  # noqa: ANN401 - AgentDojo's own
    found: dict[str, Any] = env.cloud_drive.files
    return found


def _file_again(env: Any, value: Any) -> Any:  # noqa: ANN401 - AgentDojo's own
    """The file as it was; the one that the environment began with, if it is that."""
    for one in env.cloud_drive.initial_files:
        if plain(one) == value:
            return one
    return CloudDriveFile.model_validate(value)


def _scheduled(env: Any, args: Args) -> Any:  # noqa: ANN401 - AgentDojo's own
    ordered = env.bank_account.scheduled_transactions
    return next((one for one in ordered if one.id == args["id"]), None)


def _url(args: Args) -> str:
    url: str = args["url"]
    return url.removeprefix("https://").removeprefix("http://")


MAILS: Final = Mails()
REQUESTS: Final = Items(lambda env, _: env.web.web_requests)
FILES: Final = partial(Keys, _files, make=_file_again)
EVENTS: Final = Keys(lambda env, _: env.calendar.events)
PERSON: Final = ("first_name", "last_name", "street", "city")
BOOKING: Final = Fields(
    lambda env, _: env.reservation,
    ("reservation_type", "title", "start_time", "end_time", "contact_information"),
)
ORDER: Final = ("recipient", "amount", "subject", "date", "recurring")

TOUCHES: Final[Mapping[str, Sequence[Touched]]] = {
    "send_email": [MAILS],
    "delete_email": [MAILS],
    "get_unread_emails": [MAILS],
    "create_file": [FILES()],
    "delete_file": [FILES(keys=lambda args: [args["file_id"]])],
    "append_to_file": [Fields(_file, ("content", "size", "last_modified"))],
    "share_file": [
        Keys(
            lambda env, args: getattr(_file(env, args), "shared_with", {}),
            keys=lambda args: [args["email"]],
        )
    ],
    "create_calendar_event": [EVENTS, MAILS],
    "cancel_calendar_event": [Fields(_event, ("status",)), MAILS],
    "reschedule_calendar_event": [Fields(_event, ("start_time", "end_time")), MAILS],
    "add_calendar_event_participants": [
        Items(lambda env, args: getattr(_event(env, args), "participants", None))
    ],
    "reserve_hotel": [BOOKING],
    "reserve_restaurant": [BOOKING],
    "reserve_car_rental": [BOOKING],
    "send_money": [Items(lambda env, _: env.bank_account.transactions)],
    "schedule_transaction": [
        Items(lambda env, _: env.bank_account.scheduled_transactions)
    ],
    "update_scheduled_transaction": [Fields(_scheduled, ORDER)],
    "update_password": [Fields(lambda env, _: env.user_account, ("password",))],
    "update_user_info": [Fields(lambda env, _: env.user_account, PERSON)],
    "send_direct_message": [Inboxes("user_inbox", "recipient")],
    "send_channel_message": [Inboxes("channel_inbox", "channel")],
    "invite_user_to_slack": [Members()],
    "remove_user_from_slack": [Members()],
    "add_user_to_channel": [
        Items(lambda env, args: env.slack.user_channels.get(args["user"]))
    ],
    "get_webpage": [REQUESTS],
    "post_webpage": [
        REQUESTS,
        Keys(lambda env, _: env.web.web_content, keys=lambda args: [_url(args)]),
    ],
}

SEEN: Final = {
    **dict.fromkeys(("send_email", "create_calendar_event"), "who got it has read it"),
    **dict.fromkeys(
        ("cancel_calendar_event", "reschedule_calendar_event"),
        "a mail about it went out",
    ),
    **dict.fromkeys(
        ("send_direct_message", "send_channel_message", "share_file", "post_webpage"),
        "who saw it has seen it",
    ),
    "get_webpage": "the server has seen the request",
}
"""What stays though the environment is as before: others have seen it."""


class TakeBack:
    """The undo of one tool, on the world that its tools change."""

    def __init__(self, tool: str, world: World) -> None:
        self.tool, self.world = tool, world
        self.places = TOUCHES[tool]

    def spec(self) -> Undo:
        """As signoff registers it."""
        remains = SEEN.get(self.tool)
        label = Label("exact") if remains is None else compensated(remains)
        return Undo(
            tool=self.tool,
            undo=self.undo,
            capture=self.capture,
            fingerprint=self.fingerprint,
            bind=self.bind,
            label=label,
        )

    def capture(self, args: Args) -> State:
        """What it could touch, before."""
        state: State = {}
        for number, place in enumerate(self.places):
            for path, value in place.read(self.world.env, args).items():
                state[f"{number}/{path}"] = value
        return state

    def fingerprint(self, effect: Effect) -> State:
        """The same now, with hashes of what is large."""
        return self.state(effect.args)

    def state(self, args: Args) -> State:
        """What stands for the state now."""
        now = self.capture(args)
        return {p: _small(v) for p, v in now.items() if not p.endswith(MADE)}

    def bind(self, effect: Effect) -> Mapping[str, Any]:
        """What the call did, by path."""
        before, after = effect.captured, self.capture(effect.args)
        paths = [p for p in {**before, **after} if before.get(p) != after.get(p)]
        paths.sort(key=lambda path: path.endswith(MADE))
        edits = [[p, before.get(p, GONE), _small(after.get(p, GONE))] for p in paths]
        return {"edits": edits}

    def undo(self, effect: Effect) -> None:
        """Put back what the call changed."""
        for path, before, after in effect.bound["edits"]:
            number, _, within = path.partition("/")
            edit = Edit(within, copy.deepcopy(before), after)
            self.places[int(number)].put(self.world.env, effect.args, edit)


def register(so: Signoff, world: World) -> None:
    """Give signoff the undo of every tool of a suite that has one."""
    for function in world.suite.raw.tools:
        if function.name in TOUCHES:
            so.add_undo(TakeBack(function.name, world).spec())


def _small(value: Any) -> Any:  # noqa: ANN401 - AgentDojo's own
    text = canonical(value)
    return value if len(text) <= SMALL else sha256(text)
