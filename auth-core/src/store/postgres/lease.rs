//! Connections that stay out of their pool for a moment, from one statement to the next.

use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Error, PgConnection, PgPool, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::connection::{self, Guarding, Health};

/// How long a connection is kept from who may wait for it, and how often those are looked at that
/// nobody uses: it is back within two of these.
const LEASE: Duration = Duration::from_millis(50);

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_millis(500);

/// How long a connection is kept that is in use and that nobody waits for: the pool has limits too.
const LONGEST: Duration = Duration::from_secs(60);

/// How long nobody may get a connection before those that the pool counts are taken for lost.
const LOST: Duration = Duration::from_secs(60);

/// Connections on lease from a pool.
///
/// The pool asks each connection that comes back whether it is alive, in a task of its own: another
/// round trip, which a statement of one round trip would pay with half of its speed. So a
/// connection whose statement went well serves the next one at once. It goes back when it is no
/// longer used, or when others may wait for it. Clones share the leases.
#[derive(Clone)]
pub(super) struct Leases(Arc<Shared>);

struct Shared {
    pool: PgPool,
    guarding: Guarding,
    health: Arc<Health>,
    /// Who waits is served in turn.
    places: Arc<Semaphore>,
    idle: Mutex<Idle>,
    /// Since when nobody has got a connection, though somebody wanted one.
    starving_since: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Idle {
    leases: Vec<Leased>,
    is_watched: bool,
}

struct Leased {
    connection: PoolConnection<Postgres>,
    /// Who guards its transactions.
    guarding: Guarding,
    since: Instant,
    idle_since: Instant,
}

impl Leases {
    /// Of all connections of the pool.
    pub(super) fn of(pool: &PgPool, guarding: Guarding, health: &Arc<Health>) -> Self {
        let connections = pool.options().get_max_connections();
        let places = usize::try_from(connections).unwrap_or(usize::MAX);
        Self(Arc::new(Shared {
            pool: pool.clone(),
            guarding,
            health: Arc::clone(health),
            places: Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS))),
            idle: Mutex::default(),
            starving_since: Mutex::default(),
        }))
    }

    /// Waits no longer than the pool would, and not beyond the deadline.
    pub(super) async fn acquire(&self, deadline: Instant) -> Result<Lease, Error> {
        let shared = &self.0;
        let deadline = deadline.min(Instant::now() + shared.pool.options().get_acquire_timeout());
        let acquire = async {
            let place = Arc::clone(&shared.places).acquire_owned().await;
            let place = place.map_err(|_| Error::PoolClosed)?;
            let leased = match shared.take_idle() {
                Some(leased) => leased,
                None => shared.begin().await?,
            };
            Ok(Lease {
                shared: Arc::clone(shared),
                leased: Some(leased),
                _place: place,
            })
        };
        let in_time = tokio::time::timeout_at(deadline, acquire).await;
        let outcome = in_time.unwrap_or(Err(Error::PoolTimedOut));
        shared.note(&outcome);
        outcome
    }

    /// Whether the pool counts connections that nobody has any more: all of its places are taken,
    /// none by us, and for a minute nobody has got one.
    pub(super) fn are_lost(&self) -> bool {
        let shared = &self.0;
        let since = *shared.starving();
        let pool = &shared.pool;
        since.is_some_and(|since| since.elapsed() >= LOST)
            && pool.num_idle() == 0
            && pool.size() >= pool.options().get_max_connections()
            && shared.places.available_permits() > 0
            && shared.lock().leases.is_empty()
    }
}

impl Shared {
    fn note<T>(&self, outcome: &Result<T, Error>) {
        let mut since = self.starving();
        match outcome {
            Ok(_) => *since = None,
            Err(_) => {
                since.get_or_insert_with(Instant::now);
            }
        }
    }

    fn starving(&self) -> MutexGuard<'_, Option<Instant>> {
        let since = self.starving_since.lock();
        since.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection out of the pool that is fit for use.
    async fn begin(&self) -> Result<Leased, Error> {
        loop {
            let mut connection = self.pool.acquire().await?;
            let guarding = match self.guarding {
                Guarding::Transaction => match connection::fit(&mut connection).await {
                    Ok(condition) => condition.guarding(),
                    Err(unfit) => {
                        tracing::warn!(
                            error = %unfit,
                            "closed a connection of the application's pool",
                        );
                        self.health.note_failure();
                        Health::note_discard();
                        drop(connection.detach());
                        continue;
                    }
                },
                own => own,
            };
            let now = Instant::now();
            return Ok(Leased {
                connection,
                guarding,
                since: now,
                idle_since: now,
            });
        }
    }

