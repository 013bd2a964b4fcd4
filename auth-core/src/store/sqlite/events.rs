//! The audit trail in SQLite.

use async_trait::async_trait;
use sqlx::{Error, Row, SqliteConnection, SqliteExecutor};

use super::SqliteStore;
use crate::audit::AuditEvent;
use crate::store::transaction::End;
use crate::store::{EventFilter, EventStore, StoreError, stored};
use crate::{Timestamp, UserId};

#[async_trait]
impl EventStore for SqliteStore {
    async fn append_events(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        self.transact(events.to_vec(), |connection, events| {
            Box::pin(append(connection, events))
        })
        .await
    }

    async fn list_events(&self, filter: &EventFilter) -> Result<Vec<AuditEvent>, StoreError> {
        self.read(filter.clone(), |connection, filter| {
            Box::pin(select(connection, filter))
        })
        .await
    }

    async fn remove_events(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write((before, limit), |connection, &(before, limit)| {
            Box::pin(delete(connection, before, limit))
        })
        .await
    }
}

async fn append(
    connection: &mut SqliteConnection,
    events: &[AuditEvent],
) -> Result<End<()>, Error> {
    for event in events {
        insert(&mut *connection, event).await?;
    }
    Ok(End::Commit(()))
}

/// Also for the transaction of the act that the event tells of.
pub(super) async fn insert(
    executor: impl SqliteExecutor<'_>,
    event: &AuditEvent,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO auth_events (id, at, kind, user_id, request_id, event)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(event.id)
    .bind(event.at.unix_micros())
    .bind(event.act.kind())
    .bind(stored::user(event))
    .bind(stored::request(event))
    .bind(stored::document(event)?)
    .execute(executor)
    .await
    .map(drop)
}

/// A statement for each index that can lead.
async fn select(
    connection: &mut SqliteConnection,
    filter: &EventFilter,
) -> Result<Vec<AuditEvent>, Error> {
    let query = if filter.request_id.is_some() {
        sqlx::query(
            "SELECT user_id, event
             FROM auth_events
             WHERE request_id = ?1 AND (?2 IS NULL OR user_id = ?2)
                 AND (?3 IS NULL OR kind = ?3) AND id >= ?4 AND id < ?5
             ORDER BY id DESC
             LIMIT ?6",
        )
    } else if filter.user.is_some() {
        sqlx::query(
            "SELECT user_id, event
             FROM auth_events
             WHERE user_id = ?2 AND (?1 IS NULL OR request_id = ?1)
                 AND (?3 IS NULL OR kind = ?3) AND id >= ?4 AND id < ?5
             ORDER BY id DESC
             LIMIT ?6",
        )
    } else {
        sqlx::query(
            "SELECT user_id, event
             FROM auth_events
             WHERE (?1 IS NULL OR request_id = ?1)
                 AND (?2 IS NULL OR user_id = ?2)
                 AND (?3 IS NULL OR kind = ?3) AND id >= ?4 AND id < ?5
             ORDER BY id DESC
             LIMIT ?6",
        )
    };
    let (first, end) = stored::event_range(filter);
    query
        .bind(filter.request_id.as_ref().map(|id| id.as_str()))
        .bind(filter.user.as_ref().map(UserId::as_uuid))
        .bind(filter.kind.as_deref())
        .bind(first)
        .bind(end)
        .bind(i64::from(filter.limit))
        .fetch_all(connection)
        .await?
        .iter()
        .map(|row| stored::event(row.try_get("event")?, row.try_get("user_id")?))
        .collect()
}

async fn delete(
    connection: &mut SqliteConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_events
         WHERE id IN (
             SELECT id
             FROM auth_events
             WHERE id < ?1
             ORDER BY id
             LIMIT ?2
         )",
    )
    .bind(AuditEvent::first_id_at(before))
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
