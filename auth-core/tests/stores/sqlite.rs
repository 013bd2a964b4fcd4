//! What is SQLite's own: the file, its schema, and the processes that share it.
#![expect(clippy::unwrap_used, reason = "what a test prepares must succeed")]
#![cfg(all(feature = "testing", feature = "sqlite"))]

use std::path::Path;
use std::time::Duration;

use auth_core::audit::{Actor, AuditAct, AuditEvent};
use auth_core::store::{
    AccountStore, Ending, NewSession, NewUser, SessionRotation, SessionStore, SqliteStore, Store,
    StoreError, UserStore,
};
use auth_core::{
    Generation, PasswordHash, RequestContext, RevocationReason, Timestamp, User, UserId,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use crate::upgrade;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

fn event() -> AuditEvent {
    let context = RequestContext::default();
    AuditEvent::new(NOW, AuditAct::LoggedIn, Actor::System, &context)
}

async fn migrated() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("auth.sqlite")).await;
    let store = store.unwrap();
    store.migrate().await.unwrap();
    (folder, store)
}

fn alice() -> NewUser {
    let email = "alice@example.org".parse().unwrap();
    let user = User::new(UserId::generate(), "alice".parse().unwrap(), email, NOW);
    NewUser::new(user, PasswordHash::from_stored("hash"))
}

/// A connection like another program's.
async fn connect(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("auth.sqlite"));
    options.connect().await.unwrap()
}

