CREATE TABLE notices (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    request_id TEXT NOT NULL,
    thread TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('new', 'spread'))
);
CREATE INDEX notices_by_state ON notices (state, at, seq);
CREATE INDEX notices_by_request ON notices (request_id, seq);

CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    notice_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    seq BIGINT NOT NULL,
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'dead', 'dropped')),
    attempts INTEGER NOT NULL,
    queued_at BIGINT NOT NULL,
    due_at BIGINT,
    last_error TEXT,
    sent_at BIGINT,
    reference TEXT,
    CHECK ((state IN ('queued', 'sending')) = (due_at IS NOT NULL))
);
CREATE INDEX deliveries_by_due ON deliveries (channel, due_at, seq);
CREATE INDEX deliveries_by_request ON deliveries (request_id, channel, recipient, seq);
CREATE INDEX deliveries_by_state ON deliveries (state, queued_at, id);
CREATE INDEX deliveries_by_age ON deliveries (queued_at, id);
