//! What is PostgreSQL's own: its schema, its locks, and its connections.
#![expect(clippy::unwrap_used, reason = "what a test prepares must succeed")]
#![cfg(all(feature = "testing", feature = "postgres", unix))]

mod cancellation;
mod connections;
mod flushes;

use std::time::Duration;

use auth_core::audit::{Actor, AuditAct, AuditEvent};
use auth_core::mail::MailKind;
use auth_core::store::{
    AccountStore, Ending, MailState, NewMail, NewSession, NewUser, OutboxStore, PostgresStore,
    SessionRotation, SessionStore, Store, StoreError, UserStore,
};
use auth_core::testing::postgres::TemporaryDatabase;
use auth_core::{
    EmailAddress, Generation, PasswordHash, RequestContext, RevocationReason, SessionId, Timestamp,
    User, UserId,
};

use crate::upgrade;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

fn event() -> AuditEvent {
    let context = RequestContext::default();
    AuditEvent::new(NOW, AuditAct::LoggedIn, Actor::System, &context)
}

async fn migrated() -> (TemporaryDatabase, PostgresStore) {
    let database = TemporaryDatabase::create().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    store.migrate().await.unwrap();
    (database, store)
}

async fn create_alice(store: &PostgresStore) -> NewUser {
    let email = "alice@example.org".parse().unwrap();
    let user = User::new(UserId::generate(), "alice".parse().unwrap(), email, NOW);
    let user = NewUser::new(user, PasswordHash::from_stored("hash"));
    store.create_user(&user, None, &event()).await.unwrap();
    user
}

async fn begin_session(store: &PostgresStore, user: &NewUser) -> NewSession {
    let session = NewSession::new(user.user.id, NOW, NOW + Duration::from_secs(60));
    let begun = store
        .create_session(&session, &user.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some());
    session
}

#[tokio::test]
async fn several_nodes_may_migrate_at_the_same_time() {
    let database = TemporaryDatabase::create().await;
    let nodes: Vec<_> = (0..4)
        .map(|_| {
            let store = PostgresStore::connect(database.url()).unwrap();
            tokio::spawn(async move { store.migrate().await })
        })
        .collect();
    for node in nodes {
        node.await.unwrap().unwrap();
    }
    let store = PostgresStore::connect(database.url()).unwrap();
    assert!(store.pending_migrations().await.unwrap().is_empty());
    store.migrate().await.unwrap();
}

#[tokio::test]
async fn an_unmigrated_database_is_recognised() {
    let database = TemporaryDatabase::create().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    let check = store.check().await;
    assert!(matches!(check, Err(StoreError::Failed(_))), "{check:?}");
    let pending = store.pending_migrations().await.unwrap();
    assert_eq!(pending.first().map(String::as_str), Some("0001_users"));
    let find = store.find_user(UserId::generate()).await;
    assert!(matches!(find, Err(StoreError::Failed(_))), "{find:?}");
}

#[tokio::test]
async fn a_failed_migration_leaves_no_lock_behind() {
    let (database, store) = migrated().await;
    sqlx::query("UPDATE auth_migrations SET checksum = '\\x00' WHERE version = 2")
        .execute(store.pool())
        .await
        .unwrap();
    let another_node = PostgresStore::connect(database.url()).unwrap();
    for node in [store, another_node] {
        let changed = node.migrate().await;
        assert!(matches!(changed, Err(StoreError::Failed(_))), "{changed:?}");
    }
}

#[tokio::test]
async fn all_tables_carry_the_prefix() {
    let (_database, store) = migrated().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    assert!(tables.contains(&"auth_users".to_owned()), "{tables:?}");
    assert!(
        tables.iter().all(|name| name.starts_with("auth_")),
        "{tables:?}"
    );
}

