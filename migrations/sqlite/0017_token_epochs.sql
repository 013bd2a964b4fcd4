-- Counts the changes of what a user's access tokens say. A token names the epoch that it was made
-- in, so that no clock decides whether it is older than the change.
ALTER TABLE auth_users ADD COLUMN token_epoch INTEGER NOT NULL DEFAULT 0;

-- Of kind "user": tokens of an earlier epoch are refused.
ALTER TABLE auth_revocations ADD COLUMN epoch INTEGER;
