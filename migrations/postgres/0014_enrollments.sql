-- Accounts to come: those who signed up and have not confirmed the address, and those who were invited.
-- Of each address the newest counts. A name stands here only with a sign-up, and no name is reserved by it.
CREATE TABLE auth_enrollments (
    email_key text PRIMARY KEY,
    id uuid NOT NULL,
    email text NOT NULL,
    username text,
    username_canonical text,
    password_hash text,
    invited_by uuid,
    begun_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    completed_at timestamptz,
    CONSTRAINT auth_enrollments_id UNIQUE (id),
    CHECK ((username IS NULL) = (username_canonical IS NULL)),
    CHECK ((username IS NULL) = (password_hash IS NULL))
);

CREATE INDEX auth_enrollments_expiry ON auth_enrollments (expires_at);
