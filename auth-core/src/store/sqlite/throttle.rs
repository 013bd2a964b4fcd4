//! What is counted in SQLite.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row, SqliteConnection};

use super::{SqliteStore, rows};
use crate::Timestamp;
use crate::store::transaction::End;
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
        let asked = (budgets.to_vec(), now);
        let refused = self.read(asked.clone(), |connection, (budgets, now)| {
            Box::pin(refusal(connection, budgets, *now))
        });
        if let Some(refused) = refused.await? {
            return Ok(refused);
        }
        self.transact(asked, |connection, (budgets, now)| {
            Box::pin(take(connection, budgets, *now))
        })
        .await
    }

    async fn give_back_tries(
        &self,
        keys: &[ThrottleKey],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.transact((keys.to_vec(), now), |connection, (keys, now)| {
            Box::pin(async {
                give_back(connection, keys, *now).await?;
                Ok(End::Commit(()))
            })
        })
        .await
    }

    async fn remove_tries(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write((before, limit), |connection, &(before, limit)| {
            Box::pin(delete(connection, before, limit))
        })
        .await
    }
}

async fn refusal(
    connection: &mut SqliteConnection,
    budgets: &[TryBudget],
    now: Timestamp,
) -> Result<Option<Admission>, Error> {
    for budget in budgets {
        let mut record = read(connection, budget.key, now).await?;
        if let Err(until) = record.take(budget, now) {
            return Ok(Some(Admission::refused(budget.key, until)));
        }
    }
    Ok(None)
}

async fn take(
    connection: &mut SqliteConnection,
    budgets: &[TryBudget],
    now: Timestamp,
) -> Result<End<Admission>, Error> {
    for budget in budgets {
        let mut record = read(connection, budget.key, now).await?;
        if let Err(until) = record.take(budget, now) {
            let refused = Admission::refused(budget.key, until);
            return Ok(End::RollBack(refused));
        }
        write(connection, budget.key, &record).await?;
    }
    Ok(End::Commit(Admission::Admitted))
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

async fn delete(
    connection: &mut SqliteConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
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
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
