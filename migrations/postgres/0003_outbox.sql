CREATE TABLE auth_outbox (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    address text NOT NULL,
    address_key text NOT NULL,
    due timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    last_error text,
    abandoned_at timestamptz
);

CREATE UNIQUE INDEX auth_outbox_owed_once ON auth_outbox (kind, address_key) WHERE abandoned_at IS NULL;

CREATE INDEX auth_outbox_due ON auth_outbox (due) WHERE abandoned_at IS NULL;
