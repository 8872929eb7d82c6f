ALTER TABLE wakeups ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE wakeups ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE wakeups ADD COLUMN error TEXT;
CREATE INDEX wakeups_by_agent ON wakeups (agent, due_at, since);

CREATE TABLE turns (
    thread TEXT PRIMARY KEY NOT NULL,
    agent TEXT NOT NULL,
    worker TEXT NOT NULL,
    fence BIGINT NOT NULL,
    taken_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL
);
CREATE INDEX turns_by_worker ON turns (worker, lease_until);
CREATE INDEX turns_by_lease ON turns (lease_until);

CREATE TABLE workers (
    id TEXT PRIMARY KEY NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    agents TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    started_at BIGINT NOT NULL,
    beat_at BIGINT NOT NULL,
    alive_until BIGINT NOT NULL
);
