-- Several people may sign up with one address: each sign-up is completed by itself, and the first that is
-- ends the others. Slot 0 of an address is an invitation's, the others are those of sign-ups: at most five.
-- The source stands for the client network that signed up. It is a MAC, and shows neither network nor address.
CREATE TABLE auth_enrollments_by_slot (
    email_key TEXT NOT NULL,
    slot INTEGER NOT NULL CHECK (slot BETWEEN 0 AND 5),
    id BLOB NOT NULL CHECK (length(id) = 16),
    email TEXT NOT NULL,
    username TEXT,
    username_canonical TEXT,
    password_hash TEXT,
    source BLOB CHECK (length(source) = 16),
    invited_by BLOB CHECK (length(invited_by) = 16),
    begun_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    completed_at INTEGER,
    PRIMARY KEY (email_key, slot),
    CONSTRAINT auth_enrollments_id UNIQUE (id),
    CHECK ((username IS NULL) = (username_canonical IS NULL)),
    CHECK ((username IS NULL) = (password_hash IS NULL)),
    CHECK ((username IS NULL) = (slot = 0)),
    CHECK ((username IS NULL) = (source IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO auth_enrollments_by_slot
    (email_key, slot, id, email, username, username_canonical, password_hash, source,
     invited_by, begun_at, expires_at, completed_at)
SELECT email_key, username IS NOT NULL, id, email, username, username_canonical, password_hash,
       CASE WHEN username IS NULL THEN NULL ELSE id END,
       invited_by, begun_at, expires_at, completed_at
FROM auth_enrollments;

DROP TABLE auth_enrollments;

ALTER TABLE auth_enrollments_by_slot RENAME TO auth_enrollments;

CREATE INDEX auth_enrollments_expiry ON auth_enrollments (expires_at);
