-- Pages of users, and searches for how a name or an address begins, in the order of the bytes, which
-- is the same whatever the database's collation.
CREATE INDEX auth_users_by_name ON auth_users (username_canonical COLLATE "C");

CREATE INDEX auth_users_by_email ON auth_users (email_key COLLATE "C");
