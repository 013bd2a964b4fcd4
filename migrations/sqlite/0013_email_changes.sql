-- Changes of users' addresses: asked for, confirmed at the new address, undone from the former one.
-- Of what a user asks for and has not confirmed, only the last stays.
CREATE TABLE auth_email_changes (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    user_id BLOB NOT NULL REFERENCES auth_users (id) ON DELETE CASCADE,
    former TEXT NOT NULL,
    former_key TEXT NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    requested_at INTEGER NOT NULL,
    confirmed_at INTEGER,
    undone_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX auth_email_changes_user ON auth_email_changes (user_id);

CREATE INDEX auth_email_changes_age ON auth_email_changes (requested_at);
