//! Revocations in PostgreSQL: recorded, told at once, and polled.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Acquire as _, Connection as _, Error, PgConnection, Row};
use tokio::time::{Instant, sleep_until, timeout};

use super::act::Isolation;
use super::{PostgresStore, Replay, RevocationDelivery, connection, error, notification, rows};
use crate::revocation::{Revocation, RevokedTokens};
use crate::store::{
    ClockReading, RevocationFeed, RevocationNews, RevocationStore, StoreError, stored,
};
use crate::{SessionId, Timestamp};

/// The channel of the notifications; of each database, so that schemas share it.
const CHANNEL: &str = "auth_revocations";

/// How often the table is read, notified or not.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long a poll may take; a connection may be dead without saying so. A node whose poll takes
/// longer counts as stale by then.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a poll may take that reads everything.
const FULL_TIMEOUT: Duration = Duration::from_secs(30);

/// How far a poll looks back beyond the one before: rows are committed in another order than they
/// are recorded.
const OVERLAP: Duration = Duration::from_secs(60);

/// How often a poll reads everything, for what was committed later still.
const FULL_EVERY: u32 = 60;

#[async_trait]
impl RevocationStore for PostgresStore {
    async fn follow_revocations(&self) -> Result<Box<dyn RevocationFeed>, StoreError> {
        let connection = connect(self).await.map_err(|error| {
            self.renews(&error);
            self.health.note_failure();
            error::store_error(error)
        })?;
        Ok(Box::new(Feed {
            store: self.clone(),
            connection,
            polled_at: None,
            polls: 0,
            next_poll: Instant::now(),
        }))
    }

    async fn remove_revocations(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write(
            Replay::Safe,
            (before, limit),
            |connection, &(before, limit)| Box::pin(delete(connection, before, limit)),
        )
        .await
    }
}

/// The connection listens before anything is read, so that nothing falls between the two.
///
/// It is of a pool of its own: a listener that is dropped takes its leave of the database, and one
/// whose connection is dead would keep a place of the store's pool until the kernel gives up.
/// Without notifications it is kept as well, so that a poll never waits for a busy pool.
async fn connect(store: &PostgresStore) -> Result<PgListener, Error> {
    let options = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(store.pool.options().get_acquire_timeout())
        .idle_timeout(None)
        .max_lifetime(None);
    let pool = connection::watch(
        options,
        store.guarding.of_our_own(),
        Arc::clone(&store.health),
    )
    .connect_lazy_with(store.pool.connect_options().as_ref().clone());
    let mut connection = PgListener::connect_with(&pool).await?;
    connection.eager_reconnect(false);
    if store.delivery == RevocationDelivery::Notify {
        timeout(POLL_TIMEOUT, connection.listen(CHANNEL))
            .await
            .unwrap_or_else(|_| Err(connection::late("the database did not answer in time")))?;
    }
    Ok(connection)
}

#[derive(Debug)]
struct Feed {
    store: PostgresStore,
    /// Listens and polls, so that each poll finds out whether it still lives.
    connection: PgListener,
    /// The database's time.
    polled_at: Option<Timestamp>,
    polls: u32,
    next_poll: Instant,
}

#[async_trait]
impl RevocationFeed for Feed {
    async fn next(&mut self) -> Result<RevocationNews, StoreError> {
        match self.store.delivery {
            RevocationDelivery::Poll => sleep_until(self.next_poll).await,
            RevocationDelivery::Notify => tokio::select! {
                biased;
                () = sleep_until(self.next_poll) => {}
                notified = self.connection.try_recv() => {
                    let lost = || StoreError::Unavailable("the listening connection is lost".into());
                    let notified = notified.map_err(error::store_error)?.ok_or_else(lost)?;
                    return Ok(RevocationNews::partial(self.heard(notified.payload())));
                }
            },
        }
        let (reading, revocations) = self.poll().await.map_err(error::store_error)?;
        self.next_poll = Instant::now() + POLL_INTERVAL;
        Ok(RevocationNews::complete(revocations).with_clock_reading(reading))
    }
}

impl Feed {
    /// What a notification tells: tokens that carry the id of a session or a user.
    ///
    /// All else is read from the table, and at once: what a newer version has sent, and that all
    /// tokens are revoked, which may be those of another schema.
    fn heard(&mut self, payload: &str) -> Vec<Revocation> {
        match notification::revocation(payload) {
            Some(revocation) if !matches!(revocation.tokens, RevokedTokens::All { .. }) => {
                vec![revocation]
            }
            _ => {
                self.next_poll = Instant::now();
                Vec::new()
            }
        }
    }

