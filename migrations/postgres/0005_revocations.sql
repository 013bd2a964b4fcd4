-- What verifiers must refuse before it expires. No reference to users or sessions: a deleted user's
-- tokens are refused, too. `recorded_at` is the database's clock, by which every node polls.
CREATE TABLE auth_revocations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    subject uuid,
    issued_before timestamptz,
    expires_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX auth_revocations_recorded ON auth_revocations (recorded_at);

CREATE INDEX auth_revocations_expiry ON auth_revocations (expires_at);
