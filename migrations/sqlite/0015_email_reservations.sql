-- Until when a confirmed change can be undone: so long nobody else gets the former address.
ALTER TABLE auth_email_changes ADD COLUMN undo_until INTEGER;

UPDATE auth_email_changes
SET undo_until = confirmed_at + 86400000000
WHERE confirmed_at IS NOT NULL;

CREATE INDEX auth_email_changes_former ON auth_email_changes (former_key);
