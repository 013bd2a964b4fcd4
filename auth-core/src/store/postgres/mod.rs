//! The PostgreSQL store.

mod accounts;
mod act;
mod connection;
mod diagnosis;
mod email_changes;
mod enrollments;
mod error;
mod events;
mod housekeeping;
mod lease;
mod lookup;
mod migrate;
mod notification;
mod operator;
mod outbox;
mod revocations;
mod rows;
mod sessions;
mod skeletons;
mod throttle;
mod url;
mod users;

#[cfg(feature = "fuzzing")]
pub(crate) use self::notification::again as notification_again;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Error, PgConnection, PgPool};
use uuid::Uuid;

use self::act::{ACT_TIMEOUT, Replay};
use self::connection::{Guarding, Health};
use self::diagnosis::{Diagnosis, Renewal};
use self::lease::Leases;
use self::sessions::{Revocations, SessionReads};
use self::users::UserReads;
use crate::store::batch::{Batches, Limits};
use crate::store::{ClockReading, Store, StoreError};

/// How long a request waits for a connection before it is told that the database is not available.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// More connections than this make a node's requests wait in PostgreSQL instead of in the pool.
const MAX_CONNECTIONS: u32 = 16;

/// How often a statement is tried that keeps meeting the transactions of others.
const MAX_ATTEMPTS: u32 = 6;

/// A [`Store`] in PostgreSQL, or in an engine that speaks its language.
///
/// Cheap to clone; the clones share one pool. The database may be down when the store is made and
/// may restart under it: meanwhile calls fail with [`StoreError::Unavailable`], afterwards they
/// work again.
///
/// ```no_run
/// # async fn example() -> Result<(), auth_core::store::StoreError> {
/// use auth_core::store::PostgresStore;
///
/// let store = PostgresStore::connect("postgres://app@db.example/app?sslmode=verify-full")?;
/// store.migrate().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    guarding: Guarding,
    health: Arc<Health>,
    leases: Leases,
    diagnosis: Arc<Diagnosis>,
    renewal: Renewal,
    /// Names this store among those that share the database.
    node: Uuid,
    checks: Arc<Checks>,
    session_reads: Arc<SessionReads>,
    user_reads: Arc<UserReads>,
    revocations: Arc<Revocations>,
    delivery: RevocationDelivery,
}

/// How other nodes learn at once of what is revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevocationDelivery {
    /// By `NOTIFY` with the revocation, within milliseconds.
    #[default]
    Notify,
    /// By reading the table every second, for engines and poolers that have no `LISTEN`.
    Poll,
}

