"""A seeded history: thousands of calls and requests whose truth is known."""

import json
import random
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from sqlalchemy import insert

from signoff import Action, Context, Policy, Signoff
from signoff.domain.actions import ToolTraits
from signoff.domain.journal import Entry, EntryState, entry_id
from signoff.domain.requests import Status, Vote
from signoff.service.propose import Asked, make_request, ruled
from signoff.storage import SqlStore, rows
from signoff.storage import tables as t

HOUR = 3_600_000_000
HOSTILE = "x\u202ey\x1b[31m</script>'; DROP TABLE actions;--"


@dataclass
class History:
    """What was written, for comparison.

    Attributes:
        calls: Each call with its recorded verdict.
        took: Seconds of each vote, by tool.
        ends: How each tool's requests ended.
    """

    calls: list[tuple[Action, str]] = field(default_factory=list)
    took: dict[str, list[float]] = field(default_factory=dict)
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    written: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def median(self, *tools: str) -> float:
        """Of these tools together, or of all."""
        names = tools or tuple(self.took)
        return round(median(s for name in names for s in self.took[name]), 3)


class Historian:
    """Writes calls and how people decided on them, straight into the tables."""

    def __init__(self, so: Signoff, policy: Policy, seed: int = 7) -> None:
        self.so, self.policy = so, policy
        self.random = random.Random(seed)  # noqa: S311 - a seeded test
        self.now = so.now()
        self.history = History(written={name: [] for name in _TABLES})
        self.made = 0

    def call(
        self,
        tool: str,
        args: dict[str, Any],
        *,
        agent: str = "clerk",
        ends: str = "approved",
        seconds: float = 6.0,
        hours_ago: float = 5.0,
        effect: EntryState | None = None,
        traits: ToolTraits | None = None,
    ) -> None:
        """One call: judged by the policy, and decided if that asks."""
        self.made += 1
        action = Action(
            context=Context(thread=f"t{self.made % 50}", agent=agent, user="uma"),
            message_id="m",
            call_id=str(self.made),
            tool=tool,
            args=args,
            traits=ToolTraits() if traits is None else traits,
        )
        at = self.now - int(hours_ago * HOUR) + self.made
        ruling = self.policy.decide(action)
        self.history.calls.append((action, ruling.verdict.value))
        self._write("actions", rows.action_row(ruled(action, ruling), at))
        request_id = None
        if ruling.verdict.value == "review":
            request_id = self._request(action, ends, seconds, at)
        if effect is not None:
            self._entry(action, request_id, effect, at)

    def _request(self, action: Action, ends: str, seconds: float, at: int) -> str:
        ruling = self.policy.decide(action)
        request = make_request(action, ruling, Asked(), now=at, ask=1)
        voted = at + int(seconds * 1_000_000)
        edited = ends == "edited"
        status = Status.APPROVED if edited else Status(ends)
        people = status in {Status.APPROVED, Status.REJECTED, Status.RESPONDED}
        settled: dict[str, Any] = {
            "status": status,
            "revision": 2 if edited else 1,
            "settled_at": None if status is Status.PENDING else voted,
            "settled_by": "ann" if people else None,
        }
        request = replace(request, **settled)
        self.history.ends[action.tool, ends] += 1
        self._write("requests", rows.request_row(request))
        if people:
            kinds = {"edited": "edit", "rejected": "reject", "responded": "respond"}
            kind = kinds.get(ends, "approve")
            # A quorum's last vote is the one that counts as slow.
            for n in range(request.terms.approvals if status is Status.APPROVED else 1):
                self.history.took.setdefault(action.tool, []).append(seconds + n)
                vote = Vote(
                    request_id=request.id,
                    revision=request.revision,
                    principal=f"person-{n}",
                    kind=kind,
                    at=voted + n * 1_000_000,
                    channel="python",
                    digest=request.digest,
                )
                self._write("votes", rows.vote_row(vote))
        return request.id

    def _entry(
        self, action: Action, request_id: str | None, state: EntryState, at: int
    ) -> None:
        entry = Entry(
            id=entry_id(action.id),
            action_id=action.id,
            request_id=request_id,
            thread=action.context.thread,
            tool=action.tool,
            key=action.id,
            state=state,
            attempt=1,
            attempts=1,
            idempotent=False,
            worker="w",
            lease_until=at,
            started_at=at,
        )
        self._write("entries", rows.entry_row(entry))

    def write(self) -> History:
        """Insert everything; what was written is forgotten here."""
        store = self.so.store
        assert isinstance(store, SqlStore)
        with store.engine.begin() as connection:
            for name, found in self.history.written.items():
                if found:
                    connection.execute(insert(_TABLES[name]), found)
                    found.clear()
        return self.history

    def _write(self, table: str, row: dict[str, Any]) -> None:
        self.history.written[table].append(row)


def gate(so: Signoff) -> None:
    """A gate that waits, as `gate()` makes it."""
    from signoff.domain.policy import Ruling
    from signoff.domain.requests import RequestKind
    from signoff.domain.rules import Verdict, review

    action = Action(
        context=Context(thread="g", agent="clerk"),
        message_id="gate:plan",
        call_id="plan",
        tool="plan",
        args={},
    )
    rule = review("plan", name="gate plan")
    ruling = Ruling(verdict=Verdict.REVIEW, rule=rule, policy_version="gate")
    so.propose(action, Asked(kind=RequestKind.GATE, args={"value": 1}), ruling=ruling)


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """A dataclass as it arrives over JSON."""
    return json.loads(json.dumps(asdict(value)))  # type: ignore[call-overload]


_TABLES = {
    "actions": t.actions,
    "requests": t.requests,
    "votes": t.votes,
    "entries": t.entries,
}
