//! What is true of a user now decides, not what a token says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{PASSWORD, SECRETS, Server, run};
use auth_core::testing::postgres::TemporaryDatabase;
use sqlx::{Connection as _, PgConnection};

/// A server on PostgreSQL with the superuser `op`, and a connection of the operator's.
async fn server() -> (TemporaryDatabase, Server, PgConnection) {
    let database = TemporaryDatabase::create().await;
    let variables = [
        SECRETS[0],
        SECRETS[1],
        ("DATABASE_URL", database.url()),
        ("AUTH_MAIL", "folder:outbox"),
        ("AUTH_SUPERUSER_PASSWORD", PASSWORD),
    ];
    let folder = tempfile::tempdir().unwrap();
    let create = [
        "createsuperuser",
        "--username",
        "op",
        "--email",
        "op@example.org",
        "--noinput",
    ];
    for arguments in [&["migrate"][..], &create] {
        assert!(run(folder.path(), arguments, &variables).status.success());
    }
    let server = Server::start(&variables);
    let operator = PgConnection::connect(database.url()).await.unwrap();
    (database, server, operator)
}

#[tokio::test]
async fn s9_2_a_token_of_a_superuser_registers_nobody_after_the_demotion() {
    let (_database, server, mut operator) = server().await;
    let access_token = server.log_in("op", PASSWORD).await.text("access_token");
    assert_eq!(
        server
            .register(&access_token, "alice")
            .await
            .status
            .as_u16(),
        201
    );
    let demote = "UPDATE auth_users SET is_superuser = FALSE WHERE username = 'op'";
    sqlx::query(demote).execute(&mut operator).await.unwrap();
    server
        .register(&access_token, "bob")
        .await
        .is_error(403, "permission_denied");
}

#[tokio::test]
async fn s9_3_a_deactivated_user_can_do_nothing_that_asks_the_store() {
    let (_database, server, mut operator) = server().await;
    let tokens = server.log_in("op", PASSWORD).await;
    let deactivate = "UPDATE auth_users SET is_active = FALSE WHERE username = 'op'";
    sqlx::query(deactivate)
        .execute(&mut operator)
        .await
        .unwrap();
    server
        .register(&tokens.text("access_token"), "bob")
        .await
        .is_error(401, "token_revoked");
    server
        .refresh(&tokens.text("refresh_token"))
        .await
        .is_error(401, "token_revoked");
    let refusal = server.log_in("op", PASSWORD).await;
    refusal.is_error(401, "invalid_credentials");
    assert_eq!(refusal.body, server.log_in("nobody", PASSWORD).await.body);
}

#[tokio::test]
async fn s9_5_a_recycled_username_inherits_no_session() {
    let (_database, server, mut operator) = server().await;
    let tokens = server.log_in("op", PASSWORD).await;
    sqlx::query("DELETE FROM auth_users WHERE username = 'op'")
        .execute(&mut operator)
        .await
        .unwrap();
    // The name comes back with another id.
    let again = "INSERT INTO auth_users (id, username, username_canonical, email, email_key,
                                         password_hash, is_active, is_superuser, created_at)
                 VALUES (gen_random_uuid(), 'op', 'op', 'op@example.org', 'op@example.org',
                         '!', TRUE, TRUE, now())";
    sqlx::query(again).execute(&mut operator).await.unwrap();
    server
        .register(&tokens.text("access_token"), "bob")
        .await
        .is_error(401, "token_revoked");
    server
        .refresh(&tokens.text("refresh_token"))
        .await
        .is_error(401, "token_revoked");
}
