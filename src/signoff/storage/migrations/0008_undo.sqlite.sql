CREATE TABLE entries_now (
    id TEXT PRIMARY KEY NOT NULL,
    action_id TEXT NOT NULL,
    request_id TEXT,
    thread TEXT NOT NULL,
    tool TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN (
            'prepared', 'running', 'done', 'failed', 'unknown', 'held', 'cancelled',
            'undoing', 'undone', 'undo_failed', 'undo_unverified', 'final'
        )
    ),
    attempt INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    idempotent INTEGER NOT NULL,
    worker TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    result BLOB,
    summary TEXT,
    changed_at BIGINT NOT NULL,
    seq BIGINT NOT NULL DEFAULT 0,
    kind TEXT NOT NULL DEFAULT 'plain' CHECK (kind IN ('plain', 'reversible', 'held')),
    agent TEXT,
    user_id TEXT,
    args TEXT,
    output TEXT,
    intent TEXT,
    undo_terms TEXT,
    undo_version INTEGER,
    captured TEXT,
    before TEXT,
    after TEXT,
    bound TEXT,
    undo_until BIGINT,
    held_open TEXT,
    commit_at BIGINT,
    label TEXT,
    remains TEXT,
    not_undoable TEXT,
    undo_by TEXT,
    undo_reason TEXT,
    undo_forced INTEGER NOT NULL DEFAULT 0,
    undo_at BIGINT,
    undo_attempt INTEGER NOT NULL DEFAULT 0,
    undo_lease_until BIGINT,
    undo_worker TEXT,
    undo_summary TEXT,
    diff TEXT,
    steps TEXT,
    probe_at BIGINT
);
INSERT INTO entries_now (
    id, action_id, request_id, thread, tool, idempotency_key,
    state, attempt, attempts, idempotent, worker, lease_until,
    started_at, finished_at, result, summary, changed_at
) SELECT
    id, action_id, request_id, thread, tool, idempotency_key,
    state, attempt, attempts, idempotent, worker, lease_until,
    started_at, finished_at, result, summary, changed_at
FROM entries;
DROP TABLE entries;
ALTER TABLE entries_now RENAME TO entries;
CREATE INDEX entries_by_change ON entries (changed_at);
CREATE UNIQUE INDEX entries_by_action ON entries (action_id);
CREATE INDEX entries_by_thread ON entries (thread, started_at);
CREATE INDEX entries_by_state ON entries (state, started_at);
CREATE INDEX entries_standing ON entries (thread, seq) WHERE state NOT IN ('undone', 'failed', 'cancelled');
CREATE INDEX entries_by_intent ON entries (thread, intent) WHERE intent IS NOT NULL;
CREATE INDEX entries_closing ON entries (undo_until, id) WHERE state = 'done' AND undo_until IS NOT NULL AND held_open IS NULL;
CREATE INDEX entries_held_open ON entries (held_open, id) WHERE held_open IS NOT NULL;
CREATE INDEX entries_releasing ON entries (commit_at, id) WHERE state = 'held';
CREATE INDEX entries_undoing ON entries (undo_lease_until, id) WHERE state = 'undoing';
CREATE INDEX entries_probing ON entries (probe_at, id) WHERE state = 'unknown' AND probe_at IS NOT NULL;

CREATE TABLE entry_dependencies (
    entry_id TEXT NOT NULL,
    on_entry_id TEXT NOT NULL,
    how TEXT NOT NULL CHECK (how IN ('declared', 'probable')),
    PRIMARY KEY (entry_id, on_entry_id)
);
CREATE INDEX entry_dependencies_by_target ON entry_dependencies (on_entry_id);

CREATE TABLE agent_notices (
    id TEXT PRIMARY KEY NOT NULL,
    thread TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT
);
CREATE INDEX agent_notices_by_thread ON agent_notices (thread, created_at);
