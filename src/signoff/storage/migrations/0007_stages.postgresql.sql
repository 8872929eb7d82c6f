CREATE TABLE outlines (
    thread TEXT PRIMARY KEY NOT NULL,
    stages TEXT NOT NULL
);

CREATE TABLE stages (
    id TEXT PRIMARY KEY NOT NULL,
    thread TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    digest TEXT NOT NULL,
    kept_at BIGINT NOT NULL
);
CREATE INDEX stages_by_thread ON stages (thread, kept_at);