    /// The pool sees to those that may be broken.
    fn take_idle(&self) -> Option<Leased> {
        loop {
            let leased = self.lock().leases.pop()?;
            if !self.pool.is_closed() && self.health.trusts(leased.idle_since.elapsed()) {
                return Some(leased);
            }
        }
    }

    fn is_over(&self, leased: &Leased) -> bool {
        let age = leased.since.elapsed();
        let is_exhausted = self.pool.num_idle() == 0
            && self.pool.size() >= self.pool.options().get_max_connections();
        self.pool.is_closed()
            || age >= LONGEST
            || leased.idle_since.elapsed() >= IDLE
            || is_exhausted && age >= LEASE
    }

    fn keep(self: &Arc<Self>, leased: Leased) {
        let mut idle = self.lock();
        idle.leases.push(leased);
        let was_watched = mem::replace(&mut idle.is_watched, true);
        // A runtime that ends drops the watch at once, which takes the lock.
        drop(idle);
        if !was_watched {
            tokio::spawn(Watch(Arc::clone(self)).give_back_in_time());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // Nothing panics between two changes.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").finish_non_exhaustive()
    }
}

/// A connection, which is closed unless it is [kept](Self::keep): whoever is cut off leaves it in a
/// state that nobody knows, such as inside a transaction.
pub(super) struct Lease {
    shared: Arc<Shared>,
    /// `None` once it is kept.
    leased: Option<Leased>,
    // Given back last.
    _place: OwnedSemaphorePermit,
}

impl Lease {
    /// Who guards the transactions on it.
    pub(super) fn guarding(&self) -> Guarding {
        let leased = self.leased.as_ref();
        leased.map_or(self.shared.guarding, |leased| leased.guarding)
    }

    /// Leaves the connection, on which nothing is under way, to the next statement.
    pub(super) fn keep(mut self) {
        if let Some(mut leased) = self.leased.take() {
            leased.idle_since = Instant::now();
            if !self.shared.is_over(&leased) {
                self.shared.keep(leased);
            }
        }
    }
}

impl Drop for Lease {
    /// Nothing is sent: a connection that is dead may take for ever.
    fn drop(&mut self) {
        if let Some(leased) = self.leased.take() {
            Health::note_discard();
            drop(leased.connection.detach());
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.leased.as_ref().expect(UNTIL_KEPT).connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.leased.as_mut().expect(UNTIL_KEPT).connection
    }
}

const UNTIL_KEPT: &str = "a lease has its connection until it is kept, which takes the lease";

/// Gives back what nobody uses. A pool takes connections only within its runtime: with that, this
/// ends, and what is still idle goes with it.
struct Watch(Arc<Shared>);

impl Watch {
    async fn give_back_in_time(self) {
        loop {
            tokio::time::sleep(LEASE).await;
            let mut idle = self.0.lock();
            let over: Vec<_> = idle
                .leases
                .extract_if(.., |leased| self.0.is_over(leased))
                .collect();
            let is_done = idle.leases.is_empty();
            drop(idle);
            drop(over);
            if is_done {
                return;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let idle = mem::take(&mut *self.0.lock());
        drop(idle);
    }
}

#[cfg(all(test, feature = "testing", unix))]
mod tests {
    use sqlx::postgres::PgPoolOptions;

    use super::*;
    use crate::testing::postgres::TemporaryDatabase;

    #[tokio::test]
    async fn a_connection_serves_the_next_statement_and_goes_back_in_time() {
        let database = TemporaryDatabase::create().await;
        let pool = PgPoolOptions::new().connect_lazy(database.url()).unwrap();
        let leases = Leases::of(&pool, Guarding::Session, &Arc::default());
        let idle = || leases.0.lock().leases.len();
        let deadline = Instant::now() + Duration::from_secs(60);
        // On a slow machine a lease may be over when its first statement is.
        let mut tries = 0;
        while idle() == 0 {
            tries += 1;
            assert!(tries < 100);
            leases.acquire(deadline).await.unwrap().keep();
        }
        let lease = leases.acquire(deadline).await.unwrap();
        assert_eq!((idle(), pool.size()), (0, 1));
        lease.keep();
        while pool.num_idle() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(idle(), 0);
    }
}
