"""A store with something in it, and the program run on it for real."""

import json
import os
import pty
import re
import select
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Self

from signoff import Action, Context, Policy, Request, Signoff, review
from signoff.domain.actions import ToolTraits
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import RequestKind
from signoff.ports import KnownTool
from signoff.service.propose import Asked
from tests.forked import forked, run_forked

SCHEMA = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer"},
        "to": {"type": "string"},
        "urgent": {"type": "boolean"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "speed": {"enum": ["slow", "fast"]},
        "rate": {"type": "number"},
    },
    "required": ["amount", "to"],
}
ARGS = {"amount": 1450, "to": "ACC Logistics", "urgent": True, "tags": ["q4", "books"]}
POLICY = Policy(
    [
        review("pay_big", approvals=2, reviewers=["finance"], risk="critical"),
        review("*", risk="high"),
    ]
)


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever it printed
        """Its output, which must be one JSON document."""
        return json.loads(self.out)

    def failed(self, code: int, *words: str) -> None:
        """It failed with this code and one line that has these words."""
        assert (self.code, self.out) == (code, ""), self
        assert re.fullmatch(r"error: [^\n]+\n", self.err), self.err
        assert [word for word in words if word not in self.err] == [], self.err


@dataclass
class Shop:
    """A store, its address for the command line, and people with tokens."""

    so: Signoff
    address: str
    tokens: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    def person(
        self,
        name: str,
        *groups: str,
        kind: PrincipalKind = PrincipalKind.PERSON,
    ) -> str:
        """A token of somebody's own."""
        if name not in self.tokens:
            made = self.so.create_token(name, kind=kind, groups=groups)
            self.tokens[name] = made[1]
        return self.tokens[name]

    def ask(
        self,
        tool: str = "pay",
        args: Mapping[str, Any] = ARGS,
        schema: Mapping[str, Any] | None = SCHEMA,
        thread: str = "t1",
    ) -> Request:
        """A request that waits."""
        self.asked += 1
        action = Action(
            context=Context(thread=thread, agent="bookkeeper", user="ana", team="ops"),
            message_id="m",
            call_id=str(self.asked),
            tool=tool,
            args=args,
        )
        asked = Asked(description="Pays an invoice.", schema=schema)
        request = self.so.propose(action, asked).request
        assert request is not None
        return request

    def gate(self, name: str, value: object) -> Request:
        """A stage of a workflow that waits."""
        self.asked += 1
        action = Action(
            context=Context(thread="t1", agent="planner"),
            message_id="gate:",
            call_id=str(self.asked),
            tool=name,
            args={},
        )
        asked = Asked(
            kind=RequestKind.GATE, args={"value": value}, description="Go ahead?"
        )
        request = self.so.propose(action, asked).request
        assert request is not None
        return request

    def know(self, *tools: str) -> None:
        """The agent was seen to have these tools."""
        self.so.know_tools(
            [
                KnownTool(
                    agent="bookkeeper",
                    name=tool,
                    description="",
                    schema=SCHEMA,
                    traits=ToolTraits(),
                )
                for tool in tools
            ]
        )

    def run(
        self, *arguments: str, by: str | None = None, stdin: str = "", **env: str
    ) -> Ran:
        """The program, on this store, as somebody."""
        given = {"SIGNOFF_STORE": self.address, **env}
        if by is not None:
            given["SIGNOFF_TOKEN"] = self.tokens[by]
        return signoff(*arguments, stdin=stdin, env=given)


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """This process's own, without what would reach the program by accident."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SIGNOFF_")}
    return {**kept, "COLUMNS": "120", **env}


def signoff(
    *arguments: str,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Ran:
    """The program as a process of its own; warnings are errors there too."""
    given = environment(env or {})
    ended = run_forked("signoff", *arguments, stdin=stdin, cwd=cwd, env=given)
    return Ran(ended.returncode, ended.stdout, ended.stderr)


class Terminal:
    """The program in a terminal, where it can ask."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self.screen = ""
        self.process = forked(
            "signoff",
            *arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment({"TERM": "xterm-256color", **env}),
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def wait_for(self, text: str, timeout: float = 30) -> None:
        """Read until this is on the screen."""
        deadline = monotonic() + timeout
        while text not in self.screen:
            assert monotonic() < deadline, f"{text!r} not in {self.screen!r}"
            assert self._read(0.1), f"ended before {text!r}: {self.screen!r}"

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def end(self, timeout: float = 30) -> int:
        """Read to the end. Returns the exit code."""
        deadline = monotonic() + timeout
        while self._read(0.1):
            assert monotonic() < deadline, self.screen
        return self.process.wait(timeout)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # Linux says so when the other side was closed
            return False
        self.screen += data.decode(errors="replace")
        return data != b""
