-- No reference to auth_users: the trail of a deleted user stays. The ids are in the order of time,
-- so that retention needs no index of its own.
CREATE TABLE auth_events (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    user_id BLOB CHECK (length(user_id) = 16),
    request_id TEXT,
    event TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX auth_events_user ON auth_events (user_id, id);

CREATE INDEX auth_events_request ON auth_events (request_id) WHERE request_id IS NOT NULL;
