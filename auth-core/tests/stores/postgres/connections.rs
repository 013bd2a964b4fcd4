//! Connections: what breaks them, and who gets them.

use std::time::Duration;

use auth_core::store::{
    PostgresStore, SessionRotation, SessionStore, Store, StoreError, UserStore,
};
use auth_core::testing::postgres::TemporaryDatabase;
use auth_core::{Generation, UserId};
use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::{NOW, begin_session, create_alice, migrated};

#[tokio::test]
async fn s12_3_a_database_that_is_down_is_unavailable_within_the_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let options = PgConnectOptions::new().socket(folder.path());
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_millis(50));
    let store = PostgresStore::connect_with(options, pool);
    let down = store.check().await;
    assert!(matches!(down, Err(StoreError::Unavailable(_))), "{down:?}");
}

#[tokio::test]
async fn s12_3_a_pool_that_is_exhausted_is_unavailable() {
    let database = TemporaryDatabase::create().await;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(50));
    let store = PostgresStore::connect_with(database.url().parse().unwrap(), pool);
    // On a busy machine the first connection may take longer than the timeout.
    let taken = loop {
        if let Ok(connection) = store.pool().acquire().await {
            break connection;
        }
    };
    let busy = store.check().await;
    assert!(matches!(busy, Err(StoreError::Unavailable(_))), "{busy:?}");
    drop(taken);
}

/// The pool counts a connection that nobody has any more. Only a restart mends that.
#[tokio::test]
async fn fault_a4_a_node_whose_connections_are_lost_for_a_minute_does_not_live() {
    let (database, _) = migrated().await;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(50));
    let store = PostgresStore::connect_with(database.url().parse().unwrap(), pool);
    let lost = loop {
        if let Ok(connection) = store.pool().acquire().await {
            break connection;
        }
    };
    let pass = async |seconds| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    };
    pass(70).await;
    assert!(store.is_alive(), "nobody has wanted one");
    store.check().await.unwrap_err();
    assert!(store.is_alive(), "this may be a fault that ends");
    pass(30).await;
    store.check().await.unwrap_err();
    assert!(store.is_alive(), "half a minute");
    pass(31).await;
    assert!(!store.is_alive(), "more than a minute since the first");
    drop(lost);
    store.check().await.unwrap();
    assert!(store.is_alive());
}

#[tokio::test]
async fn reads_outlive_a_restart_of_the_database() {
    let (database, store) = migrated().await;
    let alice = create_alice(&store).await;
    fill_pool(&store).await;
    terminate_connections(database.url()).await;
    for _ in 0..20 {
        let found = store.find_user(alice.user.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&alice.user));
    }
}

#[tokio::test]
async fn writes_fail_at_most_once_after_a_restart_of_the_database() {
    let (database, store) = migrated().await;
    let alice = create_alice(&store).await;
    let session = begin_session(&store, &alice).await;
    fill_pool(&store).await;
    terminate_connections(database.url()).await;

    let mut failures = 0;
    let mut generation = Generation::FIRST;
    while generation < Generation::new(20) {
        match store
            .rotate_session(&SessionRotation::new(session.id, generation, NOW))
            .await
        {
            Ok(moved) => generation = moved.unwrap().generation,
            Err(StoreError::Unavailable(_)) => failures += 1,
            Err(error) => panic!("{error:?}"),
        }
        assert!(failures <= 1);
    }
}

/// Opens several connections, all of them just used and idle.
async fn fill_pool(store: &PostgresStore) {
    let mut connections = Vec::new();
    for _ in 0..8 {
        connections.push(store.pool().acquire().await.unwrap());
    }
    for mut connection in connections {
        connection.return_to_pool().await;
    }
}

async fn terminate_connections(url: &str) {
    let pool = PgPoolOptions::new().connect(url).await.unwrap();
    // With a timeout the function returns when the process is gone.
    sqlx::query(
        "SELECT pg_terminate_backend(pid, 5000)
         FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
}

#[tokio::test]
async fn s7_6_commits_are_synchronous_whatever_the_database_says() {
    let (database, store) = migrated().await;
    sqlx::raw_sql(
        "DO $$ BEGIN
             EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
         END $$",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let store = PostgresStore::connect(database.url()).unwrap();
    let setting: String = sqlx::query_scalar("SELECT current_setting('synchronous_commit')")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(setting, "on");
}

/// A store with a pool of so many connections, which waits for one as long as sqlx does.
async fn of_connections(number: u32) -> (TemporaryDatabase, PostgresStore) {
    let database = TemporaryDatabase::create().await;
    let pool = PgPoolOptions::new().max_connections(number);
    let store = PostgresStore::connect_with(database.url().parse().unwrap(), pool);
    store.migrate().await.unwrap();
    (database, store)
}

#[tokio::test]
async fn s12_3_a_busy_store_leaves_its_host_the_connections_too() {
    for number in [1, 2] {
        let (_database, store) = of_connections(number).await;
        let busy: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    loop {
                        store.find_user(UserId::generate()).await.unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..10 {
            sqlx::query("SELECT 1").execute(store.pool()).await.unwrap();
        }
        for one in busy {
            one.abort();
            assert!(one.await.unwrap_err().is_cancelled());
        }
    }
}

#[tokio::test]
async fn a_pool_closes_after_its_last_statement() {
    let (_database, store) = of_connections(4).await;
    for _ in 0..10 {
        store.find_user(UserId::generate()).await.unwrap();
    }
    store.pool().close().await;
    assert_eq!(store.pool().size(), 0);
    let closed = store.find_user(UserId::generate()).await;
    assert!(
        matches!(closed, Err(StoreError::Unavailable(_))),
        "{closed:?}"
    );
}

#[test]
fn a_store_may_end_after_its_runtime() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    for runtime_first in [true, false] {
        let (started, other) = (runtime(), runtime());
        let (database, store) = started.block_on(of_connections(2));
        let found = started.block_on(store.find_user(UserId::generate()));
        assert_eq!(found.unwrap(), None);
        if runtime_first {
            drop(started);
            drop(store);
        } else {
            drop(store);
            drop(started);
        }
        other.block_on(async { drop(database) });
    }
}

#[tokio::test]
async fn s12_3_who_goes_away_leaves_nothing_under_way_to_the_next() {
    let (_database, store) = of_connections(2).await;
    let alice = create_alice(&store).await;
    let session = begin_session(&store, &alice).await;
    let mut lock = store.pool().begin().await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid() FROM auth_sessions FOR UPDATE")
        .fetch_one(&mut *lock)
        .await
        .unwrap();
    let rotation = SessionRotation::new(session.id, Generation::FIRST, NOW);
    tokio::select! {
        done = store.rotate_session(&rotation) => panic!("it did not wait: {done:?}"),
        () = until_somebody_waits_for(&mut lock, pid) => {}
    }
    lock.commit().await.unwrap();
    for _ in 0..10 {
        let found = store.find_user(alice.user.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&alice.user));
    }
}

async fn until_somebody_waits_for(connection: &mut PgConnection, pid: i32) {
    let waits = "SELECT EXISTS (
                     SELECT 1 FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))
                 )";
    while !sqlx::query_scalar::<_, bool>(waits)
        .bind(pid)
        .fetch_one(&mut *connection)
        .await
        .unwrap()
    {
        tokio::task::yield_now().await;
    }
}