#[tokio::test]
async fn s9_3_a_deactivated_user_can_use_no_session() {
    let (_database, store) = migrated().await;
    let alice = create_alice(&store).await;
    let session = begin_session(&store, &alice).await;
    sqlx::query("UPDATE auth_users SET is_active = FALSE")
        .execute(store.pool())
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
async fn s9_3_a_login_waits_for_a_deactivation_that_is_about_to_commit() {
    let (_database, store) = migrated().await;
    let alice = create_alice(&store).await;
    let mut deactivation = store.pool().begin().await.unwrap();
    sqlx::query("UPDATE auth_users SET is_active = FALSE")
        .execute(&mut *deactivation)
        .await
        .unwrap();
    let login = tokio::spawn({
        let store = store.clone();
        let session = NewSession::new(alice.user.id, NOW, NOW + Duration::from_secs(60));
        async move {
            store
                .create_session(&session, &alice.password_hash, &event())
                .await
        }
    });
    let mut blocked = false;
    while !blocked {
        assert!(!login.is_finished(), "the login did not wait");
        blocked = is_a_statement_blocked(&store).await;
    }
    deactivation.commit().await.unwrap();
    assert!(login.await.unwrap().unwrap().is_none());
}

async fn is_a_statement_blocked(store: &PostgresStore) -> bool {
    sqlx::query_scalar(
        "SELECT EXISTS (
             SELECT FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'
         )",
    )
    .fetch_one(store.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn rotations_and_revocations_leave_the_indexes_alone() {
    let (_database, store) = migrated().await;
    let indexed: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT attname::text
         FROM pg_index
         JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
         WHERE indrelid = 'auth_sessions'::regclass
         ORDER BY 1",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    // Neither changes the expiry.
    assert_eq!(indexed, ["expires_at", "id", "user_id"]);
}

#[tokio::test]
async fn a_damaged_row_is_a_failure_and_no_panic() {
    let (_database, store) = migrated().await;
    sqlx::query(
        "INSERT INTO auth_outbox (id, kind, address, address_key, due)
         VALUES (gen_random_uuid(), 'carrier_pigeon', 'a@b.c', 'a@b.c', now() - interval '99 years')",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let claimed = store.claim_mail(NOW, Duration::from_secs(60)).await;
    assert!(matches!(claimed, Err(StoreError::Failed(_))), "{claimed:?}");
    let again = store.claim_mail(NOW, Duration::from_secs(60)).await;
    assert!(matches!(again, Ok(None)), "{again:?}");
}

#[tokio::test]
async fn of_logouts_that_come_at_once_each_gets_its_own_answer() {
    let (_database, store) = migrated().await;
    let alice = create_alice(&store).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(begin_session(&store, &alice).await.id);
    }
    let ending = Ending::new(RevocationReason::Logout, NOW, NOW);
    // Each session twice, and one that there is not.
    let nobody = SessionId::generate();
    let ids = sessions.iter().chain([&nobody]).chain(&sessions);
    let logouts = ids.map(|id| {
        let store = &store;
        async move {
            let owner = store.revoke_session(*id, &ending, &event()).await.unwrap();
            (*id, owner)
        }
    });
    let mut ended = Vec::new();
    for (id, owner) in futures_util::future::join_all(logouts).await {
        if let Some(owner) = owner {
            assert_eq!(owner, alice.user.id);
            ended.push(id);
        }
    }
    ended.sort_unstable();
    sessions.sort_unstable();
    assert_eq!(ended, sessions, "each once, and no other");
    let count = async |statement: &'static str| -> i64 {
        let count = sqlx::query_scalar(statement).fetch_one(store.pool());
        count.await.unwrap()
    };
    assert_eq!(count("SELECT COUNT(*) FROM auth_revocations").await, 20);
    // The user's creation, the logins and the logouts.
    assert_eq!(count("SELECT COUNT(*) FROM auth_events").await, 41);
}

/// The table as Django 5.2 makes it.
const DJANGO: &str = "
    CREATE TABLE auth_user (
        id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
        password varchar(128) NOT NULL,
        last_login timestamp with time zone NULL,
        is_superuser boolean NOT NULL,
        username varchar(150) NOT NULL UNIQUE,
        first_name varchar(150) NOT NULL,
        last_name varchar(150) NOT NULL,
        email varchar(254) NOT NULL,
        is_staff boolean NOT NULL,
        is_active boolean NOT NULL,
        date_joined timestamp with time zone NOT NULL
    );
    INSERT INTO auth_user (
        password, last_login, is_superuser, username, first_name, last_name, email, is_staff,
        is_active, date_joined
    ) VALUES
        ('bcrypt$$2b$04$x', NULL, FALSE, 'ALICE', '', '', 'other@example.org', FALSE, TRUE, now()),
        ('pbkdf2_sha256$1$x$y', now(), TRUE, 'Alice', '', '', 'Alice.B+c@Example.org', TRUE, TRUE,
            '2020-02-02 00:00:00+00'),
        ('!x', NULL, FALSE, 'bob', '', '', 'bob@mail-1.example.org', FALSE, FALSE, now()),
        ('$argon2id$x', NULL, FALSE, 'carol', '', '', 'carol@example.org', FALSE, TRUE, now()),
        ('x', NULL, FALSE, 'no-address', '', '', '', FALSE, TRUE, now()),
        ('x', NULL, FALSE, 'bad-address', '', '', 'a..b@example.org', FALSE, TRUE, now()),
        ('x', NULL, FALSE, 'bad-domain', '', '', 'a@-example.org', FALSE, TRUE, now()),
        ('x', NULL, FALSE, 'zoë', '', '', 'zoe@example.org', FALSE, TRUE, now());
";

#[tokio::test]
async fn users_of_django_are_copied() {
    let (_database, store) = migrated().await;
    let run = async |statements: &'static str| {
        let done = sqlx::raw_sql(statements).execute(store.pool()).await;
        done.unwrap();
    };
    run(DJANGO).await;
    // The second time changes nothing.
    for _ in 0..2 {
        run(include_str!(
            "../../../../migrations/import/from_django.sql"
        ))
        .await;
    }
    let names: Vec<String> = sqlx::query_scalar("SELECT username FROM auth_users ORDER BY email")
        .fetch_all(store.pool())
        .await
        .unwrap();
    assert_eq!(names, ["Alice", "bob", "carol"]);

    let found = store.find_credentials(&"alice".parse().unwrap()).await;
    let (alice, hash) = found.unwrap().unwrap();
    let email: EmailAddress = "Alice.B+c@Example.org".parse().unwrap();
    assert_eq!(alice.username, "Alice".parse().unwrap());
    assert_eq!(alice.email, email);
    assert!(alice.is_superuser && alice.is_active && alice.email_verified_at.is_some());
    assert_eq!(
        alice.created_at,
        Timestamp::from_unix_seconds(1_580_601_600)
    );
    assert_eq!(hash.as_stored(), "pbkdf2_sha256$1$x$y");

    // As docs/importing.md has it, for those who never came.
    run("UPDATE auth_users SET password_hash = '!' WHERE password_hash NOT LIKE '$argon2%'").await;
    for (name, expected) in [("alice", "!"), ("bob", "!"), ("carol", "$argon2id$x")] {
        let found = store.find_credentials(&name.parse().unwrap()).await;
        assert_eq!(found.unwrap().unwrap().1.as_stored(), expected);
    }
}

