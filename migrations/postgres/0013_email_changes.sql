-- Changes of users' addresses: asked for, confirmed at the new address, undone from the former one.
-- Of what a user asks for and has not confirmed, only the last stays.
CREATE TABLE auth_email_changes (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth_users (id) ON DELETE CASCADE,
    former text NOT NULL,
    former_key text NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL,
    requested_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    undone_at timestamptz
);

CREATE INDEX auth_email_changes_user ON auth_email_changes (user_id);

CREATE INDEX auth_email_changes_age ON auth_email_changes (requested_at);
