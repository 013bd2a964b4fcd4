//! What was acknowledged survives `kill -9`, and a database that goes away comes back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use crate::support::gate::Gate;
use crate::support::mail::from_folder;
use crate::support::{PASSWORD, SECRETS, Server, run};
use auth_core::testing::postgres::TemporaryDatabase;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

/// Nothing listens there: mails wait in the outbox.
const NO_MAIL_SERVER: (&str, &str) = ("AUTH_MAIL", "smtp://127.0.0.1:1");
const FOLDER: (&str, &str) = ("AUTH_MAIL", "folder:outbox");
const PATIENCE: Duration = Duration::from_secs(30);
const ROTATION: (&str, &str) = ("AUTH_REFRESH_ROTATION", "on");

/// A server that is killed and started again on the same database.
struct Node {
    folder: Arc<TempDir>,
    database_url: String,
}

impl Node {
    /// Makes the tables and a superuser `op`.
    fn bootstrap(database_url: String) -> Self {
        let node = Self {
            folder: Arc::new(tempfile::tempdir().unwrap()),
            database_url,
        };
        let create = [
            "createsuperuser",
            "--username",
            "op",
            "--email",
            "op@example.org",
            "--noinput",
        ];
        for arguments in [&["migrate"][..], &create] {
            let variables = node.variables(&[FOLDER, ("AUTH_SUPERUSER_PASSWORD", PASSWORD)]);
            let done = run(node.folder.path(), arguments, &variables);
            assert!(done.status.success(), "{done:?}");
        }
        node
    }

    fn variables<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut variables = SECRETS.to_vec();
        variables.push(("DATABASE_URL", &self.database_url));
        variables.push(("AUTH_PUBLIC_URL", "http://127.0.0.1:8000"));
        variables.extend(more);
        variables
    }

    fn start(&self, more: &[(&str, &str)]) -> Server {
        Server::start_in(Arc::clone(&self.folder), &self.variables(more))
    }

    /// Ends the pauses and the claims of the mails that are owed, instead of waiting for it.
    async fn make_mails_due(&self) {
        const SQLITE: &str = "UPDATE auth_outbox SET due = 0";
        const POSTGRES: &str = "UPDATE auth_outbox SET due = to_timestamp(0)";
        if self.database_url.starts_with("sqlite") {
            let mut database = SqliteConnection::connect(&self.database_url).await.unwrap();
            sqlx::query(SQLITE).execute(&mut database).await.unwrap();
        } else {
            let mut database = PgConnection::connect(&self.database_url).await.unwrap();
            sqlx::query(POSTGRES).execute(&mut database).await.unwrap();
        }
    }
}

async fn what_was_acknowledged_survives_a_kill(node: Node) {
    let server = node.start(&[NO_MAIL_SERVER]);
    let tokens = server.log_in("op", PASSWORD).await;
    let (access_token, refresh_token) = (tokens.text("access_token"), tokens.text("refresh_token"));
    assert_eq!(
        server
            .register(&access_token, "alice")
            .await
            .status
            .as_u16(),
        201
    );
    server.kill();

    let server = node.start(&[NO_MAIL_SERVER]);
    server
        .register(&access_token, "alice")
        .await
        .is_error(409, "username_taken");
    assert_eq!(server.log_out(&refresh_token).await.status.as_u16(), 200);
    server.kill();

    let server = node.start(&[FOLDER]);
    server
        .refresh(&refresh_token)
        .await
        .is_error(401, "token_revoked");
    node.make_mails_due().await;
    let mail = from_folder(&server.path("outbox"));
    assert_eq!(server.verify(&mail.token).await.status.as_u16(), 200);
    server.kill();

    let server = node.start(&[FOLDER, ROTATION]);
    let first = server.log_in("alice", PASSWORD).await.text("refresh_token");
    let second = server.refresh(&first).await.text("refresh_token");
    let third = server.refresh(&second).await.text("refresh_token");
    server.kill();

    let server = node.start(&[FOLDER, ROTATION]);
    assert_eq!(server.refresh(&second).await.text("refresh_token"), third);
    server.refresh(&first).await.is_error(401, "token_revoked");
}

#[tokio::test]
async fn s7_6_s8_5_sqlite_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.sqlite3");
    let node = Node::bootstrap(format!("sqlite://{}", path.display()));
    what_was_acknowledged_survives_a_kill(node).await;
}

#[tokio::test]
async fn s7_6_s8_5_postgresql_loses_nothing_acknowledged() {
    let database = TemporaryDatabase::create().await;
    what_was_acknowledged_survives_a_kill(Node::bootstrap(database.url().to_owned())).await;
}

// On two threads: the gate forwards while the test waits for a command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s9_4_without_its_database_the_server_refuses_and_then_recovers() {
    let database = TemporaryDatabase::create().await;
    let mut gate = Gate::open_to(database.url()).await;
    let node = Node::bootstrap(gate.url());
    gate.shut();
    let server = node.start(&[FOLDER]);
    assert_eq!(server.get("/livez").await.status.as_u16(), 200);
    let refused = server.log_in("op", PASSWORD).await;
    refused.is_error(503, "storage_unavailable");
    assert!(refused.headers.contains_key("retry-after"));

    gate.open().await;
    let access_token = server.log_in("op", PASSWORD).await.text("access_token");
    // What was revoked while the database was away is read before the server is ready.
    let ready = async { while server.get("/readyz").await.status.as_u16() != 200 {} };
    tokio::time::timeout(PATIENCE, ready).await.unwrap();

    gate.shut();
    server
        .register(&access_token, "alice")
        .await
        .is_error(503, "storage_unavailable");
    server
        .get("/readyz")
        .await
        .is_error(503, "storage_unavailable");

    gate.open().await;
    assert_eq!(
        server
            .register(&access_token, "alice")
            .await
            .status
            .as_u16(),
        201
    );
    let (status, _, _) = server.stop();
    assert!(status.success());
}
