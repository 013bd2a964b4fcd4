//! Revocations in SQLite: recorded, told to this process at once, and polled for others'.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Error, Row, SqliteConnection};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{SqliteStore, rows};
use crate::revocation::Revocation;
use crate::store::{RevocationFeed, RevocationNews, RevocationStore, StoreError, stored};
use crate::{SessionId, Timestamp};

/// How often the table is read for what other processes have recorded.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

#[async_trait]
impl RevocationStore for SqliteStore {
    async fn follow_revocations(&self) -> Result<Box<dyn RevocationFeed>, StoreError> {
        let mut revoked = self.revoked.subscribe();
        revoked.mark_changed();
        Ok(Box::new(Feed {
            store: self.clone(),
            revoked,
            last_id: 0,
            next_poll: Instant::now(),
        }))
    }

    async fn remove_revocations(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write((before, limit), |connection, &(before, limit)| {
            Box::pin(delete(connection, before, limit))
        })
        .await
    }
}

#[derive(Debug)]
struct Feed {
    store: SqliteStore,
    /// Changes after each commit of this process.
    revoked: watch::Receiver<()>,
    last_id: i64,
    next_poll: Instant,
}

#[async_trait]
impl RevocationFeed for Feed {
    async fn next(&mut self) -> Result<RevocationNews, StoreError> {
        // Its end is a change, or the time at which others may have written.
        let _ = timeout_at(self.next_poll, self.revoked.changed()).await;
        let revocations = self.poll().await?;
        self.next_poll = Instant::now() + POLL_INTERVAL;
        Ok(RevocationNews::complete(revocations))
    }
}

impl Feed {
    async fn poll(&mut self) -> Result<Vec<Revocation>, StoreError> {
        let read = self.store.read(self.last_id, |connection, last_id| {
            Box::pin(select_after(connection, *last_id))
        });
        let (last_id, revocations) = read.await?;
        self.last_id = last_id;
        Ok(revocations)
    }
}

/// The revocations after one, and the id of the last of them.
async fn select_after(
    connection: &mut SqliteConnection,
    last_id: i64,
) -> Result<(i64, Vec<Revocation>), Error> {
    let rows = sqlx::query(
        "SELECT id, kind, subject, issued_before, epoch, expires_at
         FROM auth_revocations
         WHERE id > ?1
         ORDER BY id",
    )
    .bind(last_id)
    .fetch_all(connection)
    .await?;
    let revocations = rows.iter().map(|row| {
        let issued_before = rows::optional_time(row, "issued_before")?;
        let (kind, subject) = (row.try_get("kind")?, row.try_get("subject")?);
        let (epoch, expires_at) = (row.try_get("epoch")?, rows::time(row, "expires_at")?);
        stored::revocation(kind, subject, issued_before, epoch, expires_at)
    });
    let revocations = revocations.collect::<Result<Vec<_>, _>>()?;
    let last_id = match rows.last() {
        Some(row) => row.try_get("id")?,
        None => last_id,
    };
    Ok((last_id, revocations))
}

/// Records the revocations of sessions in the transaction that ends them.
pub(super) async fn record_sessions(
    connection: &mut SqliteConnection,
    sessions: impl IntoIterator<Item = SessionId>,
    expires_at: Timestamp,
) -> Result<(), Error> {
    for session in sessions {
        let revocation = stored::session_revocation(session, expires_at);
        record(connection, &revocation).await?;
    }
    Ok(())
}

/// Records a revocation in the transaction that it belongs to.
pub(super) async fn record(
    connection: &mut SqliteConnection,
    revocation: &Revocation,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO auth_revocations (kind, subject, issued_before, epoch, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .bind(stored::kind(revocation))
    .bind(stored::subject(revocation))
    .bind(stored::issued_before(revocation).map(Timestamp::unix_micros))
    .bind(stored::epoch_of(revocation))
    .bind(revocation.expires_at.unix_micros())
    .execute(connection)
    .await
    .map(drop)
}

async fn delete(
    connection: &mut SqliteConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_revocations
         WHERE id IN (
             SELECT id
             FROM auth_revocations
             WHERE expires_at < ?1
             ORDER BY expires_at
             LIMIT ?2
         )",
    )
    .bind(before.unix_micros())
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