    async fn poll(&mut self) -> Result<(ClockReading, Vec<Revocation>), Error> {
        if self.store.pool.is_closed() {
            return Err(Error::PoolClosed);
        }
        let (since, patience) = match self.polled_at {
            Some(polled_at) if !self.polls.is_multiple_of(FULL_EVERY) => {
                (polled_at - OVERLAP, POLL_TIMEOUT)
            }
            _ => (Timestamp::UNIX_EPOCH, FULL_TIMEOUT),
        };
        let is_first = self.polled_at.is_none();
        let (store, connection) = (&self.store, &mut self.connection);
        let poll = async {
            let connection = connection.acquire().await?;
            let begin = Isolation::ReadCommitted.begin(store.guarding.of_our_own());
            let mut transaction = connection.begin_with(begin).await?;
            // A database that cannot commit any more would tell nothing new, and look well.
            super::beat(&mut transaction, store.node).await?;
            if is_first {
                forget_dead_nodes(&mut transaction).await?;
            }
            let news = read(&mut transaction, since).await?;
            transaction.commit().await?;
            Ok(news)
        };
        let (reading, revocations) = timeout(patience, poll)
            .await
            .unwrap_or_else(|_| Err(connection::late("the database did not answer in time")))?;
        // If the clock was ahead and was set back, the time of the last poll says nothing: read
        // everything again.
        let was_ahead = self.polled_at.is_some_and(|before| reading.time < before);
        self.polls = if was_ahead {
            0
        } else {
            self.polls.wrapping_add(1)
        };
        self.polled_at = Some(reading.time);
        Ok((reading, revocations))
    }
}

/// Reads the database's clock.
pub(super) async fn clock(connection: &mut PgConnection) -> Result<ClockReading, Error> {
    let asked = std::time::Instant::now();
    let row = sqlx::query("SELECT clock_timestamp() AS now")
        .fetch_one(connection)
        .await?;
    let answered = std::time::Instant::now();
    Ok(ClockReading::new(rows::time(&row, "now")?, asked, answered))
}

/// Removes the beats of nodes that have not lived for a day.
async fn forget_dead_nodes(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM auth_leases
         WHERE name LIKE 'node %' AND held_until < clock_timestamp() - interval '1 day'",
    )
    .execute(connection)
    .await
    .map(drop)
}

async fn read(
    connection: &mut PgConnection,
    since: Timestamp,
) -> Result<(ClockReading, Vec<Revocation>), Error> {
    // The statement sees what was committed before it began, which is after this.
    let reading = clock(&mut *connection).await?;
    let revocations = sqlx::query(
        "SELECT kind, subject, issued_before, epoch, expires_at
         FROM auth_revocations
         WHERE recorded_at > $1",
    )
    .bind(rows::to_sql(since)?)
    .fetch_all(connection)
    .await?
    .iter()
    .map(|row| {
        let issued_before = rows::optional_time(row, "issued_before")?;
        let (kind, subject) = (row.try_get("kind")?, row.try_get("subject")?);
        let (epoch, expires_at) = (row.try_get("epoch")?, rows::time(row, "expires_at")?);
        stored::revocation(kind, subject, issued_before, epoch, expires_at)
    })
    .collect::<Result<Vec<_>, _>>()?;
    Ok((reading, revocations))
}

/// Records the revocations of sessions in the transaction that ends them.
pub(super) async fn record_sessions(
    connection: &mut PgConnection,
    delivery: RevocationDelivery,
    sessions: impl IntoIterator<Item = SessionId>,
    expires_at: Timestamp,
) -> Result<(), Error> {
    let revoke = |session| stored::session_revocation(session, expires_at);
    let revocations: Vec<_> = sessions.into_iter().map(revoke).collect();
    record(connection, delivery, &revocations).await
}

/// Records revocations in the transaction that they belong to, and tells of them at its commit.
pub(super) async fn record(
    connection: &mut PgConnection,
    delivery: RevocationDelivery,
    revocations: &[Revocation],
) -> Result<(), Error> {
    if revocations.is_empty() {
        return Ok(());
    }
    let issued_before = revocations
        .iter()
        .map(|revoked| stored::issued_before(revoked).map(rows::to_sql).transpose());
    let expires_at = revocations
        .iter()
        .map(|revoked| rows::to_sql(revoked.expires_at));
    sqlx::query(
        "INSERT INTO auth_revocations (kind, subject, issued_before, epoch, expires_at)
         SELECT *
         FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::integer[], $5::timestamptz[])",
    )
    .bind(revocations.iter().map(stored::kind).collect::<Vec<_>>())
    .bind(revocations.iter().map(stored::subject).collect::<Vec<_>>())
    .bind(issued_before.collect::<Result<Vec<_>, _>>()?)
    .bind(revocations.iter().map(stored::epoch_of).collect::<Vec<_>>())
    .bind(expires_at.collect::<Result<Vec<_>, _>>()?)
    .execute(&mut *connection)
    .await?;
    if delivery == RevocationDelivery::Notify {
        let payloads = revocations.iter().map(notification::payload);
        sqlx::query(
            "SELECT pg_notify('auth_revocations', payload) FROM unnest($1::text[]) AS payload",
        )
        .bind(payloads.collect::<Result<Vec<_>, _>>()?)
        .execute(connection)
        .await?;
    }
    Ok(())
}

async fn delete(
    connection: &mut PgConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_revocations
         WHERE id IN (
             SELECT id
             FROM auth_revocations
             WHERE expires_at < $1
             ORDER BY expires_at
             LIMIT $2
         )",
    )
    .bind(rows::to_sql(before)?)
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