#[cfg(unix)]
#[tokio::test]
async fn s15_3_nobody_but_the_owner_can_read_the_file_or_its_journals() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, store) = migrated().await;
    store.create_user(&alice(), None, &event()).await.unwrap();
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file:?}");
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["auth.sqlite", "auth.sqlite-shm", "auth.sqlite-wal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_may_open_and_migrate_a_new_file_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.sqlite");
    let processes: Vec<_> = (0..4)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { SqliteStore::open(path).await?.migrate().await })
        })
        .collect();
    for process in processes {
        process.await.unwrap().unwrap();
    }
    let store = SqliteStore::open(path).await.unwrap();
    assert!(store.pending_migrations().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_several_processes_wait_for_each_other() {
    let (folder, store) = migrated().await;
    let alice = alice();
    store.create_user(&alice, None, &event()).await.unwrap();
    let session = NewSession::new(alice.user.id, NOW, NOW + Duration::from_secs(60));
    let begun = store
        .create_session(&session, &alice.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some());

    let mut writers = Vec::new();
    for _ in 0..4 {
        let store = SqliteStore::open(folder.path().join("auth.sqlite")).await;
        let store = store.unwrap();
        writers.push(tokio::spawn(async move {
            let mut moved = 0;
            for number in 0..50 {
                let from = Generation::new(number);
                let session = store
                    .rotate_session(&SessionRotation::new(session.id, from, NOW))
                    .await
                    .unwrap();
                moved += u32::from(session.is_some());
            }
            moved
        }));
    }
    let mut moved = 0;
    for writer in writers {
        moved += writer.await.unwrap();
    }
    let found = store.find_session(session.id).await.unwrap().unwrap();
    assert_eq!(found.generation, Generation::new(moved));
}

#[tokio::test]
async fn an_unmigrated_database_is_recognised() {
    let store = SqliteStore::in_memory().await.unwrap();
    let check = store.check().await;
    assert!(matches!(check, Err(StoreError::Failed(_))), "{check:?}");
    let pending = store.pending_migrations().await.unwrap();
    assert_eq!(pending.first().map(String::as_str), Some("0001_users"));
    let find = store.find_user(UserId::generate()).await;
    assert!(matches!(find, Err(StoreError::Failed(_))), "{find:?}");
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let (folder, store) = migrated().await;
    let mut other = connect(folder.path()).await;
    sqlx::query("UPDATE auth_migrations SET checksum = x'00' WHERE version = 2")
        .execute(&mut other)
        .await
        .unwrap();
    let changed = store.migrate().await;
    assert!(matches!(changed, Err(StoreError::Failed(_))), "{changed:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.sqlite");
    std::fs::write(
        &path,
        "no database, but long enough to have a header".repeat(100),
    )
    .unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let opened = SqliteStore::open(&path).await;
    assert!(matches!(opened, Err(StoreError::Failed(_))), "{opened:?}");
    let opened = SqliteStore::open(folder.path().join("missing/auth.sqlite")).await;
    assert!(
        matches!(opened, Err(StoreError::Unavailable(_))),
        "{opened:?}"
    );
}

#[tokio::test]
async fn s9_3_a_deactivated_user_can_use_no_session() {
    let (folder, store) = migrated().await;
    let alice = alice();
    store.create_user(&alice, None, &event()).await.unwrap();
    let session = NewSession::new(alice.user.id, NOW, NOW + Duration::from_secs(60));
    let begun = store
        .create_session(&session, &alice.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some());
    let mut other = connect(folder.path()).await;
    sqlx::query("UPDATE auth_users SET is_active = FALSE")
        .execute(&mut other)
        .await
        .unwrap();
    let found = store.find_session(session.id).await.unwrap().unwrap();
    assert!(!found.owner.is_active);
    let moved = store
        .rotate_session(&SessionRotation::new(session.id, Generation::FIRST, NOW))
        .await;
    assert_eq!(moved.unwrap(), None);
}

#[tokio::test]
async fn a_commit_that_fails_is_not_acknowledged() {
    let (folder, store) = migrated().await;
    let alice = alice();
    store.create_user(&alice, None, &event()).await.unwrap();
    let session = NewSession::new(alice.user.id, NOW, NOW + Duration::from_secs(60));
    let begun = store
        .create_session(&session, &alice.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some());
    // A constraint that is checked at the commit stands in for a disk that is full.
    let mut other = connect(folder.path()).await;
    sqlx::raw_sql(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (
             parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED
         );
         CREATE TRIGGER break_the_commit AFTER UPDATE ON auth_sessions
         BEGIN
             INSERT INTO child VALUES (1);
         END;",
    )
    .execute(&mut other)
    .await
    .unwrap();
    other.close().await.unwrap();
    let moved = store
        .rotate_session(&SessionRotation::new(session.id, Generation::FIRST, NOW))
        .await;
    moved.unwrap_err();
    let ending = Ending::new(RevocationReason::Logout, NOW, NOW);
    let revoked = store.revoke_session(session.id, &ending, &event()).await;
    revoked.unwrap_err();
    let found = store.find_session(session.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, None);
}

/// By which setting each transaction commits that changes a session or the audit trail: SQLite lets
/// nobody change it within a transaction. 1 is `NORMAL`, 2 `FULL`.
#[tokio::test]
async fn s7_6_only_rotations_are_not_flushed() {
    let (folder, store) = migrated().await;
    let alice = alice();
    store.create_user(&alice, None, &event()).await.unwrap();
    let mut other = connect(folder.path()).await;
    for (act, table) in [
        ("INSERT", "auth_sessions"),
        ("UPDATE", "auth_sessions"),
        ("INSERT", "auth_events"),
    ] {
        let trigger = format!(
            "CREATE TABLE IF NOT EXISTS noted (what TEXT, setting INTEGER);
             CREATE TRIGGER note_{act}_{table} AFTER {act} ON {table} BEGIN
                 INSERT INTO noted SELECT '{act} {table}', synchronous FROM pragma_synchronous;
             END"
        );
        let trigger = sqlx::raw_sql(sqlx::AssertSqlSafe(trigger));
        trigger.execute(&mut other).await.unwrap();
    }

    let session = NewSession::new(alice.user.id, NOW, NOW + Duration::from_secs(60));
    let begun = store
        .create_session(&session, &alice.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some());
    let rotate = async |from| {
        let rotation = SessionRotation::new(session.id, Generation::new(from), NOW);
        store.rotate_session(&rotation).await.unwrap().is_some()
    };
    assert!(rotate(0).await && rotate(1).await);
    assert!(!rotate(7).await, "it is ahead");
    let from = SessionRotation::new(session.id, Generation::new(2), NOW);
    let followed = store
        .follow_session(&from, Generation::new(8), &event())
        .await;
    assert!(followed.unwrap().is_some());
    assert!(rotate(8).await);
    let used = NOW + Duration::from_secs(1);
    store.touch_session(session.id, used, used).await.unwrap();
    assert!(rotate(9).await);
    // A transaction that cannot begin leaves the connection as it was, too.
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let rotation = SessionRotation::new(session.id, Generation::new(10), NOW);
    let locked = store.rotate_session(&rotation).await;
    assert!(
        matches!(locked, Err(StoreError::Unavailable(_))),
        "{locked:?}"
    );
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    let ending = Ending::new(RevocationReason::Logout, NOW, NOW);
    let ended = store.revoke_session(session.id, &ending, &event()).await;
    assert_eq!(ended.unwrap(), Some(alice.user.id));

    let noted: Vec<(String, i64)> = sqlx::query_as("SELECT what, setting FROM noted")
        .fetch_all(&mut other)
        .await
        .unwrap();
    let noted: Vec<_> = noted
        .iter()
        .map(|(what, setting)| (what.as_str(), *setting))
        .collect();
    let [begun, moved, recorded] = [
        "INSERT auth_sessions",
        "UPDATE auth_sessions",
        "INSERT auth_events",
    ];
    let expected = [
        (begun, 2),
        (recorded, 2),
        (moved, 1),
        (moved, 1),
        (moved, 2),
        (recorded, 2),
        (moved, 1),
        // A use that is noted is a statement without a transaction around it.
        (moved, 2),
        (moved, 1),
        (moved, 2),
        (recorded, 2),
    ];
    assert_eq!(noted, expected);
}

#[tokio::test]
async fn fault_d11_a_foreign_key_of_the_host_that_forbids_a_deletion_says_so() {
    let (folder, store) = migrated().await;
    let alice = alice();
    store.create_user(&alice, None, &event()).await.unwrap();
    let mut host = connect(folder.path()).await;
    for statement in [
        "CREATE TABLE notes (author BLOB NOT NULL REFERENCES auth_users (id))",
        "INSERT INTO notes (author) SELECT id FROM auth_users",
    ] {
        sqlx::query(statement).execute(&mut host).await.unwrap();
    }
    let ending = Ending::new(RevocationReason::Administrative, NOW, NOW);
    let deleted = store.delete_user(alice.user.id, &ending, &event()).await;
    assert!(
        matches!(deleted, Err(StoreError::UserInUse(_))),
        "{deleted:?}"
    );
    let kept = store.find_user(alice.user.id).await.unwrap().unwrap();
    assert!(kept.is_active, "nothing was changed");
}

#[tokio::test]
async fn fault_d11_whether_there_is_a_superuser_is_known() {
    let (_folder, store) = migrated().await;
    store.create_user(&alice(), None, &event()).await.unwrap();
    assert!(!store.has_superuser().await.unwrap());
    let email = "op@example.org".parse().unwrap();
    let mut op = User::new(UserId::generate(), "op".parse().unwrap(), email, NOW);
    op.is_superuser = true;
    let op = NewUser::new(op, PasswordHash::from_stored("hash"));
    store.create_user(&op, None, &event()).await.unwrap();
    assert!(store.has_superuser().await.unwrap());
}

#[tokio::test]
async fn fault_c3_what_was_signed_up_for_before_the_upgrade_is_completed_after_it() {
    let (folder, store) = migrated().await;
    let mut connection = connect(folder.path()).await;
    for sql in [
        "DROP TABLE auth_enrollments",
        include_str!("../../../migrations/sqlite/0014_enrollments.sql"),
    ] {
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
    for (id, email, name) in [
        (upgrade::SIGN_UP, "alice@example.org", Some("Alice")),
        (upgrade::INVITATION, "bob@example.org", None),
    ] {
        sqlx::query(
            "INSERT INTO auth_enrollments
                 (email_key, id, email, username, username_canonical, password_hash,
                  begun_at, expires_at)
             VALUES (?1, ?2, ?1, ?3, lower(?3), ?4, ?5, ?6)",
        )
        .bind(email)
        .bind(id)
        .bind(name)
        .bind(name.map(|_| upgrade::HASH))
        .bind(upgrade::NOW.unix_micros())
        .bind((upgrade::NOW + Duration::from_secs(60)).unix_micros())
        .execute(&mut connection)
        .await
        .unwrap();
    }
    let sql = include_str!("../../../migrations/sqlite/0018_sign_ups.sql");
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    upgrade::pending_enrollments_go_on(&store).await;
}
