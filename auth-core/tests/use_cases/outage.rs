//! Nodes that lose PostgreSQL, and what they may say of revocations meanwhile.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth_core::revocation::{Revocation, RevocationFollower, StalePolicy};
use auth_core::store::{
    PostgresStore, RevocationDelivery, RevocationFeed, RevocationStore, Store, StoreError,
};
use auth_core::{
    AuthError, AuthService, Clock, Engine, RequestContext, SystemClock, Timestamp, TokenPair,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::sync::Mutex;

use crate::revocation::{follow, until, verdict};
use crate::support;
use crate::world::World;

/// Whoever listens or polls.
const FEEDS: &str = "(query LIKE 'LISTEN%' OR query LIKE '%auth_revocations%' \
                      OR query = 'SELECT clock_timestamp()' OR query = 'COMMIT')";

/// A node with connections of its own, in the time of the machine.
fn node(url: &str, when_stale: StalePolicy) -> World {
    let store: Arc<dyn Store> = Arc::new(PostgresStore::connect(url).unwrap());
    World::with(store, |builder| {
        builder
            .with_clock(Arc::new(SystemClock))
            .with_stale_policy(when_stale)
    })
}

/// A store that is not followed again while the door is locked.
#[derive(Debug)]
struct Door {
    store: Arc<dyn Store>,
    lock: Arc<Mutex<()>>,
}

#[async_trait]
impl RevocationStore for Door {
    async fn follow_revocations(&self) -> Result<Box<dyn RevocationFeed>, StoreError> {
        drop(self.lock.lock().await);
        self.store.follow_revocations().await
    }

    async fn remove_revocations(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.store.remove_revocations(before, limit).await
    }
}

/// The server of a database, from outside of it.
struct Operator {
    pool: PgPool,
    database: String,
}

impl Operator {
    async fn of(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        let database = options.get_database().unwrap().to_owned();
        let pool = PgPoolOptions::new().connect_with(options.database("postgres"));
        Self {
            pool: pool.await.unwrap(),
            database,
        }
    }

    async fn execute(&self, statement: String) {
        let statement = sqlx::query(AssertSqlSafe(statement));
        statement.execute(&self.pool).await.unwrap();
    }

    /// Cuts connections, and returns when they are gone.
    async fn terminate(&self, which: &str) {
        self.execute(format!(
            "SELECT pg_terminate_backend(pid, 5000)
             FROM pg_stat_activity
             WHERE datname = '{}' AND pid <> pg_backend_pid() AND {which}",
            self.database
        ))
        .await;
    }

    async fn allow_connections(&self, allowed: bool) {
        let database = &self.database;
        self.execute(format!(
            "ALTER DATABASE {database} WITH ALLOW_CONNECTIONS {allowed}"
        ))
        .await;
    }
}

async fn log_out(engine: &Engine, tokens: &TokenPair) {
    let refresh_token = tokens.refresh_token.expose();
    loop {
        let context = RequestContext::default();
        match engine.log_out(refresh_token, &context).await {
            Ok(()) => return,
            Err(AuthError::Storage(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Fails if the node says that it knows everything up to now and accepts the token all the same.
fn watch(node: &Engine, tokens: TokenPair) -> tokio::task::JoinHandle<()> {
    let ended_at = SystemClock.now();
    let node = node.clone();
    tokio::spawn(async move {
        let access_token = tokens.access_token.expose();
        until(|| {
            let confirmed_at = node.revocations().confirmed_at();
            let is_complete = confirmed_at.is_some_and(|at| at > ended_at);
            let verdict = verdict(&node, access_token);
            assert!(
                !is_complete || verdict == "token_revoked",
                "{verdict} although the node is up to date"
            );
            is_complete
        })
        .await;
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_7_a_node_that_is_up_to_date_refuses_what_was_revoked_whatever_breaks() {
    let (_, database) = support::postgres().await;
    let url = database.url();
    let operator = Operator::of(url).await;
    let [here, there] = [(), ()].map(|()| node(url, StalePolicy::Accept));
    let lock = Arc::new(Mutex::new(()));
    let door = Door {
        store: Arc::clone(&there.store),
        lock: Arc::clone(&lock),
    };
    let set = there.engine.revocations();
    let follower = RevocationFollower::new(Arc::new(door), set.clone(), Arc::new(SystemClock));
    tokio::spawn(follower.run(std::future::pending()));
    here.register_verified("alice").await;
    let mut logins = Vec::new();
    for _ in 0..32 {
        logins.push(here.log_in("alice").await.unwrap());
    }
    let mut watches = Vec::new();
    let mut locked = None;
    for (index, tokens) in logins.into_iter().enumerate() {
        match index {
            4 => operator.terminate(FEEDS).await,
            // What is revoked while nobody listens is read afterwards.
            8 => {
                until(|| set.is_healthy()).await;
                locked = Some(lock.lock().await);
                operator.terminate(FEEDS).await;
                until(|| set.confirmed_at().is_none()).await;
            }
            16 => drop(locked.take()),
            20 => operator.terminate("TRUE").await,
            24 => {
                operator.allow_connections(false).await;
                operator.terminate("TRUE").await;
                until(|| set.confirmed_at().is_none()).await;
                operator.allow_connections(true).await;
            }
            _ => {}
        }
        log_out(&here.engine, &tokens).await;
        watches.push(watch(&there.engine, tokens));
    }
    for watch in watches {
        watch.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_7_a_stale_node_refuses_every_token_where_it_was_told_to() {
    let (_, database) = support::postgres().await;
    let operator = Operator::of(database.url()).await;
    let [careful, lenient] =
        [StalePolicy::Refuse, StalePolicy::Accept].map(|policy| node(database.url(), policy));
    lenient.register_verified("alice").await;
    let tokens = lenient.log_in("alice").await.unwrap();
    let access_token = tokens.access_token.expose();
    assert_eq!(
        verdict(&careful.engine, access_token),
        "storage_unavailable"
    );
    for node in [&careful, &lenient] {
        follow(&node.engine);
    }
    until(|| verdict(&careful.engine, access_token) == "success").await;

    operator.allow_connections(false).await;
    operator.terminate("TRUE").await;
    until(|| verdict(&careful.engine, access_token) == "storage_unavailable").await;
    assert_eq!(verdict(&lenient.engine, access_token), "success");

    operator.allow_connections(true).await;
    until(|| verdict(&careful.engine, access_token) == "success").await;
}

/// A connection that a feed never gives back would keep a host's pool from closing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_lets_its_pool_close() {
    for delivery in [RevocationDelivery::Notify, RevocationDelivery::Poll] {
        let (_, database) = support::postgres().await;
        let store = PostgresStore::connect(database.url()).unwrap();
        let store = store.with_revocation_delivery(delivery);
        let mut feed = store.follow_revocations().await.unwrap();
        assert!(feed.next().await.unwrap().is_complete);
        let pool = store.pool().clone();
        let closing = tokio::spawn(async move { pool.close().await });
        let closed = async {
            while feed.next().await.is_ok() {}
            drop(feed);
            closing.await.unwrap();
        };
        let closed = tokio::time::timeout(Duration::from_secs(30), closed).await;
        closed.unwrap();
    }
}

/// The next complete news of a feed.
async fn told(feed: &mut dyn RevocationFeed) -> Vec<Revocation> {
    loop {
        let news = feed.next().await.unwrap();
        if news.is_complete {
            return news.revocations;
        }
    }
}

#[tokio::test]
async fn s7_7_a_poll_finds_what_was_recorded_long_before_it_was_committed() {
    let (_, database) = support::postgres().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    let mut feed = store.follow_revocations().await.unwrap();
    // As in a transaction that waits for its standby: nobody is notified of it by this statement.
    let mut transaction = store.pool().begin().await.unwrap();
    sqlx::query(
        "INSERT INTO auth_revocations (kind, subject, recorded_at, expires_at)
         VALUES ('session', gen_random_uuid(), clock_timestamp() - interval '50 seconds',
                 clock_timestamp() + interval '1 hour')",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();
    for _ in 0..2 {
        assert_eq!(told(feed.as_mut()).await, []);
    }
    transaction.commit().await.unwrap();
    assert_eq!(told(feed.as_mut()).await.len(), 1);
}

/// Revocations that had expired while the clock was ahead count again.
#[tokio::test]
async fn fault_b7a_a_feed_tells_all_again_when_the_databases_clock_is_set_back() {
    let (_, database) = support::postgres().await;
    let mut clock = PgConnection::connect(database.url()).await.unwrap();
    // The function in `public` is found before the built-in one.
    let shadow = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database());
    END $$";
    sqlx::raw_sql(shadow).execute(&mut clock).await.unwrap();
    let mut set_ahead = async |hours: u32| {
        let function = format!(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql
             AS $$ SELECT pg_catalog.clock_timestamp() + interval '{hours} hours' $$"
        );
        let function = sqlx::raw_sql(AssertSqlSafe(function));
        function.execute(&mut clock).await.unwrap();
    };
    set_ahead(0).await;
    let store = PostgresStore::connect(database.url()).unwrap();
    sqlx::query(
        "INSERT INTO auth_revocations (kind, subject, recorded_at, expires_at)
         VALUES ('session', gen_random_uuid(), now() - interval '10 minutes',
                 now() + interval '1 hour')",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let mut feed = store.follow_revocations().await.unwrap();
    assert_eq!(told(feed.as_mut()).await.len(), 1);
    set_ahead(2).await;
    assert_eq!(told(feed.as_mut()).await, []);
    set_ahead(0).await;
    assert_eq!(told(feed.as_mut()).await, [], "this one learns of it");
    assert_eq!(told(feed.as_mut()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_7_nodes_that_do_not_notify_or_listen_learn_of_it_all_the_same() {
    let deliveries = [RevocationDelivery::Notify, RevocationDelivery::Poll];
    for from in deliveries {
        let (_, database) = support::postgres().await;
        let node = |delivery| {
            let store = PostgresStore::connect(database.url()).unwrap();
            World::new(Arc::new(store.with_revocation_delivery(delivery)))
        };
        let here = node(from);
        let others = deliveries.map(node);
        for other in &others {
            follow(&other.engine);
        }
        here.register_verified("alice").await;
        let tokens = here.log_in("alice").await.unwrap();
        log_out(&here.engine, &tokens).await;
        for other in &others {
            until(|| verdict(&other.engine, tokens.access_token.expose()) == "token_revoked").await;
        }
    }
}
