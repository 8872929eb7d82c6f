"""What the inbox says, made from a call's own tool and arguments, never from a title.

Everything here is a pure function; every text it gives has its hidden characters shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from signoff.domain.requests import Request, RequestKind
from signoff.domain.text import count_hidden, is_hidden, reveal
from signoff.domain.voting import Progress

_MOST_TELLING: Final[Mapping[str, str]] = {
    "amount": "",
    "repository": "of",
    "path": "",
    "file": "",
    "filename": "",
    "name": "",
    "to": "to",
    "recipient": "to",
    "recipients": "to",
    "payee": "to",
    "subject": "about",
    "table": "in table",
    "where": "where",
    "branch": "on branch",
    "environment": "on",
    "account": "of",
    "url": "",
}
"""Arguments that say most about a call, best first, and how each is led in."""

_HEADLINE_PARTS: Final = 3
_PART_LENGTH: Final = 60
_NESTED_ROWS: Final = 12
_WORD_LENGTH: Final = 40
INSIDE: Final = " \u203a "
_ONE_WORD: Final = re.compile(r"[^\s“”\"'()]+")
_LABEL: Final = re.compile(r"(?=.{1,60}\Z)[A-Za-z0-9]+(?:[ -][A-Za-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One argument as the table shows it.

    Attributes:
        kind: `text`, `number`, `yes/no`, `null`, `list of 3` or `object`.
        text: The value now; None if the argument was removed.
        was: What the agent asked for, if that differs; None if it was absent.
        hidden: How many characters a reader would not have seen as they are.
    """

    name: str
    kind: str
    text: str | None
    was: str | None = None
    changed: bool = False
    hidden: int = 0

    def as_data(self) -> dict[str, Any]:
        """The row as JSON for a component."""
        return asdict(self)


def headline(tool: str, args: Mapping[str, Any], kind: RequestKind) -> str:
    """What will happen, in one line."""
    said = tool.replace("_", " ").replace("-", " ").strip() or tool
    said = said[:1].upper() + said[1:]
    if kind is RequestKind.GATE:
        said = f"Go on after: {said}"
    told = _told(args)
    parts = [_part(name, args) for name in told]
    rest = len(args) - len(told) - ("amount" in told and "currency" in args)
    more = f" (and {rest} more)" if rest > 0 and told else ""
    return reveal(" ".join([said, *parts])) + more


def agreed(found: Progress) -> str:
    """`1 of 2: still one more of finance, or one of cfo`."""
    said = f"{found.have} of {found.needed}"
    if found.missing is not None:
        said = f"{said}: still {found.missing}"
    if found.rejected > 0:
        said = f"{said}; {found.rejected} of {found.denials} rejections"
    return reveal(said)


def confirmation(request: Request) -> str:
    """The word that is typed to approve a critical call: from its own arguments."""
    texts = [v for v in request.args.values() if isinstance(v, str) and v.isascii()]
    words = [v for v in texts if _ONE_WORD.fullmatch(v) and len(v) <= _WORD_LENGTH]
    return reveal(words[0] if words else request.tool)


def rows(args: Mapping[str, Any], before: Mapping[str, Any]) -> tuple[Row, ...]:
    """Every argument, field by field, against what was there before."""
    now, was = dict(_flat(args)), dict(_flat(before))
    names = [*now, *(name for name in was if name not in now)]
    return tuple(_row(name, now, was) for name in names)


def rows_of(request: Request) -> tuple[Row, ...]:
    """A request's arguments against what its agent asked for."""
    return rows(request.args, request.proposed.get("args", {}))


def value_text(value: object) -> str:
    """A JSON value as people read it, hidden characters shown."""
    if isinstance(value, str):
        return reveal(value)
    if isinstance(value, list | tuple) and not any(_is_nested(v) for v in value):
        return "\n".join(compact(item) for item in value)
    if _is_nested(value):
        return pretty(value)
    return compact(value)


