-- What a username looks like (UTS #39), where names of all scripts are admitted: one user has it.
-- The server fills it in for those who are there, since SQL cannot compute it.
ALTER TABLE auth_users ADD COLUMN username_skeleton TEXT;

CREATE UNIQUE INDEX auth_users_skeleton_taken ON auth_users (username_skeleton);