impl PostgresStore {
    /// Prepares a pool of up to 16 connections that waits at most 3 seconds for one; nothing
    /// connects before the first call.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if the URL cannot be read, or asks for something that is not supported.
    ///
    /// # Panics
    ///
    /// If called outside of a Tokio runtime.
    pub fn connect(url: &str) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT);
        Ok(Self::connect_with(Self::connect_options(url)?, pool))
    }

    /// Reads a database URL as [`connect`](Self::connect) does, for
    /// [`connect_with`](Self::connect_with).
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if it cannot be read, names several hosts, or has a parameter that the
    /// driver would pass over. The error holds nothing of the URL but the parameter's name.
    pub fn connect_options(url: &str) -> Result<PgConnectOptions, StoreError> {
        url::options(url).map_err(|error| StoreError::Failed(error.into()))
    }

    /// Prepares a pool with the limits and timeouts of `pool`; nothing connects before the first
    /// call.
    ///
    /// The pool is [`recommended`](Self::recommended). One connection more follows the revocations,
    /// once [`follow_revocations`](crate::store::RevocationStore::follow_revocations) is called.
    ///
    /// # Panics
    ///
    /// If called outside of a Tokio runtime.
    #[must_use]
    pub fn connect_with(options: PgConnectOptions, pool: PgPoolOptions) -> Self {
        Self::own(options, pool, Guarding::Session)
    }

    /// As [`connect_with`](Self::connect_with), through a pooler that gives each transaction another
    /// connection to the database, such as PgBouncer with `pool_mode = transaction`.
    ///
    /// Each act is then a transaction, which costs two round trips more, and prepares its statements
    /// anew; revocations are [polled](RevocationDelivery::Poll). A pooler that keeps prepared
    /// statements itself (PgBouncer from 1.21 on with `max_prepared_statements`) needs none of this
    /// but the polling. Migrate past the pooler: the lock of a migration belongs to a session.
    ///
    /// # Panics
    ///
    /// If called outside of a Tokio runtime.
    #[must_use]
    pub fn through_pooler(options: PgConnectOptions, pool: PgPoolOptions) -> Self {
        let store = Self::own(options.statement_cache_capacity(0), pool, Guarding::Pooler);
        store.with_revocation_delivery(RevocationDelivery::Poll)
    }

    fn own(options: PgConnectOptions, pool: PgPoolOptions, guarding: Guarding) -> Self {
        connection::warn_of_weak_tls(&options);
        let health = Arc::new(Health::default());
        // A parameter that poolers refuse, for a kind of number that we have none of.
        let options = options.extra_float_digits(None);
        let pool =
            connection::watch(pool, guarding, Arc::clone(&health)).connect_lazy_with(options);
        Self::over(pool, guarding, health)
    }

    /// Sets what a pool needs so that nothing acknowledged is lost: for the pool of an application
    /// that is then shared with the store by [`from_pool`](Self::from_pool).
    ///
    /// It sets `test_before_acquire`, `before_acquire`, `after_connect` and `after_release`:
    ///
    /// - each session has `synchronous_commit` on, and unless the role or the database has other
    ///   limits, a `statement_timeout` of 9 seconds and an `idle_in_transaction_session_timeout` of
    ///   15 seconds; a statement of the application that takes longer raises the limit for itself
    ///   by `SET LOCAL statement_timeout`;
    /// - a connection that may be broken is asked whether it lives, and given up after a second;
    /// - a connection to a standby, or one that may only read, is not used;
    /// - a connection that comes back inside a transaction is closed. With sqlx 0.9 that happens
    ///   when a future of `begin` is dropped, as by a client that hangs up
    ///   ([launchbadge/sqlx#4385](https://github.com/launchbadge/sqlx/issues/4385)), and what runs
    ///   on the connection afterwards is acknowledged and lost.
    ///
    /// ```no_run
    /// # async fn example(options: sqlx::postgres::PgConnectOptions) {
    /// use auth_core::store::PostgresStore;
    /// use sqlx::postgres::PgPoolOptions;
    ///
    /// let pool = PostgresStore::recommended(PgPoolOptions::new().max_connections(20))
    ///     .connect_lazy_with(options);
    /// let store = PostgresStore::from_pool(pool.clone());
    /// # }
    /// ```
    #[must_use]
    pub fn recommended(pool: PgPoolOptions) -> PgPoolOptions {
        connection::watch(pool, Guarding::Session, Arc::default())
    }

    /// Shares a pool of the host application, best one that is [`recommended`](Self::recommended).
    ///
    /// With any other pool the store asks each connection for its condition before it uses it, and
    /// sets what its session lacks in each transaction by `SET LOCAL`, which costs round trips. It
    /// cannot see to the application's own statements.
    ///
    /// The store keeps connections from one statement to the next, for a tenth of a second at most
    /// while the pool has no other: a statement of the host application may wait that long. One
    /// connection of the store's own, beside the pool, follows the revocations.
    #[must_use]
    pub fn from_pool(pool: PgPool) -> Self {
        Self::over(pool, Guarding::Transaction, Arc::default())
    }

    fn over(pool: PgPool, guarding: Guarding, health: Arc<Health>) -> Self {
        Self {
            leases: Leases::of(&pool, guarding, &health),
            session_reads: sessions::reads(&pool),
            user_reads: users::reads(&pool),
            pool,
            guarding,
            health,
            diagnosis: Arc::default(),
            renewal: Renewal::default(),
            node: Uuid::now_v7(),
            checks: checks(),
            revocations: sessions::revocations(),
            delivery: RevocationDelivery::default(),
        }
    }

    /// How other nodes learn of what is revoked (default: [`RevocationDelivery::Notify`]); the same
    /// for every node.
    #[must_use]
    pub const fn with_revocation_delivery(mut self, delivery: RevocationDelivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Asks for the way to connect again when the database refuses the password, which may have been
    /// replaced: `renew` says how to connect from then on, or `None` if that has not changed.
    ///
    /// It is asked on the way of a call, and may read a file.
    #[must_use]
    pub fn with_renewed_options(
        mut self,
        renew: impl Fn() -> Option<PgConnectOptions> + Send + Sync + 'static,
    ) -> Self {
        self.renewal = Renewal(Some(Arc::new(renew)));
        self
    }

    /// The pool, for the host application's own statements, which come to their turn within a
    /// tenth of a second while the store's statements use all of it.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn check(&self) -> Result<(), StoreError> {
        self.checks.call(self, ()).await
    }

    async fn read_clock(&self) -> Result<Option<ClockReading>, StoreError> {
        let reading = self.read((), |connection, ()| {
            Box::pin(revocations::clock(connection))
        });
        reading.await.map(Some)
    }

    fn is_alive(&self) -> bool {
        // A host's pool is the host's to judge.
        self.guarding == Guarding::Transaction || !self.leases.are_lost()
    }
}

/// Checks, of which one serves those that come at the same time: anybody may ask for them.
type Checks = Batches<PostgresStore, (), ()>;

fn checks() -> Arc<Checks> {
    let limits = Limits {
        statements: 1,
        calls: 1_000,
        statement: ACT_TIMEOUT,
        queue: ACQUIRE_TIMEOUT,
    };
    Arc::new(Batches::new(limits, |store: &PostgresStore, calls| {
        Box::pin(async move {
            let beat = store.write(Replay::Safe, store.node, |connection, node| {
                Box::pin(beat(connection, *node))
            });
            beat.await?;
            Ok(calls)
        })
    }))
}

/// Writes that the node lives: a database that takes no writes, or cannot commit them, is found out.
async fn beat(connection: &mut PgConnection, node: Uuid) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO auth_leases (name, held_until)
         VALUES ('node ' || $1::text, clock_timestamp())
         ON CONFLICT (name) DO UPDATE
         SET held_until = excluded.held_until",
    )
    .bind(node)
    .execute(connection)
    .await
    .map(drop)
}
