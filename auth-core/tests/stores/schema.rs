//! What the tables hold, and what they must not.

/// The columns of the users' table, in either database's spelling.
fn columns(sql: &str) -> Vec<&str> {
    sql.lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with("CREATE TABLE auth_users"))
        .skip(1)
        .take_while(|line| !line.starts_with(')'))
        .filter(|line| !line.starts_with("CONSTRAINT") && !line.starts_with("--"))
        .filter_map(|line| line.split(' ').next())
        .collect()
}

#[test]
fn s2_8_the_schema_knows_no_expiry_hint_or_question_of_a_password() {
    for sql in [
        include_str!("../../../migrations/postgres/0001_users.sql"),
        include_str!("../../../migrations/sqlite/0001_users.sql"),
    ] {
        assert_eq!(
            columns(sql),
            [
                "id",
                "username",
                "username_canonical",
                "email",
                "email_key",
                "password_hash",
                "email_verified_at",
                "email_verification",
                "is_active",
                "is_superuser",
                "created_at",
            ]
        );
    }
}
