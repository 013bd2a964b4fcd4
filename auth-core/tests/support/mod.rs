//! A fresh store for each test, and users to put into it.

use std::sync::Arc;

use auth_core::audit::{Actor, AuditAct, AuditEvent};
use auth_core::store::{NewUser, PostgresStore, SqliteStore, Store};
use auth_core::testing::postgres::TemporaryDatabase;
use auth_core::{PasswordHash, RequestContext, Timestamp, User, UserId};
use tempfile::TempDir;

pub(crate) async fn sqlite() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("auth.sqlite3"))
        .await
        .unwrap();
    store.migrate().await.unwrap();
    (Arc::new(store), folder)
}

pub(crate) async fn postgres() -> (Arc<dyn Store>, TemporaryDatabase) {
    let database = TemporaryDatabase::create().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    store.migrate().await.unwrap();
    (Arc::new(store), database)
}

/// An event for an act that a test does to a store.
pub(crate) fn event() -> AuditEvent {
    let context = RequestContext::default();
    let at = Timestamp::from_unix_seconds(1_700_000_000);
    AuditEvent::new(at, AuditAct::LoggedIn, Actor::System, &context)
}

pub(crate) fn user(name: &str) -> NewUser {
    let user = User::new(
        UserId::generate(),
        name.parse().unwrap(),
        format!("{name}@example.org").parse().unwrap(),
        Timestamp::from_unix_seconds(1_700_000_000),
    );
    NewUser::new(user, PasswordHash::from_stored("none"))
}

/// Makes a test of each case for each database.
macro_rules! on_each_store {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[test]
                fn $case() {
                    auth_core::testing::conformance::run(crate::support::sqlite, super::$case);
                }
            )*
        }
        mod postgres {
            $(
                #[test]
                fn $case() {
                    auth_core::testing::conformance::run(crate::support::postgres, super::$case);
                }
            )*
        }
    };
}

pub(crate) use on_each_store;
