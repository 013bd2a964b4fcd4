//! The PostgreSQL store.

mod accounts;
mod act;
mod connection;
mod email_changes;
mod enrollments;
mod error;
mod events;
mod housekeeping;
mod lease;
mod lookup;
mod migrate;
mod notification;
mod outbox;
mod revocations;
mod rows;
mod sessions;
mod throttle;
mod users;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use self::act::{ACT_TIMEOUT, Replay};
use self::connection::{Guarding, Health};
use self::lease::Leases;
use self::sessions::{Revocations, SessionReads};
use self::users::UserReads;
use crate::store::{Store, StoreError};

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
    health: Arc<Health>,
    leases: Leases,
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
    /// [`StoreError::Failed`] if the URL cannot be read.
    ///
    /// # Panics
    ///
    /// If called outside of a Tokio runtime.
    pub fn connect(url: &str) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(error::store_error)?;
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT);
        Ok(Self::connect_with(options, pool))
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
        connection::warn_of_weak_tls(&options);
        let health = Arc::new(Health::default());
        let pool = connection::watch(pool, Arc::clone(&health)).connect_lazy_with(options);
        Self::over(pool, Guarding::Session, health)
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
        connection::watch(pool, Arc::default())
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
            health,
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
        self.read((), |connection, ()| {
            Box::pin(async {
                let read = sqlx::query("SELECT 1").execute(connection).await;
                read.map(drop)
            })
        })
        .await
    }
}
