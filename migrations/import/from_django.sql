-- Copies users from Django's table auth_user into auth_users, in one PostgreSQL database and schema. It may be
-- repeated: who is there already stays as is. docs/importing.md tells what becomes of the passwords.
INSERT INTO auth_users (
    id, username, username_canonical, email, email_key, password_hash,
    email_verified_at, is_active, is_superuser, created_at
)
SELECT
    gen_random_uuid(),
    username,
    lower(username COLLATE "C"),
    email,
    lower(email COLLATE "C"),
    password,
    -- Every address counts as verified. With NULL, users get 403 until they confirm the link of a mail.
    now(),
    is_active,
    is_superuser,
    date_joined
FROM auth_user
-- In ASCII the keys of names and addresses are their lower case; others need the library.
WHERE username ~ '^[A-Za-z0-9@.+_-]{1,150}$'
    AND email ~ '^[A-Za-z0-9_+-]+([.][A-Za-z0-9_+-]+)*@([A-Za-z0-9]+(-+[A-Za-z0-9]+)*[.])+[A-Za-z]{2,63}$'
-- Of two who differ in case alone, the one who logged in last.
ORDER BY last_login DESC NULLS LAST
ON CONFLICT DO NOTHING;