#[tokio::test]
async fn fault_d11_a_foreign_key_of_the_host_that_forbids_a_deletion_says_so() {
    let (_database, store) = migrated().await;
    let alice = create_alice(&store).await;
    assert!(!store.has_superuser().await.unwrap());
    for statement in [
        "CREATE TABLE notes (author UUID NOT NULL REFERENCES auth_users (id))",
        "INSERT INTO notes (author) SELECT id FROM auth_users",
    ] {
        sqlx::query(statement).execute(store.pool()).await.unwrap();
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
async fn fault_d10_a_mail_that_was_given_up_is_owed_again_unless_the_same_is_owed_already() {
    let (_database, store) = migrated().await;
    let owe = async || {
        let mail = NewMail::new(
            MailKind::VerifyEmail,
            "bob@example.org".parse().unwrap(),
            NOW,
        );
        store.enqueue_mail(&mail).await.unwrap();
    };
    let lease = Duration::from_secs(60);
    owe().await;
    let claimed = store.claim_mail(NOW, lease).await.unwrap().unwrap();
    assert!(
        !store.retry_mail(claimed.id, NOW).await.unwrap(),
        "it is owed"
    );
    store
        .abandon_mail(&claimed, NOW, "550 5.1.1 no")
        .await
        .unwrap();
    let [given_up] = &*store.list_owed_mails(10).await.unwrap() else {
        panic!("not one mail")
    };
    assert_eq!(given_up.state, MailState::GivenUp(NOW));
    assert_eq!(given_up.last_error.as_deref(), Some("550 5.1.1 no"));

    owe().await;
    assert!(
        !store.retry_mail(claimed.id, NOW).await.unwrap(),
        "a newer one is owed"
    );
    let newer = store.claim_mail(NOW, lease).await.unwrap().unwrap();
    store.complete_mail(&newer).await.unwrap();
    assert!(store.retry_mail(claimed.id, NOW).await.unwrap());
    let again = store.claim_mail(NOW, lease).await.unwrap().unwrap();
    assert_eq!((again.id, again.attempt), (claimed.id, 1));
}

#[tokio::test]
async fn fault_c3_what_was_signed_up_for_before_the_upgrade_is_completed_after_it() {
    let (_database, store) = migrated().await;
    for sql in [
        "DROP TABLE auth_enrollments",
        include_str!("../../../../migrations/postgres/0014_enrollments.sql"),
    ] {
        sqlx::raw_sql(sql).execute(store.pool()).await.unwrap();
    }
    for (id, email, name) in [
        (upgrade::SIGN_UP, "alice@example.org", Some("Alice")),
        (upgrade::INVITATION, "bob@example.org", None),
    ] {
        sqlx::query(
            "INSERT INTO auth_enrollments
                 (email_key, id, email, username, username_canonical, password_hash,
                  begun_at, expires_at)
             VALUES ($1, $2, $1, $3, lower($3), $4,
                     to_timestamp($5), to_timestamp($5) + interval '1 minute')",
        )
        .bind(email)
        .bind(id)
        .bind(name)
        .bind(name.map(|_| upgrade::HASH))
        .bind(upgrade::NOW.unix_seconds())
        .execute(store.pool())
        .await
        .unwrap();
    }
    let sql = include_str!("../../../../migrations/postgres/0018_sign_ups.sql");
    sqlx::raw_sql(sql).execute(store.pool()).await.unwrap();
    upgrade::pending_enrollments_go_on(&store).await;
}
