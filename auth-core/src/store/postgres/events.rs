//! The audit trail in PostgreSQL.

use async_trait::async_trait;
use sqlx::{Error, PgConnection, PgExecutor, Row};

use super::{PostgresStore, Replay, rows};
use crate::audit::AuditEvent;
use crate::store::{EventFilter, EventStore, StoreError, stored};
use crate::{Timestamp, UserId};

#[async_trait]
impl EventStore for PostgresStore {
    async fn append_events(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        self.write(Replay::Safe, events.to_vec(), |connection, events| {
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
        self.write(
            Replay::Safe,
            (before, limit),
            |connection, &(before, limit)| Box::pin(delete(connection, before, limit)),
        )
        .await
    }
}

/// All of them in one statement.
async fn append(connection: &mut PgConnection, events: &[AuditEvent]) -> Result<(), Error> {
    let times = events.iter().map(|event| rows::to_sql(event.at));
    let documents = events.iter().map(stored::document);
    sqlx::query(
        "INSERT INTO auth_events (id, at, kind, user_id, request_id, event)
         SELECT *
         FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::uuid[], $5::text[], $6::text[])
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(events.iter().map(|event| event.id).collect::<Vec<_>>())
    .bind(times.collect::<Result<Vec<_>, _>>()?)
    .bind(
        events
            .iter()
            .map(|event| event.act.kind())
            .collect::<Vec<_>>(),
    )
    .bind(events.iter().map(stored::user).collect::<Vec<_>>())
    .bind(events.iter().map(stored::request).collect::<Vec<_>>())
    .bind(documents.collect::<Result<Vec<_>, _>>()?)
    .execute(connection)
    .await
    .map(drop)
}

/// For the transaction of the act that the event tells of; an act that is run again, since nobody
/// knows whether it was committed, tells of it once.
pub(super) async fn insert(executor: impl PgExecutor<'_>, event: &AuditEvent) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO auth_events (id, at, kind, user_id, request_id, event)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(event.id)
    .bind(rows::to_sql(event.at)?)
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
    connection: &mut PgConnection,
    filter: &EventFilter,
) -> Result<Vec<AuditEvent>, Error> {
    let query = if filter.request_id.is_some() {
        sqlx::query(
            "SELECT user_id, event
             FROM auth_events
             WHERE request_id = $1 AND ($2::uuid IS NULL OR user_id = $2)
                 AND ($3::text IS NULL OR kind = $3) AND id >= $4 AND id < $5
             ORDER BY id DESC
             LIMIT $6",
        )
    } else if filter.user.is_some() {
        sqlx::query(
            "SELECT user_id, event
             FROM auth_events
             WHERE user_id = $2 AND ($1::text IS NULL OR request_id = $1)
                 AND ($3::text IS NULL OR kind = $3) AND id >= $4 AND id < $5
             ORDER BY id DESC
             LIMIT $6",
        )
    } else {
        sqlx::query(
            "SELECT user_id, event
             FROM auth_events
             WHERE ($1::text IS NULL OR request_id = $1)
                 AND ($2::uuid IS NULL OR user_id = $2)
                 AND ($3::text IS NULL OR kind = $3) AND id >= $4 AND id < $5
             ORDER BY id DESC
             LIMIT $6",
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
    connection: &mut PgConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_events
         WHERE id IN (
             SELECT id
             FROM auth_events
             WHERE id < $1
             ORDER BY id
             LIMIT $2
         )",
    )
    .bind(AuditEvent::first_id_at(before))
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
