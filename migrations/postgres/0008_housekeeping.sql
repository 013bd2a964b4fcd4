-- Which node does what only one is to do, and until when.
CREATE TABLE auth_leases (
    name text PRIMARY KEY,
    held_until timestamptz NOT NULL
);

-- No rotation and no revocation changes this column.
CREATE INDEX auth_sessions_expiry ON auth_sessions (expires_at);

CREATE INDEX auth_outbox_abandoned ON auth_outbox (abandoned_at) WHERE abandoned_at IS NOT NULL;
