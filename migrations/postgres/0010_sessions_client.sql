-- From which address the user logged in, where it is known.
ALTER TABLE auth_sessions ADD COLUMN client TEXT;
