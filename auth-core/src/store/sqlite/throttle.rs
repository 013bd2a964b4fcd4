//! What is counted in SQLite.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row, SqliteConnection, SqlitePool};

use super::{SqliteStore, error::store_error, rows};
use crate::Timestamp;
use crate::store::{
    Admission, LoginSettlement, StoreError, ThrottleKey, ThrottleStore, TryBudget, TryRecord,
    stored,
};

#[async_trait]
impl ThrottleStore for SqliteStore {
    async fn take_tries(
        &self,
        budgets: &[TryBudget],
        now: Timestamp,
    ) -> Result<Admission, StoreError> {
        // A flood of refused tries reads only, and does not wait for the writer.
        let refused = refusal(&self.readers, budgets, now).await;
        if let Some(refused) = refused.map_err(store_error)? {
            return Ok(refused);
        }
        take(&self.writer, budgets, now).await.map_err(store_error)
    }

    async fn give_back_tries(
        &self,
        keys: &[ThrottleKey],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let outcome = async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            give_back(&mut transaction, keys, now).await?;
            transaction.commit().await
        };
        outcome.await.map_err(store_error)
    }

    async fn remove_tries(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        delete(&self.writer, before, limit)
            .await
            .map_err(store_error)
    }
}

async fn refusal(
    pool: &SqlitePool,
    budgets: &[TryBudget],
    now: Timestamp,
) -> Result<Option<Admission>, Error> {
    let mut connection = pool.acquire().await?;
    for budget in budgets {
        let mut record = read(&mut connection, budget.key, now).await?;
        if let Err(until) = record.take(budget, now) {
            return Ok(Some(Admission::refused(budget.key, until)));
        }
    }
    Ok(None)
}

async fn take(
    pool: &SqlitePool,
    budgets: &[TryBudget],
    now: Timestamp,
) -> Result<Admission, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for budget in budgets {
        let mut record = read(&mut transaction, budget.key, now).await?;
        if let Err(until) = record.take(budget, now) {
            transaction.rollback().await?;
            return Ok(Admission::refused(budget.key, until));
        }
        write(&mut transaction, budget.key, &record).await?;
    }
    transaction.commit().await?;
    Ok(Admission::Admitted)
}

async fn read(
    connection: &mut SqliteConnection,
    key: ThrottleKey,
    now: Timestamp,
) -> Result<TryRecord, Error> {
    Ok(find(connection, key).await?.unwrap_or(TryRecord::new(now)))
}

async fn find(
    connection: &mut SqliteConnection,
    key: ThrottleKey,
) -> Result<Option<TryRecord>, Error> {
    sqlx::query(
        "SELECT tries, strikes, window_ends_at, blocked_until, known_until, forget_at
         FROM auth_throttle
         WHERE key = ?1",
    )
    .bind(key.as_bytes().as_slice())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(record)
    .transpose()
}

fn record(row: &SqliteRow) -> Result<TryRecord, Error> {
    Ok(TryRecord {
        tries: stored::count(row.try_get("tries")?)?,
        strikes: stored::count(row.try_get("strikes")?)?,
        window_ends_at: rows::time(row, "window_ends_at")?,
        blocked_until: rows::optional_time(row, "blocked_until")?,
        known_until: rows::optional_time(row, "known_until")?,
        forget_at: rows::time(row, "forget_at")?,
    })
}

async fn write(
    connection: &mut SqliteConnection,
    key: ThrottleKey,
    record: &TryRecord,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO auth_throttle
             (key, tries, strikes, window_ends_at, blocked_until, known_until, forget_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (key) DO UPDATE
         SET tries = ?2, strikes = ?3, window_ends_at = ?4, blocked_until = ?5,
             known_until = ?6, forget_at = ?7",
    )
    .bind(key.as_bytes().as_slice())
    .bind(stored::number(record.tries))
    .bind(stored::number(record.strikes))
    .bind(record.window_ends_at.unix_micros())
    .bind(record.blocked_until.map(Timestamp::unix_micros))
    .bind(record.known_until.map(Timestamp::unix_micros))
    .bind(record.forget_at.unix_micros())
    .execute(connection)
    .await
    .map(drop)
}

async fn give_back(
    connection: &mut SqliteConnection,
    keys: &[ThrottleKey],
    now: Timestamp,
) -> Result<(), Error> {
    for key in keys {
        if let Some(mut record) = find(connection, *key).await? {
            record.give_back(now);
            write(connection, *key, &record).await?;
        }
    }
    Ok(())
}

/// Settles a login in the transaction that begins its session.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    settlement: &LoginSettlement,
    now: Timestamp,
) -> Result<(), Error> {
    let mut kept = Vec::new();
    for key in stored::settlement_keys(settlement) {
        let record = find(connection, key).await?;
        kept.extend(record.map(|record| (key, record)));
    }
    for (key, record) in stored::settled(settlement, &kept, now) {
        write(connection, key, &record).await?;
    }
    Ok(())
}

async fn delete(pool: &SqlitePool, before: Timestamp, limit: u32) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_throttle
         WHERE key IN (
             SELECT key
             FROM auth_throttle
             WHERE forget_at < ?1
             ORDER BY forget_at
             LIMIT ?2
         )",
    )
    .bind(before.unix_micros())
    .bind(i64::from(limit))
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
