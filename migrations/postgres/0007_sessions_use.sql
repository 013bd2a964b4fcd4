-- Both change with a rotation, so that no index may hold them. A NULL in `used_at` means that the
-- session was not used since it began.
ALTER TABLE auth_sessions
    ADD COLUMN used_at timestamptz,
    ADD COLUMN rotation_key bytea CHECK (length(rotation_key) = 32);

UPDATE auth_sessions
SET used_at = rotated_at
WHERE rotated_at IS NOT NULL;
