-- The keys are MACs: neither a name nor an address stands here. Rows go when nothing in them counts
-- any more.
CREATE TABLE auth_throttle (
    key BLOB PRIMARY KEY NOT NULL CHECK (length(key) = 32),
    tries INTEGER NOT NULL CHECK (tries >= 0),
    strikes INTEGER NOT NULL CHECK (strikes >= 0),
    window_ends_at INTEGER NOT NULL,
    blocked_until INTEGER,
    known_until INTEGER,
    forget_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX auth_throttle_forget ON auth_throttle (forget_at);
