ALTER TABLE requests ADD COLUMN timeline TEXT NOT NULL DEFAULT '[]';
ALTER TABLE requests ADD COLUMN level INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN shift BIGINT NOT NULL DEFAULT 0;
UPDATE requests SET due_at = expires_at;
CREATE INDEX requests_by_due ON requests (status, due_at, id);
