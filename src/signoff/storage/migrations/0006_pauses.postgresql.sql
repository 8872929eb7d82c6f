ALTER TABLE requests ADD COLUMN frozen_at BIGINT;
CREATE INDEX requests_by_validity ON requests (status, valid_until);
CREATE INDEX requests_by_freeze ON requests (frozen_at);
CREATE INDEX requests_due ON requests (due_at, id) WHERE status = 'pending' AND frozen_at IS NULL;

CREATE TABLE pauses (
    id TEXT PRIMARY KEY,
    agent TEXT,
    thread TEXT,
    tool TEXT,
    reason TEXT,
    paused_by TEXT NOT NULL,
    paused_at BIGINT NOT NULL,
    lifted_by TEXT,
    lifted_at BIGINT,
    changed_at BIGINT NOT NULL,
    CHECK ((lifted_by IS NULL) = (lifted_at IS NULL))
);
CREATE INDEX pauses_by_end ON pauses (lifted_at, paused_at);
CREATE INDEX pauses_by_change ON pauses (changed_at);

CREATE TABLE stalled (
    action_id TEXT PRIMARY KEY,
    thread TEXT NOT NULL,
    agent TEXT,
    tool TEXT NOT NULL,
    pause_id TEXT,
    since BIGINT NOT NULL
);
CREATE INDEX stalled_by_pause ON stalled (pause_id, thread);
CREATE INDEX stalled_by_thread ON stalled (thread);
