-- Which process does what only one is to do, and until when.
CREATE TABLE auth_leases (
    name TEXT PRIMARY KEY NOT NULL,
    held_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX auth_sessions_expiry ON auth_sessions (expires_at);

CREATE INDEX auth_outbox_abandoned ON auth_outbox (abandoned_at) WHERE abandoned_at IS NOT NULL;
