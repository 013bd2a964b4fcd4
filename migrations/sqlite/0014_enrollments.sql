-- Accounts to come: those who signed up and have not confirmed the address, and those who were invited.
-- Of each address the newest counts. A name stands here only with a sign-up, and no name is reserved by it.
CREATE TABLE auth_enrollments (
    email_key TEXT PRIMARY KEY NOT NULL,
    id BLOB NOT NULL CHECK (length(id) = 16),
    email TEXT NOT NULL,
    username TEXT,
    username_canonical TEXT,
    password_hash TEXT,
    invited_by BLOB CHECK (length(invited_by) = 16),
    begun_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    completed_at INTEGER,
    CONSTRAINT auth_enrollments_id UNIQUE (id),
    CHECK ((username IS NULL) = (username_canonical IS NULL)),
    CHECK ((username IS NULL) = (password_hash IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX auth_enrollments_expiry ON auth_enrollments (expires_at);
