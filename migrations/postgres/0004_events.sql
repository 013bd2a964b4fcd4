-- No reference to auth_users: the trail of a deleted user stays. The ids are in the order of time,
-- so that retention needs no index of its own.
CREATE TABLE auth_events (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    user_id uuid,
    request_id text,
    event text NOT NULL
);

CREATE INDEX auth_events_user ON auth_events (user_id, id);

CREATE INDEX auth_events_request ON auth_events (request_id) WHERE request_id IS NOT NULL;
