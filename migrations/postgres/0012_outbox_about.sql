-- What a mail is about, where its address does not say it: one address may then be owed several mails of
-- a kind. Nil where the address says it.
ALTER TABLE auth_outbox ADD COLUMN about uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';

DROP INDEX auth_outbox_owed_once;

CREATE UNIQUE INDEX auth_outbox_owed_once ON auth_outbox (kind, address_key, about)
    WHERE abandoned_at IS NULL;
