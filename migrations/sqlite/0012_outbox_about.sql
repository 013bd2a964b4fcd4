-- What a mail is about, where its address does not say it: one address may then be owed several mails of
-- a kind. Nil where the address says it.
ALTER TABLE auth_outbox ADD COLUMN about BLOB NOT NULL DEFAULT x'00000000000000000000000000000000'
    CHECK (length(about) = 16);

DROP INDEX auth_outbox_owed_once;

CREATE UNIQUE INDEX auth_outbox_owed_once ON auth_outbox (kind, address_key, about)
    WHERE abandoned_at IS NULL;
