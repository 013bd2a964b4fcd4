//! Housekeeping in PostgreSQL.

use async_trait::async_trait;
use sqlx::{Error, PgConnection};

use super::{PostgresStore, Replay, rows};
use crate::Timestamp;
use crate::store::{HousekeepingStore, StoreError};

#[async_trait]
impl HousekeepingStore for PostgresStore {
    async fn acquire_lease(
        &self,
        name: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let lease = (name.to_owned(), now, until);
        self.write(Replay::Unsafe, lease, |connection, (name, now, until)| {
            Box::pin(acquire(connection, name, *now, *until))
        })
        .await
    }

    async fn remove_expired_sessions(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.write(
            Replay::Safe,
            (before, limit),
            |connection, &(before, limit)| Box::pin(delete_sessions(connection, before, limit)),
        )
        .await
    }

    async fn remove_abandoned_mails(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.write(
            Replay::Safe,
            (before, limit),
            |connection, &(before, limit)| Box::pin(delete_mails(connection, before, limit)),
        )
        .await
    }
}

async fn acquire(
    connection: &mut PgConnection,
    name: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, Error> {
    let taken = sqlx::query(
        "INSERT INTO auth_leases (name, held_until)
         VALUES ($1, $3)
         ON CONFLICT (name) DO UPDATE
         SET held_until = excluded.held_until
         WHERE auth_leases.held_until <= $2",
    )
    .bind(name)
    .bind(rows::to_sql(now)?)
    .bind(rows::to_sql(until)?)
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Passes over a session that a request has locked: its turn comes again.
async fn delete_sessions(
    connection: &mut PgConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_sessions
         WHERE id IN (
             SELECT id
             FROM auth_sessions
             WHERE expires_at < $1
             ORDER BY expires_at
             LIMIT $2
             FOR UPDATE SKIP LOCKED
         )",
    )
    .bind(rows::to_sql(before)?)
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

async fn delete_mails(
    connection: &mut PgConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_outbox
         WHERE id IN (
             SELECT id
             FROM auth_outbox
             WHERE abandoned_at < $1
             ORDER BY abandoned_at
             LIMIT $2
             FOR UPDATE SKIP LOCKED
         )",
    )
    .bind(rows::to_sql(before)?)
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
