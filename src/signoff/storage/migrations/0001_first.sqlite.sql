CREATE TABLE actions (
    id TEXT PRIMARY KEY NOT NULL,
    thread TEXT NOT NULL,
    message_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    agent TEXT,
    user_id TEXT,
    team TEXT,
    tool TEXT NOT NULL,
    args TEXT NOT NULL,
    traits TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('allow', 'review', 'reversible', 'hold', 'deny')),
    rule TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    error TEXT,
    proposed_at BIGINT NOT NULL
);
CREATE INDEX actions_by_thread ON actions (thread, proposed_at);
CREATE INDEX actions_by_time ON actions (proposed_at);

CREATE TABLE requests (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('action', 'gate')),
    action_id TEXT NOT NULL,
    ask INTEGER NOT NULL,
    thread TEXT NOT NULL,
    agent TEXT,
    user_id TEXT,
    team TEXT,
    tool TEXT NOT NULL,
    args TEXT NOT NULL,
    proposed TEXT NOT NULL,
    schema TEXT,
    description TEXT NOT NULL,
    digest TEXT NOT NULL,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (
        status IN ('pending', 'approved', 'rejected', 'responded', 'expired', 'cancelled')
    ),
    risk TEXT NOT NULL,
    risk_rank INTEGER NOT NULL,
    rule TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    terms TEXT NOT NULL,
    note TEXT,
    asked_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    settled_at BIGINT,
    settled_by TEXT,
    outcome TEXT,
    valid_until BIGINT,
    CHECK ((status = 'pending') = (settled_at IS NULL))
);
CREATE UNIQUE INDEX requests_by_action ON requests (action_id, ask);
CREATE INDEX requests_by_deadline ON requests (status, expires_at, id);
CREATE INDEX requests_by_age ON requests (status, asked_at, id);
CREATE INDEX requests_by_risk ON requests (status, risk_rank, expires_at, id);
CREATE INDEX requests_by_tool ON requests (status, tool, expires_at, id);
CREATE INDEX requests_by_agent ON requests (status, agent, expires_at, id);
CREATE INDEX requests_by_team ON requests (status, team, expires_at, id);
CREATE INDEX requests_by_thread ON requests (thread, status, expires_at, id);
CREATE INDEX requests_by_time ON requests (asked_at, id);
CREATE INDEX requests_by_change ON requests (changed_at);

CREATE TABLE votes (
    request_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    principal TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('approve', 'reject', 'edit', 'respond')),
    at BIGINT NOT NULL,
    channel TEXT NOT NULL,
    digest TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (request_id, revision, principal, kind)
);

CREATE TABLE entries (
    id TEXT PRIMARY KEY NOT NULL,
    action_id TEXT NOT NULL,
    request_id TEXT,
    thread TEXT NOT NULL,
    tool TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('prepared', 'running', 'done', 'failed', 'unknown')
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
    changed_at BIGINT NOT NULL
);
CREATE INDEX entries_by_change ON entries (changed_at);
CREATE UNIQUE INDEX entries_by_action ON entries (action_id);
CREATE INDEX entries_by_thread ON entries (thread, started_at);
CREATE INDEX entries_by_state ON entries (state, started_at);

CREATE TABLE events (
    thread TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor TEXT,
    channel TEXT,
    body TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (thread, seq)
);

CREATE TABLE chains (
    thread TEXT PRIMARY KEY NOT NULL,
    seq BIGINT NOT NULL,
    head TEXT NOT NULL
);

CREATE TABLE wakeups (
    thread TEXT PRIMARY KEY NOT NULL,
    agent TEXT,
    since BIGINT NOT NULL,
    version BIGINT NOT NULL
);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL,
    secret_hash TEXT NOT NULL,
    principal TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('person', 'agent', 'service')),
    "groups" TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
CREATE UNIQUE INDEX tokens_by_secret ON tokens (secret_hash);

CREATE TABLE tools (
    agent TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    schema TEXT,
    traits TEXT NOT NULL,
    PRIMARY KEY (agent, name)
);

CREATE TABLE policies (
    version TEXT PRIMARY KEY NOT NULL,
    rules TEXT NOT NULL,
    published_at BIGINT NOT NULL
);