def value_kind(value: object) -> str:
    """A JSON value's type in a reader's words."""
    match value:
        case None:
            return "null"
        case bool():
            return "yes/no"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list() | tuple():
            return f"list of {len(value)}"
        case _:
            return "object"


def compact(value: object) -> str:
    """JSON on one line, hidden characters as escapes: it reads back unchanged."""
    return _escape(json.dumps(value, ensure_ascii=False))


def pretty(value: object) -> str:
    """JSON over several lines, hidden characters as escapes."""
    return _escape(json.dumps(value, ensure_ascii=False, indent=2))


def hidden_in(value: object) -> int:
    """How many hidden characters a JSON value holds, keys included."""
    if isinstance(value, str):
        return count_hidden(value)
    if isinstance(value, Mapping):
        return sum(hidden_in(k) + hidden_in(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return sum(hidden_in(item) for item in value)
    return 0


def plain_label(name: str, *, otherwise: str = "Field") -> str:
    """A name as the label of a field, or a neutral word if it could be markup.

    Streamlit renders labels as Markdown, so only letters, digits and blanks pass.
    """
    words = " ".join(name.replace("_", " ").split())
    label = words[:1].upper() + words[1:]
    return label if _LABEL.fullmatch(label) else otherwise


def _row(name: str, now: Mapping[str, Any], was: Mapping[str, Any]) -> Row:
    value = now.get(name, was.get(name))
    changed = compact(now.get(name)) != compact(was.get(name))
    changed = changed or (name in now) != (name in was)
    return Row(
        name=reveal(name),
        kind=value_kind(value),
        text=value_text(value) if name in now else None,
        was=value_text(was[name]) if changed and name in was else None,
        changed=changed,
        hidden=hidden_in({name: value}),
    )


def _flat(args: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    ambiguous = any(INSIDE in name for name in args)
    for name, value in args.items():
        small = isinstance(value, Mapping) and 0 < len(value) <= _NESTED_ROWS
        if small and not ambiguous:
            yield from ((f"{name}{INSIDE}{key}", item) for key, item in value.items())
        else:
            yield name, value


def _told(args: Mapping[str, Any]) -> list[str]:
    """The arguments in the headline: the most telling, else the first two."""
    short = [name for name, value in args.items() if _fits_a_line(value)]
    telling = sorted((n for n in short if n in _MOST_TELLING), key=_telling)
    others = [n for n in short if not isinstance(args[n], bool)]
    return telling[:_HEADLINE_PARTS] or others[:2]


def _part(name: str, args: Mapping[str, Any]) -> str:
    lead = _MOST_TELLING.get(name, name.replace("_", " "))
    value = args[name]
    if isinstance(value, list | tuple):
        said = ", ".join(_quoted(item) for item in value)
    else:
        said = _quoted(value)
    if name == "amount" and isinstance(args.get("currency"), str):
        said = f"{said} {args['currency'][:8]}"
    return f"{lead} {said}".strip()


def _quoted(value: object) -> str:
    """A value on one line; in quotes if it could be taken for our own words."""
    if not isinstance(value, str):
        return compact(value)
    said = " ".join(value.split())
    if len(said) > _PART_LENGTH:
        said = said[:_PART_LENGTH] + "…"
    return said if _ONE_WORD.fullmatch(said) else f"“{said}”"


def _telling(name: str) -> int:
    return list(_MOST_TELLING).index(name)


def _fits_a_line(value: object) -> bool:
    if isinstance(value, list | tuple):
        return 0 < len(value) <= _HEADLINE_PARTS and not any(map(_is_nested, value))
    if isinstance(value, str):
        return "\n" not in value and len(value) <= 4 * _PART_LENGTH
    return value is not None and not _is_nested(value)


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _escape(text: str) -> str:
    return "".join(_escaped(c) if is_hidden(c) else c for c in text)


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1]
