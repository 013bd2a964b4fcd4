-- The names of the user's roles, separated by spaces.
ALTER TABLE auth_users ADD COLUMN roles TEXT NOT NULL DEFAULT '';
