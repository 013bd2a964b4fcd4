CREATE TABLE auth_outbox (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    address_key TEXT NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts BETWEEN 0 AND 2147483647),
    last_error TEXT,
    abandoned_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX auth_outbox_owed_once ON auth_outbox (kind, address_key) WHERE abandoned_at IS NULL;

CREATE INDEX auth_outbox_due ON auth_outbox (due) WHERE abandoned_at IS NULL;
