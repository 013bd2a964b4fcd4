//! The conformance suite on the stores of this crate.
//!
//! The databases refuse every commit that does not wait for the disk, unless all that it has done is
//! to move sessions on by one generation (S7.6).
#![expect(clippy::unwrap_used, reason = "what a test prepares must succeed")]
#![cfg(all(feature = "testing", feature = "sqlite", feature = "postgres", unix))]

use std::sync::Arc;

use auth_core::store::{PostgresStore, SqliteStore, Store};
use auth_core::store_conformance;
use auth_core::testing::postgres::TemporaryDatabase;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

store_conformance!(sqlite, sqlite_file);
store_conformance!(sqlite_in_memory, sqlite_memory);
store_conformance!(postgres, postgres_database);

async fn sqlite_file() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("auth.sqlite")).await;
    let store = store.unwrap();
    store.migrate().await.unwrap();
    refuse_unflushed_on_sqlite(&folder).await;
    (Arc::new(store), folder)
}

/// The setting cannot change within a transaction: it is at the commit what it is at a statement.
async fn refuse_unflushed_on_sqlite(folder: &TempDir) {
    let url = format!("sqlite://{}", folder.path().join("auth.sqlite").display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'auth%'",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let is_rotation = "new.generation = old.generation + 1
         AND new.revoked_at IS old.revoked_at AND new.expires_at = old.expires_at";
    for table in tables {
        for act in ["INSERT", "UPDATE", "DELETE"] {
            let excepted = match (table.as_str(), act) {
                ("auth_sessions", "UPDATE") => is_rotation,
                _ => "FALSE",
            };
            let trigger = AssertSqlSafe(format!(
                "CREATE TRIGGER flushed_{table}_{act} BEFORE {act} ON {table}
                 WHEN (SELECT synchronous FROM pragma_synchronous) < 2 AND NOT ({excepted})
                 BEGIN SELECT RAISE(ABORT, 'an unflushed {act} on {table}'); END"
            ));
            sqlx::raw_sql(trigger).execute(&mut database).await.unwrap();
        }
    }
    database.close().await.unwrap();
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
    refuse_unflushed_on_postgres(database.url()).await;
    (Arc::new(store), database)
}

/// A trigger that is deferred sees the setting by which the transaction commits.
async fn refuse_unflushed_on_postgres(url: &str) {
    let mut database = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(
        "CREATE FUNCTION refuse_unflushed() RETURNS trigger LANGUAGE plpgsql AS $$
         DECLARE
             moved text[] := ARRAY['generation', 'rotated_at', 'used_at', 'rotation_key'];
             new_row jsonb := to_jsonb(NEW);
             old_row jsonb := to_jsonb(OLD);
         BEGIN
             IF current_setting('synchronous_commit') IN ('on', 'remote_apply') THEN
                 RETURN NULL;
             END IF;
             IF TG_TABLE_NAME = 'auth_sessions' AND TG_OP = 'UPDATE'
                     AND new_row - moved = old_row - moved
                     AND (new_row ->> 'generation')::int = (old_row ->> 'generation')::int + 1 THEN
                 RETURN NULL;
             END IF;
             RAISE 'an unflushed % on %', TG_OP, TG_TABLE_NAME;
         END $$;
         DO $$ DECLARE name text; BEGIN
             FOR name IN SELECT tablename FROM pg_tables WHERE tablename LIKE 'auth%' LOOP
                 EXECUTE format(
                     'CREATE CONSTRAINT TRIGGER flushed AFTER INSERT OR UPDATE OR DELETE ON %I
                          DEFERRABLE INITIALLY DEFERRED
                          FOR EACH ROW EXECUTE FUNCTION refuse_unflushed()',
                     name
                 );
             END LOOP;
         END $$",
    )
    .execute(&mut database)
    .await
    .unwrap();
    database.close().await.unwrap();
}
