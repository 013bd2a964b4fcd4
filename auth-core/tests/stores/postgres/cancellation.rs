//! Futures that are dropped, ours and the application's: what a connection of its own sees then.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use auth_core::RevocationReason;
use auth_core::store::{Ending, NewSession, NewUser, PostgresStore, SessionStore};
use auth_core::testing::postgres::TemporaryDatabase;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection};

use super::{NOW, create_alice, event};

/// Drops the act when it has waited `waits` times and would wait once more; returns whether it
/// came to its end before.
async fn cut_off_after(waits: usize, act: impl Future) -> bool {
    let mut act = pin!(act);
    let mut waited = 0;
    poll_fn(|context| match act.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if waited == waits => Poll::Ready(false),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    })
    .await
}

/// A connection that no store knows of.
async fn observer(database: &TemporaryDatabase) -> PgConnection {
    let options: PgConnectOptions = database.url().parse().unwrap();
    options.connect().await.unwrap()
}

async fn until_nothing_is_idle_in_transaction(observer: &mut PgConnection) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*)
             FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND state LIKE 'idle in transaction%'",
        )
        .fetch_one(&mut *observer)
        .await
        .unwrap();
        if open == 0 {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{open} transactions are open"
        );
        tokio::task::yield_now().await;
    }
}

/// Logs out through the store; what is acknowledged must be seen by others.
async fn acknowledged_is_seen(store: &PostgresStore, alice: &NewUser, observer: &mut PgConnection) {
    let session = NewSession::new(alice.user.id, NOW, NOW + Duration::from_secs(60));
    let begun = store
        .create_session(&session, &alice.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some());
    let ending = Ending::new(RevocationReason::Logout, NOW, NOW + Duration::from_secs(60));
    let ended = store.revoke_session(session.id, &ending, &event()).await;
    assert_eq!(ended.unwrap(), Some(alice.user.id));
    let seen: Option<bool> =
        sqlx::query_scalar("SELECT revoked_at IS NOT NULL FROM auth_sessions WHERE id = $1")
            .bind(session.id.as_uuid())
            .fetch_optional(observer)
            .await
            .unwrap();
    assert_eq!(seen, Some(true), "an acknowledged logout is lost");
}

#[tokio::test]
async fn s19_1_a_login_that_is_cut_off_loses_nothing_that_others_do() {
    let database = TemporaryDatabase::create().await;
    let pool = PgPoolOptions::new().max_connections(2);
    let store = PostgresStore::connect_with(database.url().parse().unwrap(), pool);
    store.migrate().await.unwrap();
    let alice = create_alice(&store).await;
    let mut observer = observer(&database).await;
    for waits in 0.. {
        let session = NewSession::new(alice.user.id, NOW, NOW + Duration::from_secs(60));
        let event = event();
        let login = store.create_session(&session, &alice.password_hash, &event);
        let ended = cut_off_after(waits, login).await;
        acknowledged_is_seen(&store, &alice, &mut observer).await;
        until_nothing_is_idle_in_transaction(&mut observer).await;
        if ended {
            break;
        }
    }
}

/// The application's own `begin`, which the driver does not clean up after.
async fn s19_1_the_applications_cut_off_transactions(
    database: &TemporaryDatabase,
    pool: PgPoolOptions,
) {
    let pool = pool.connect_lazy(database.url()).unwrap();
    let store = PostgresStore::from_pool(pool.clone());
    store.migrate().await.unwrap();
    let alice = create_alice(&store).await;
    let mut observer = observer(database).await;
    for waits in 0.. {
        let ended = cut_off_after(waits, pool.begin()).await;
        acknowledged_is_seen(&store, &alice, &mut observer).await;
        if ended {
            break;
        }
    }
}

#[tokio::test]
async fn s19_1_a_recommended_pool_survives_the_applications_cut_off_transactions() {
    let database = TemporaryDatabase::create().await;
    let pool = PostgresStore::recommended(PgPoolOptions::new().max_connections(1));
    s19_1_the_applications_cut_off_transactions(&database, pool).await;
    let mut observer = observer(&database).await;
    until_nothing_is_idle_in_transaction(&mut observer).await;
}

#[tokio::test]
async fn s19_1_the_store_survives_the_applications_cut_off_transactions_on_any_pool() {
    let database = TemporaryDatabase::create().await;
    let pool = PgPoolOptions::new().max_connections(1);
    s19_1_the_applications_cut_off_transactions(&database, pool).await;
}

/// What a session lacks is set in each transaction.
#[tokio::test]
async fn s19_1_on_any_pool_a_commit_waits_for_the_disk_and_a_transaction_ends() {
    let database = TemporaryDatabase::create().await;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| {
            Box::pin(async move {
                let set = sqlx::raw_sql("SET synchronous_commit = off").execute(connection);
                set.await.map(drop)
            })
        });
    let store = PostgresStore::from_pool(pool.connect_lazy(database.url()).unwrap());
    store.migrate().await.unwrap();
    let alice = create_alice(&store).await;
    // Notes the settings of each transaction that ends a session or begins one.
    sqlx::raw_sql(
        "CREATE TABLE noted (setting text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO noted VALUES (concat_ws(' ', current_setting('synchronous_commit'),
                 current_setting('statement_timeout'),
                 current_setting('idle_in_transaction_session_timeout')));
             RETURN NEW;
         END $$;
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON auth_sessions
             FOR EACH ROW EXECUTE FUNCTION note()",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let mut observer = observer(&database).await;
    acknowledged_is_seen(&store, &alice, &mut observer).await;
    let noted: Vec<String> = sqlx::query_scalar("SELECT setting FROM noted")
        .fetch_all(&mut observer)
        .await
        .unwrap();
    assert_eq!(noted, ["on 9s 15s", "on 9s 15s"]);
}
