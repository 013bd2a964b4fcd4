-- SQLite compares bytes: the indexes of the unique columns lead to each page of users already.
SELECT 1;
