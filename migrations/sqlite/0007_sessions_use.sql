-- A NULL in `used_at` means that the session was not used since it began.
ALTER TABLE auth_sessions ADD COLUMN used_at INTEGER;

ALTER TABLE auth_sessions ADD COLUMN rotation_key BLOB CHECK (length(rotation_key) = 32);

UPDATE auth_sessions
SET used_at = rotated_at
WHERE rotated_at IS NOT NULL;
