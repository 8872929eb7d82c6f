"""AgentDojo's suites: environments, the calls of their tasks, and their own scoring.

https://github.com/ethz-spylab/agentdojo, version 0.1.35 and its data v1.2.2: 97 user
tasks and 35 injection tasks. No model runs: a task's ground truth says which calls
solve it, and a hijacked agent is one that makes an injection task's calls in between.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from agentdojo.base_tasks import BaseInjectionTask, BaseUserTask
from agentdojo.default_suites.v1.tools import cloud_drive_client, email_client
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
from agentdojo.task_suite.load_suites import get_suites
from agentdojo.types import text_content_block_from_string

from benchmarks.agentdojo.attacks import BY_HAND

VERSION: Final = "v1.2.2"
NAMES: Final = ("workspace", "travel", "banking", "slack")
WRITES: Final = (
    "add_calendar_event_participants",
    "add_user_to_channel",
    "append_to_file",
    "cancel_calendar_event",
    "create_calendar_event",
    "create_file",
    "delete_email",
    "delete_file",
    "invite_user_to_slack",
    "post_webpage",
    "remove_user_from_slack",
    "reschedule_calendar_event",
    "reserve_car_rental",
    "reserve_hotel",
    "reserve_restaurant",
    "schedule_transaction",
    "send_channel_message",
    "send_direct_message",
    "send_email",
    "send_money",
    "share_file",
    "update_password",
    "update_scheduled_transaction",
    "update_user_info",
)
"""The tools that are there to change something; some are in more than one suite."""
READS_THAT_WRITE: Final = ("get_unread_emails", "get_webpage")
"""One marks mails as read; the other tells a web server that somebody was there."""

Environment = Any
"""AgentDojo's: a pydantic model with everything that the tools of a suite can touch."""


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call, and on whose behalf it is made."""

    tool: str
    args: Mapping[str, Any]
    by: Literal["user", "attacker"] = "user"

    def traced(self) -> FunctionCall:
        """As AgentDojo's checks read it."""
        return FunctionCall(function=self.tool, args=copy.deepcopy(dict(self.args)))


@dataclass(frozen=True, slots=True)
class Pair:
    """A user's task, and what an attacker wants meanwhile."""

    suite: str
    user: str
    injection: str


@dataclass(frozen=True, slots=True)
class Around:
    """The environment as it was before a call that has an undo, and after it."""

    before: str
    after: str


@dataclass
class World:
    """What the tools of a suite change, outside of anything that signoff knows.

    Attributes:
        executed: The calls that reached it, in order.
        failed: Those of them that AgentDojo refused.
        states: The environment around each call that may change something.
    """

    suite: Suite
    env: Environment = None
    executed: list[Call] = field(default_factory=list)
    failed: list[Call] = field(default_factory=list)
    states: list[Around] = field(default_factory=list)

    def begin(self, env: Environment) -> None:
        """Start anew, in this environment."""
        self.env = env
        self.executed, self.failed, self.states = [], [], []

    def run(self, call: Call) -> Any:  # noqa: ANN401 - any JSON
        """Let AgentDojo run a call; an error is a text, as its agents get it."""
        self.executed.append(call)
        args = copy.deepcopy(dict(call.args))
        noted = call.tool in WRITES or call.tool in READS_THAT_WRITE
        before = digest(self.env) if noted else ""
        result, error = self.suite.runtime.run_function(self.env, call.tool, args)
        if noted:
            self.states.append(Around(before, digest(self.env)))
        if error is not None:
            self.failed.append(call)
            return error
        return plain(result)


class Suite:
    """One suite: its tools, its tasks, and its environment before any of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.raw = get_suites(VERSION)[name]
        self.base: Environment = self.raw.load_and_inject_default_environment({})
        self.runtime = FunctionsRuntime(self.raw.tools)
        self.users: Mapping[str, BaseUserTask] = self.raw.user_tasks
        self.injections: Mapping[str, BaseInjectionTask] = self.raw.injection_tasks

    def fresh(self, user: str | None = None) -> Environment:
        """A new environment, as a user's task finds it."""
        env = self.base.model_copy(deep=True)
        return env if user is None else self.users[user].init_environment(env)

    def user_calls(self, user: str) -> list[Call]:
        """What solves a user's task."""
        task = self.users[user]
        return [_call(one) for one in task.ground_truth(self.fresh(user))]

    def attack(self, injection: str, user: str | None = None) -> list[Call]:
        """What reaches an attacker's goal; none where it needs no tool."""
        env = self.fresh(user)
        by_hand = BY_HAND.get((self.name, injection))
        if by_hand is not None:
            return [Call(tool, args, "attacker") for tool, args in by_hand(env)]
        found = self.injections[injection].ground_truth(env)
        return [_call(one, "attacker") for one in found]

    def hijacked(self, pair: Pair) -> list[Call]:
        """The user's calls, with the attacker's after the first of them."""
        calls = self.user_calls(pair.user)
        return [*calls[:1], *self.attack(pair.injection, pair.user), *calls[1:]]

    def pairs(self) -> list[Pair]:
        """Every user's task with every attack that needs a tool."""
        attacks = [name for name in self.injections if self.attack(name)]
        return [Pair(self.name, user, name) for user in self.users for name in attacks]

    def text_only(self) -> int:
        """Pairs whose attack is only something that the agent says."""
        quiet = [name for name in self.injections if not self.attack(name)]
        return len(self.users) * len(quiet)

    def says(self, user: str) -> str:
        """What the agent answers at the end of a user's task."""
        text: str = self.users[user].GROUND_TRUTH_OUTPUT
        return text

    def solved(self, user: str, env: Environment, executed: Sequence[Call]) -> bool:
        """AgentDojo's own check of a user's task."""
        return self._check(self.users[user], user, env, executed)

    def attacked(self, pair: Pair, env: Environment, executed: Sequence[Call]) -> bool:
        """AgentDojo's own check of whether an attacker's goal was reached."""
        return self._check(self.injections[pair.injection], pair.user, env, executed)

    def _check(
        self,
        task: BaseUserTask | BaseInjectionTask,
        user: str,
        env: Environment,
        executed: Sequence[Call],
    ) -> bool:
        said = [text_content_block_from_string(self.says(user))]
        after = env.model_copy(deep=True)  # some checks change what they look at
        traces = [one.traced() for one in executed]
        args = (task, said, self.fresh(user), after, traces)
        return bool(self.raw._check_task_result(*args))  # noqa: SLF001 - its only door


def digest(env: Environment) -> str:
    """Everything in an environment, so that two can be compared."""
    return json.dumps(env.model_dump(mode="json"), sort_keys=True)


def plain(value: object) -> Any:  # noqa: ANN401 - any JSON
    """What a tool returned, as JSON."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def stop_the_clock() -> None:
    """Let every mail and file be of one moment, so that environments compare."""
    email_client.datetime = cloud_drive_client.datetime = _Stopped


class _Stopped:
    """Stands where these two modules have `datetime`."""

    class datetime(dt.datetime):  # noqa: N801 - as the module that it stands for
        """A clock that shows one moment."""

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]  # a plain one, so that it compares and is copied as others
            """Noon of a day after AgentDojo's."""
            return dt.datetime(2024, 6, 1, 12, tzinfo=tz)


def _call(one: FunctionCall, by: Literal["user", "attacker"] = "user") -> Call:
    return Call(one.function, dict(one.args), by)
