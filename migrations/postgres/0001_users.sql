CREATE TABLE auth_users (
    id uuid PRIMARY KEY,
    username text NOT NULL,
    username_canonical text NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL,
    password_hash text NOT NULL,
    email_verified_at timestamptz,
    email_verification integer NOT NULL DEFAULT 0 CHECK (email_verification >= 0),
    is_active boolean NOT NULL,
    is_superuser boolean NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT auth_users_username_taken UNIQUE (username_canonical),
    CONSTRAINT auth_users_email_taken UNIQUE (email_key)
);

-- Whether any superuser exists is asked at every start of the embedded server.
CREATE INDEX auth_users_superusers ON auth_users (id) WHERE is_superuser;
