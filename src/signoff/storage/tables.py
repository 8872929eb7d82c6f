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
)

metadata: Final = MetaData()

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
    Index("requests_by_action", "action_id", "ask", unique=True),
    Index("requests_by_deadline", "status", "expires_at", "id"),
    Index("requests_by_age", "status", "asked_at", "id"),
    Index("requests_by_risk", "status", "risk_rank", "expires_at", "id"),
    Index("requests_by_tool", "status", "tool", "expires_at", "id"),
    Index("requests_by_agent", "status", "agent", "expires_at", "id"),
    Index("requests_by_team", "status", "team", "expires_at", "id"),
    Index("requests_by_thread", "thread", "status", "expires_at", "id"),
    Index("requests_by_time", "asked_at", "id"),
    Index("requests_by_change", "changed_at"),
    Index("requests_by_due", "status", "due_at", "id"),
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
    Index("entries_by_action", "action_id", unique=True),
    Index("entries_by_thread", "thread", "started_at"),
    Index("entries_by_change", "changed_at"),
    Index("entries_by_state", "state", "started_at"),
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
