-- No index holds a column that a rotation or a revocation changes, and each page keeps some room
-- free, so that both stay heap-only updates.
CREATE TABLE auth_sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth_users (id) ON DELETE CASCADE,
    generation integer NOT NULL DEFAULT 0 CHECK (generation >= 0),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    rotated_at timestamptz,
    revoked_at timestamptz,
    revoked_reason text,
    CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX auth_sessions_user ON auth_sessions (user_id);
