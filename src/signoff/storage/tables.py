"""The tables. The numbered migrations make them; a test finds any difference."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

metadata: Final = MetaData()

DUE: Final = "status = 'pending' AND frozen_at IS NULL"
# Spelled out in the statements too: a parameter would hide a partial index.
CLOSING: Final = "state = 'done' AND undo_until IS NOT NULL AND held_open IS NULL"
RELEASING: Final = "state = 'held'"
UNDOING: Final = "state = 'undoing'"
STANDING: Final = "state NOT IN ('undone', 'failed', 'cancelled')"
# With plain `state` SQLite would take the index of that and sort.
PURGING: Final = (
    "COALESCE(captured, bound) IS NOT NULL AND "
    "state || '' IN ('final', 'undone', 'cancelled', 'failed')"
)
# Without statistics SQLite takes an index on equality (`status = ?`) and reads every
# row of it, where one that has only these rows, in order, needs one look.
SEEK: Final = {
    DUE: "INDEXED BY requests_due",
    CLOSING: "INDEXED BY entries_closing",
}
PROBING: Final = "state = 'unknown' AND probe_at IS NOT NULL"


def _only(name: str, columns: tuple[str, ...], where: str) -> Index:
    """An index of the rows that something is to be done with."""
    told = text(where)
    return Index(name, *columns, sqlite_where=told, postgresql_where=told)


actions: Final = Table(
    "actions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("thread", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("agent", Text),
    Column("user_id", Text),
    Column("team", Text),
    Column("tool", Text, nullable=False),
    Column("args", Text, nullable=False),
    Column("traits", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("error", Text),
    Column("proposed_at", BigInteger, nullable=False),
    Index("actions_by_thread", "thread", "proposed_at"),
    Index("actions_by_time", "proposed_at"),
)

requests: Final = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("action_id", Text, nullable=False),
    Column("ask", Integer, nullable=False),
    Column("thread", Text, nullable=False),
    Column("agent", Text),
    Column("user_id", Text),
    Column("team", Text),
    Column("tool", Text, nullable=False),
    Column("args", Text, nullable=False),
    Column("proposed", Text, nullable=False),
    Column("schema", Text),
    Column("description", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("risk", Text, nullable=False),
    Column("risk_rank", Integer, nullable=False),
    Column("rule", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("terms", Text, nullable=False),
    Column("note", Text),
    Column("asked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("settled_at", BigInteger),
    Column("settled_by", Text),
    Column("outcome", Text),
    Column("valid_until", BigInteger),
    Column("timeline", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("shift", BigInteger, nullable=False),
    Column("frozen_at", BigInteger),
    Column("assignee", Text),
    Index("requests_by_action", "action_id", "ask", unique=True),
    Index("requests_by_deadline", "status", "expires_at", "id"),
    Index("requests_by_age", "status", "asked_at", "id"),
    Index("requests_by_risk", "status", "risk_rank", "expires_at", "id"),
    Index("requests_by_tool", "status", "tool", "expires_at", "id"),
    Index("requests_by_agent", "status", "agent", "expires_at", "id"),
    Index("requests_by_team", "status", "team", "expires_at", "id"),
    Index("requests_by_assignee", "status", "assignee", "expires_at", "id"),
    Index("requests_by_thread", "thread", "status", "expires_at", "id"),
    Index("requests_by_time", "asked_at", "id"),
    Index("requests_by_change", "changed_at"),
    Index("requests_by_validity", "status", "valid_until"),
    Index("requests_by_freeze", "frozen_at"),
    Index(
        "requests_due",
        "due_at",
        "id",
        sqlite_where=text(DUE),
        postgresql_where=text(DUE),
    ),
)

votes: Final = Table(
    "votes",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("principal", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("reason", Text),
    Column("behalf", Text),
    Column("groups", Text),
)

delegations: Final = Table(
    "delegations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("delegator", Text, nullable=False),
    Column("delegate", Text, nullable=False),
    Column("groups", Text, nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("reason", Text),
    Column("made_by", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("revoked_by", Text),
    Index("delegations_by_delegate", "delegate", "ends_at"),
    Index("delegations_by_age", "made_at", "id"),
)

entries: Final = Table(
    "entries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("action_id", Text, nullable=False),
    Column("request_id", Text),
    Column("thread", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("idempotent", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("result", LargeBinary),
    Column("summary", Text),
    Column("changed_at", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False, server_default="0"),
    Column("kind", Text, nullable=False, server_default="plain"),
    Column("agent", Text),
    Column("user_id", Text),
    Column("args", Text),
    Column("output", Text),
    Column("intent", Text),
    Column("undo_terms", Text),
    Column("undo_version", Integer),
    Column("captured", Text),
    Column("before", Text),
    Column("after", Text),
    Column("bound", Text),
    Column("undo_until", BigInteger),
    Column("held_open", Text),
    Column("commit_at", BigInteger),
    Column("label", Text),
    Column("remains", Text),
    Column("not_undoable", Text),
    Column("undo_by", Text),
    Column("undo_reason", Text),
    Column("undo_forced", Integer, nullable=False, server_default="0"),
    Column("undo_at", BigInteger),
    Column("undo_attempt", Integer, nullable=False, server_default="0"),
    Column("undo_lease_until", BigInteger),
    Column("undo_worker", Text),
    Column("undo_summary", Text),
    Column("diff", Text),
    Column("steps", Text),
    Column("probe_at", BigInteger),
    Index("entries_by_action", "action_id", unique=True),
    Index("entries_by_thread", "thread", "started_at"),
    Index("entries_by_change", "changed_at"),
    Index("entries_by_state", "state", "started_at"),
    _only("entries_standing", ("thread", "seq"), STANDING),
    _only("entries_by_intent", ("thread", "intent"), "intent IS NOT NULL"),
    _only("entries_closing", ("undo_until", "id"), CLOSING),
    _only("entries_held_open", ("held_open", "id"), "held_open IS NOT NULL"),
    _only("entries_releasing", ("commit_at", "id"), RELEASING),
    _only("entries_undoing", ("undo_lease_until", "id"), UNDOING),
    _only("entries_probing", ("probe_at", "id"), PROBING),
    _only("entries_purging", ("changed_at", "id"), PURGING),
)

entry_dependencies: Final = Table(
    "entry_dependencies",
    metadata,
    Column("entry_id", Text, primary_key=True),
    Column("on_entry_id", Text, primary_key=True),
    Column("how", Text, nullable=False),
    Index("entry_dependencies_by_target", "on_entry_id"),
)

agent_notices: Final = Table(
    "agent_notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("thread", Text, nullable=False),
    Column("entry_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger),
    Index("agent_notices_by_thread", "thread", "created_at"),
)

events: Final = Table(
    "events",
    metadata,
    Column("thread", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text),
    Column("channel", Text),
    Column("body", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

chains: Final = Table(
    "chains",
    metadata,
    Column("thread", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("head", Text, nullable=False),
)

wakeups: Final = Table(
    "wakeups",
    metadata,
    Column("thread", Text, primary_key=True),
    Column("agent", Text),
    Column("since", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Index("wakeups_by_agent", "agent", "due_at", "since"),
)

turns: Final = Table(
    "turns",
    metadata,
    Column("thread", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("taken_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Index("turns_by_worker", "worker", "lease_until"),
    Index("turns_by_lease", "lease_until"),
)

workers: Final = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("agents", Text, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("beat_at", BigInteger, nullable=False),
    Column("alive_until", BigInteger, nullable=False),
)

tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("secret_hash", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("groups", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Index("tokens_by_secret", "secret_hash", unique=True),
)

tools: Final = Table(
    "tools",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("description", Text, nullable=False),
    Column("schema", Text),
    Column("traits", Text, nullable=False),
)

policies: Final = Table(
    "policies",
    metadata,
    Column("version", Text, primary_key=True),
    Column("rules", Text, nullable=False),
    Column("published_at", BigInteger, nullable=False),
)

outlines: Final = Table(
    "outlines",
    metadata,
    Column("thread", Text, primary_key=True),
    Column("stages", Text, nullable=False),
)

stages: Final = Table(
    "stages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("thread", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("kept_at", BigInteger, nullable=False),
    Index("stages_by_thread", "thread", "kept_at"),
)

notices: Final = Table(
    "notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("thread", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Index("notices_by_state", "state", "at", "seq"),
    Index("notices_by_request", "request_id", "seq"),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("notice_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("queued_at", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("last_error", Text),
    Column("sent_at", BigInteger),
    Column("reference", Text),
    Index("deliveries_by_due", "channel", "due_at", "seq"),
    Index("deliveries_by_request", "request_id", "channel", "recipient", "seq"),
    Index("deliveries_by_state", "state", "queued_at", "id"),
    Index("deliveries_by_age", "queued_at", "id"),
)

pauses: Final = Table(
    "pauses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("agent", Text),
    Column("thread", Text),
    Column("tool", Text),
    Column("reason", Text),
    Column("paused_by", Text, nullable=False),
    Column("paused_at", BigInteger, nullable=False),
    Column("lifted_by", Text),
    Column("lifted_at", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
    Index("pauses_by_end", "lifted_at", "paused_at"),
    Index("pauses_by_change", "changed_at"),
)

stalled: Final = Table(
    "stalled",
    metadata,
    Column("action_id", Text, primary_key=True),
    Column("thread", Text, nullable=False),
    Column("agent", Text),
    Column("tool", Text, nullable=False),
    Column("pause_id", Text),  # NULL: lifted, the thread is to be woken
    Column("since", BigInteger, nullable=False),
    Index("stalled_by_pause", "pause_id", "thread"),
    Index("stalled_by_thread", "thread"),
)
