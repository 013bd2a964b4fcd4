-- What verifiers must refuse before it expires. No reference to users or sessions: a deleted user's
-- tokens are refused, too. Ids grow in the order of the commits and are never used again, since one
-- transaction writes at a time.
CREATE TABLE auth_revocations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    subject BLOB CHECK (length(subject) = 16),
    issued_before INTEGER,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX auth_revocations_expiry ON auth_revocations (expires_at);
