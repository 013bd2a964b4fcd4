-- Several people may sign up with one address: each sign-up is completed by itself, and the first that is
-- ends the others. Slot 0 of an address is an invitation's, the others are those of sign-ups: at most five.
-- The source stands for the client network that signed up. It is a MAC, and shows neither network nor address.
ALTER TABLE auth_enrollments
    ADD COLUMN slot smallint NOT NULL DEFAULT 0 CHECK (slot BETWEEN 0 AND 5),
    ADD COLUMN source uuid;

UPDATE auth_enrollments SET slot = 1, source = id WHERE username IS NOT NULL;

ALTER TABLE auth_enrollments
    ALTER COLUMN slot DROP DEFAULT,
    DROP CONSTRAINT auth_enrollments_pkey,
    ADD PRIMARY KEY (email_key, slot),
    ADD CHECK ((username IS NULL) = (slot = 0)),
    ADD CHECK ((username IS NULL) = (source IS NULL));
