//! The PostgreSQL store.

mod accounts;
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
mod operator;
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

use self::connection::Health;
use self::lease::Leases;
use self::sessions::{Revocations, SessionReads};
use self::users::UserReads;
use crate::store::{Store, StoreError};

/// How long a request waits for a connection before it is told that the database is not available.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a statement may take that many wait for.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Whether a statement may run twice when its connection broke before the answer came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replay {
    /// The second run changes nothing that the first has not.
    Safe,
    /// The second run would answer differently, or do something again.
    Unsafe,
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
    /// The store sets the pool's `test_before_acquire`, `before_acquire` and `after_connect`: it
    /// pings only connections that may be broken, and sees to `synchronous_commit`.
    ///
    /// # Panics
    ///
    /// If called outside of a Tokio runtime.
    #[must_use]
    pub fn connect_with(options: PgConnectOptions, pool: PgPoolOptions) -> Self {
        connection::warn_of_weak_tls(&options);
        let health = Arc::new(Health::default());
        let pool = connection::watch(pool, Arc::clone(&health)).connect_lazy_with(options);
        Self::over(pool, health)
    }

    /// Uses a pool of the host application as it is.
    ///
    /// Its connections must leave `synchronous_commit` on, or an acknowledged logout can be lost
    /// in a crash; and the pool must keep sqlx's `test_before_acquire` or an equal. The store keeps
    /// connections from one statement to the next, for a tenth of a second at most while the pool
    /// has no other: a statement of the host application may wait that long.
    #[must_use]
    pub fn from_pool(pool: PgPool) -> Self {
        Self::over(pool, Arc::default())
    }

    fn over(pool: PgPool, health: Arc<Health>) -> Self {
        Self {
            leases: Leases::of(&pool, &health),
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
    ///
    /// Who follows the revocations keeps one connection of the pool.
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

    /// Runs one statement or transaction, again where that is right.
    async fn run<T, F>(&self, replay: Replay, act: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = sqlx::Result<T>>,
    {
        let mut attempt = 1;
        let mut replayed = false;
        loop {
            let error = match act().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if error::is_broken(&error) {
                self.health.note_failure();
                if replay == Replay::Unsafe || replayed {
                    return Err(error::store_error(error));
                }
                replayed = true;
            } else if error::is_conflict(&error) && attempt < MAX_ATTEMPTS {
                tokio::time::sleep(Duration::from_millis(1 << attempt)).await;
                attempt += 1;
            } else {
                return Err(error::store_error(error));
            }
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn check(&self) -> Result<(), StoreError> {
        self.run(Replay::Safe, || async {
            sqlx::query("SELECT 1").execute(&self.pool).await
        })
        .await
        .map(drop)
    }
}
