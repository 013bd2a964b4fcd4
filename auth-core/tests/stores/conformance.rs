//! The conformance suite on the stores of this crate.
#![expect(clippy::unwrap_used, reason = "what a test prepares must succeed")]
#![cfg(all(feature = "testing", feature = "sqlite", feature = "postgres", unix))]

use std::sync::Arc;

use auth_core::store::{PostgresStore, SqliteStore, Store};
use auth_core::store_conformance;
use auth_core::testing::postgres::TemporaryDatabase;
use tempfile::TempDir;

store_conformance!(sqlite, sqlite_file);
store_conformance!(sqlite_in_memory, sqlite_memory);
store_conformance!(postgres, postgres_database);

async fn sqlite_file() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("auth.sqlite")).await;
    let store = store.unwrap();
    store.migrate().await.unwrap();
    (Arc::new(store), folder)
}

async fn sqlite_memory() -> (Arc<dyn Store>, ()) {
    let store = SqliteStore::in_memory().await.unwrap();
    store.migrate().await.unwrap();
    (Arc::new(store), ())
}

async fn postgres_database() -> (Arc<dyn Store>, TemporaryDatabase) {
    let database = TemporaryDatabase::create().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    store.migrate().await.unwrap();
    (Arc::new(store), database)
}
