ALTER TABLE votes ADD COLUMN behalf TEXT;
ALTER TABLE votes ADD COLUMN "groups" TEXT;

ALTER TABLE requests ADD COLUMN assignee TEXT;
CREATE INDEX requests_by_assignee ON requests (status, assignee, expires_at, id);

CREATE TABLE delegations (
    id TEXT PRIMARY KEY,
    delegator TEXT NOT NULL,
    delegate TEXT NOT NULL,
    "groups" TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    reason TEXT,
    made_by TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    revoked_at BIGINT,
    revoked_by TEXT,
    CHECK (starts_at < ends_at),
    CHECK (delegator <> delegate)
);
CREATE INDEX delegations_by_delegate ON delegations (delegate, ends_at);
CREATE INDEX delegations_by_age ON delegations (made_at, id);
