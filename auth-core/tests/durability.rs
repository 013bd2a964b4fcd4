//! What stores have acknowledged survives their crash. A program of its own, since its server is.
#![cfg(all(feature = "testing", feature = "sqlite", feature = "postgres", unix))]
#![expect(clippy::unwrap_used, reason = "what a test prepares must succeed")]

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::store::{PostgresStore, SqliteStore, Store};
use auth_core::store_durability;
use auth_core::testing::postgres::TemporaryServer;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

store_durability!(sqlite, sqlite_file);
store_durability!(postgres, postgres_server);

/// Leaves of a store what a process leaves that dies: its files as they are while it is open.
async fn sqlite_file() -> (
    Arc<dyn Store>,
    impl AsyncFnOnce() -> Arc<dyn Store>,
    [Arc<TempDir>; 2],
) {
    const FILE: &str = "auth.sqlite3";
    let [before, after] = [(); 2].map(|()| Arc::new(tempfile::tempdir().unwrap()));
    let folders = [Arc::clone(&before), Arc::clone(&after)];
    let store = SqliteStore::open(before.path().join(FILE)).await.unwrap();
    store.migrate().await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    // A store that is closed writes what is left into the database; one that dies does not.
    let open = Arc::clone(&store);
    let crash = async move || {
        for name in [FILE.to_owned(), format!("{FILE}-wal")] {
            fs::copy(before.path().join(&name), after.path().join(&name)).unwrap();
        }
        drop(open);
        let store = SqliteStore::open(after.path().join(FILE)).await.unwrap();
        Arc::new(store) as Arc<dyn Store>
    };
    (store, crash, folders)
}

/// Kills a backend of PostgreSQL, at which the server throws its memory away and starts from its log.
async fn postgres_server() -> (
    Arc<dyn Store>,
    impl AsyncFnOnce() -> Arc<dyn Store>,
    Arc<TemporaryServer>,
) {
    let server = Arc::new(TemporaryServer::start(&[]).unwrap());
    let url = server.url("postgres");
    let store = PostgresStore::connect(&url).unwrap();
    store.migrate().await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let crash = async move || {
        let killed = Command::new("kill")
            .args(["-KILL", &backend.to_string()])
            .status();
        assert!(killed.unwrap().success());
        while connection.ping().await.is_ok() {}
        let store = PostgresStore::connect(&url).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while store.check().await.is_err() {
            assert!(Instant::now() < deadline, "PostgreSQL does not come back");
            tokio::task::yield_now().await;
        }
        Arc::new(store) as Arc<dyn Store>
    };
    (Arc::new(store), crash, server)
}
