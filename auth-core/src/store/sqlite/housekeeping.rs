//! Housekeeping in SQLite.

use async_trait::async_trait;
use sqlx::{Error, SqliteConnection};

use super::SqliteStore;
use crate::Timestamp;
use crate::store::{HousekeepingStore, StoreError};

#[async_trait]
impl HousekeepingStore for SqliteStore {
    async fn acquire_lease(
        &self,
        name: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let lease = (name.to_owned(), now, until);
        self.write(lease, |connection, (name, now, until)| {
            Box::pin(acquire(connection, name, *now, *until))
        })
        .await
    }

    async fn remove_expired_sessions(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.write((before, limit), |connection, &(before, limit)| {
            Box::pin(delete_sessions(connection, before, limit))
        })
        .await
    }

    async fn remove_abandoned_mails(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.write((before, limit), |connection, &(before, limit)| {
            Box::pin(delete_mails(connection, before, limit))
        })
        .await
    }
}

async fn acquire(
    connection: &mut SqliteConnection,
    name: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, Error> {
    let taken = sqlx::query(
        "INSERT INTO auth_leases (name, held_until)
         VALUES (?1, ?3)
         ON CONFLICT (name) DO UPDATE
         SET held_until = excluded.held_until
         WHERE auth_leases.held_until <= ?2",
    )
    .bind(name)
    .bind(now.unix_micros())
    .bind(until.unix_micros())
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

async fn delete_sessions(
    connection: &mut SqliteConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_sessions
         WHERE id IN (
             SELECT id
             FROM auth_sessions
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

async fn delete_mails(
    connection: &mut SqliteConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_outbox
         WHERE id IN (
             SELECT id
             FROM auth_outbox
             WHERE abandoned_at < ?1
             ORDER BY abandoned_at
             LIMIT ?2
         )",
    )
    .bind(before.unix_micros())
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
