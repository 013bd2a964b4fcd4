-- The keys are MACs: neither a name nor an address stands here. Rows go when nothing in them counts
-- any more.
CREATE TABLE auth_throttle (
    key bytea PRIMARY KEY CHECK (length(key) = 32),
    tries integer NOT NULL CHECK (tries >= 0),
    strikes integer NOT NULL CHECK (strikes >= 0),
    window_ends_at timestamptz NOT NULL,
    blocked_until timestamptz,
    known_until timestamptz,
    forget_at timestamptz NOT NULL
);

CREATE INDEX auth_throttle_forget ON auth_throttle (forget_at);
