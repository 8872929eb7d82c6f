ALTER TABLE entries DROP CONSTRAINT entries_state_check;
ALTER TABLE entries ADD CONSTRAINT entries_state_check CHECK (
    state IN (
        'prepared', 'running', 'done', 'failed', 'unknown', 'held', 'cancelled',
        'undoing', 'undone', 'undo_failed', 'undo_unverified', 'final'
    )
);
ALTER TABLE entries ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN kind TEXT NOT NULL DEFAULT 'plain' CHECK (kind IN ('plain', 'reversible', 'held'));
ALTER TABLE entries ADD COLUMN agent TEXT;
ALTER TABLE entries ADD COLUMN user_id TEXT;
ALTER TABLE entries ADD COLUMN args TEXT;
ALTER TABLE entries ADD COLUMN output TEXT;
ALTER TABLE entries ADD COLUMN intent TEXT;
ALTER TABLE entries ADD COLUMN undo_terms TEXT;
ALTER TABLE entries ADD COLUMN undo_version INTEGER;
ALTER TABLE entries ADD COLUMN captured TEXT;
ALTER TABLE entries ADD COLUMN before TEXT;
ALTER TABLE entries ADD COLUMN after TEXT;
ALTER TABLE entries ADD COLUMN bound TEXT;
ALTER TABLE entries ADD COLUMN undo_until BIGINT;
ALTER TABLE entries ADD COLUMN held_open TEXT;
ALTER TABLE entries ADD COLUMN commit_at BIGINT;
ALTER TABLE entries ADD COLUMN label TEXT;
ALTER TABLE entries ADD COLUMN remains TEXT;
ALTER TABLE entries ADD COLUMN not_undoable TEXT;
ALTER TABLE entries ADD COLUMN undo_by TEXT;
ALTER TABLE entries ADD COLUMN undo_reason TEXT;
ALTER TABLE entries ADD COLUMN undo_forced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN undo_at BIGINT;
ALTER TABLE entries ADD COLUMN undo_attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN undo_lease_until BIGINT;
ALTER TABLE entries ADD COLUMN undo_worker TEXT;
ALTER TABLE entries ADD COLUMN undo_summary TEXT;
ALTER TABLE entries ADD COLUMN diff TEXT;
ALTER TABLE entries ADD COLUMN steps TEXT;
ALTER TABLE entries ADD COLUMN probe_at BIGINT;
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
