-- Until when a confirmed change can be undone: so long nobody else gets the former address.
ALTER TABLE auth_email_changes ADD COLUMN undo_until timestamptz;

UPDATE auth_email_changes
SET undo_until = confirmed_at + interval '24 hours'
WHERE confirmed_at IS NOT NULL;

CREATE INDEX auth_email_changes_former ON auth_email_changes (former_key);
