CREATE TABLE auth_users (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    username TEXT NOT NULL,
    username_canonical TEXT NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    email_verified_at INTEGER,
    email_verification INTEGER NOT NULL DEFAULT 0 CHECK (email_verification BETWEEN 0 AND 2147483647),
    is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    is_superuser INTEGER NOT NULL CHECK (is_superuser IN (0, 1)),
    created_at INTEGER NOT NULL,
    -- SQLite checks the last one first: where both are taken, the username is what is told.
    CONSTRAINT auth_users_email_taken UNIQUE (email_key),
    CONSTRAINT auth_users_username_taken UNIQUE (username_canonical)
) STRICT, WITHOUT ROWID;

-- Whether any superuser exists is asked at every start of the embedded server.
CREATE INDEX auth_users_superusers ON auth_users (is_superuser) WHERE is_superuser;
