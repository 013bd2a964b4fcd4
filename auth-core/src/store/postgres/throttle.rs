//! What is counted in PostgreSQL.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Connection, Error, PgConnection, PgPool, Row};

use super::{Leases, PostgresStore, Replay, rows};
use crate::Timestamp;
use crate::store::{
    Admission, LoginSettlement, StoreError, ThrottleKey, ThrottleStore, TryBudget, TryRecord,
    stored,
};

#[async_trait]
impl ThrottleStore for PostgresStore {
    async fn take_tries(
        &self,
        budgets: &[TryBudget],
        now: Timestamp,
    ) -> Result<Admission, StoreError> {
        // A second run takes a second try, of which nobody was told: rather that than a login that
        // fails because a connection broke.
        self.run(Replay::Safe, || take(&self.leases, budgets, now))
            .await
    }

    async fn give_back_tries(
        &self,
        keys: &[ThrottleKey],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(Replay::Unsafe, || async {
            let mut lease = self.leases.acquire().await?;
            let mut transaction = lease.begin().await?;
            give_back(&mut transaction, keys, now).await?;
            transaction.commit().await?;
            lease.keep();
            Ok(())
        })
        .await
    }

    async fn remove_tries(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.run(Replay::Safe, || delete(&self.pool, before, limit))
            .await
    }
}

async fn take(leases: &Leases, budgets: &[TryBudget], now: Timestamp) -> Result<Admission, Error> {
    let keys: Vec<&[u8]> = budgets
        .iter()
        .map(|budget| budget.key.as_bytes().as_slice())
        .collect();
    let mut lease = leases.acquire().await?;
    // A flood of refused tries reads only: even a lock would be a write.
    let mut records = read(&mut lease, &keys).await?;
    if let Some(refused) = take_from(&mut records, budgets, now) {
        lease.keep();
        return Ok(refused);
    }
    let mut transaction = lease.begin().await?;
    let mut records = make_and_lock(&mut transaction, &keys, now).await?;
    if let Some(refused) = take_from(&mut records, budgets, now) {
        transaction.rollback().await?;
        lease.keep();
        return Ok(refused);
    }
    write(&mut transaction, &records).await?;
    transaction.commit().await?;
    lease.keep();
    Ok(Admission::Admitted)
}

/// Takes a try of each budget out of its record, or tells the refusal.
fn take_from(
    records: &mut [(ThrottleKey, TryRecord)],
    budgets: &[TryBudget],
    now: Timestamp,
) -> Option<Admission> {
    budgets.iter().find_map(|budget| {
        let known = records.iter_mut().find(|(key, _)| *key == budget.key);
        let taken = match known {
            Some((_, record)) => record.take(budget, now),
            None => TryRecord::new(now).take(budget, now),
        };
        let until = taken.err()?;
        Some(Admission::refused(budget.key, until))
    })
}

async fn read(
    connection: &mut PgConnection,
    keys: &[&[u8]],
) -> Result<Vec<(ThrottleKey, TryRecord)>, Error> {
    sqlx::query(
        "SELECT key, tries, strikes, window_ends_at, blocked_until, known_until, forget_at
         FROM auth_throttle
         WHERE key = ANY($1)",
    )
    .bind(keys)
    .fetch_all(connection)
    .await?
    .iter()
    .map(keyed)
    .collect()
}

fn keyed(row: &PgRow) -> Result<(ThrottleKey, TryRecord), Error> {
    Ok((throttle_key(row.try_get("key")?)?, record(row)?))
}

/// Locks the records, those that were not there included, in the order of the keys: two who want the
/// same ones never wait for each other.
async fn make_and_lock(
    connection: &mut PgConnection,
    keys: &[&[u8]],
    now: Timestamp,
) -> Result<Vec<(ThrottleKey, TryRecord)>, Error> {
    sqlx::query(
        "INSERT INTO auth_throttle AS t (key, tries, strikes, window_ends_at, forget_at)
         SELECT key, 0, 0, $2, $2
         FROM unnest($1::bytea[]) AS key
         ORDER BY key
         ON CONFLICT (key) DO UPDATE
         SET tries = t.tries
         RETURNING t.key, t.tries, t.strikes, t.window_ends_at, t.blocked_until, t.known_until,
                   t.forget_at",
    )
    .bind(keys)
    .bind(rows::to_sql(now)?)
    .fetch_all(connection)
    .await?
    .iter()
    .map(keyed)
    .collect()
}

/// Locks the records that are there, in the same order.
async fn lock(
    connection: &mut PgConnection,
    keys: &[&[u8]],
) -> Result<Vec<(ThrottleKey, TryRecord)>, Error> {
    sqlx::query(
        "SELECT key, tries, strikes, window_ends_at, blocked_until, known_until, forget_at
         FROM auth_throttle
         WHERE key = ANY($1)
         ORDER BY key
         FOR UPDATE",
    )
    .bind(keys)
    .fetch_all(connection)
    .await?
    .iter()
    .map(keyed)
    .collect()
}

fn record(row: &PgRow) -> Result<TryRecord, Error> {
    Ok(TryRecord {
        tries: stored::count(row.try_get("tries")?)?,
        strikes: stored::count(row.try_get("strikes")?)?,
        window_ends_at: rows::time(row, "window_ends_at")?,
        blocked_until: rows::optional_time(row, "blocked_until")?,
        known_until: rows::optional_time(row, "known_until")?,
        forget_at: rows::time(row, "forget_at")?,
    })
}

/// All of them in one statement.
async fn write(
    connection: &mut PgConnection,
    records: &[(ThrottleKey, TryRecord)],
) -> Result<(), Error> {
    if records.is_empty() {
        return Ok(());
    }
    let keys = records.iter().map(|(key, _)| key.as_bytes().as_slice());
    let records = || records.iter().map(|(_, record)| record);
    let optional = |time: Option<Timestamp>| time.map(rows::to_sql).transpose();
    let window_ends_at = records().map(|record| rows::to_sql(record.window_ends_at));
    let blocked_until = records().map(|record| optional(record.blocked_until));
    let known_until = records().map(|record| optional(record.known_until));
    let forget_at = records().map(|record| rows::to_sql(record.forget_at));
    let tries = records().map(|record| stored::number(record.tries));
    let strikes = records().map(|record| stored::number(record.strikes));
    sqlx::query(
        "INSERT INTO auth_throttle
             (key, tries, strikes, window_ends_at, blocked_until, known_until, forget_at)
         SELECT *
         FROM unnest($1::bytea[], $2::integer[], $3::integer[], $4::timestamptz[],
                     $5::timestamptz[], $6::timestamptz[], $7::timestamptz[])
         ON CONFLICT (key) DO UPDATE
         SET tries = excluded.tries, strikes = excluded.strikes,
             window_ends_at = excluded.window_ends_at, blocked_until = excluded.blocked_until,
             known_until = excluded.known_until, forget_at = excluded.forget_at",
    )
    .bind(keys.collect::<Vec<_>>())
    .bind(tries.collect::<Vec<_>>())
    .bind(strikes.collect::<Vec<_>>())
    .bind(window_ends_at.collect::<Result<Vec<_>, _>>()?)
    .bind(blocked_until.collect::<Result<Vec<_>, _>>()?)
    .bind(known_until.collect::<Result<Vec<_>, _>>()?)
    .bind(forget_at.collect::<Result<Vec<_>, _>>()?)
    .execute(connection)
    .await
    .map(drop)
}

async fn give_back(
    connection: &mut PgConnection,
    keys: &[ThrottleKey],
    now: Timestamp,
) -> Result<(), Error> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    let mut records = lock(connection, &keys).await?;
    for (_, record) in &mut records {
        record.give_back(now);
    }
    write(connection, &records).await
}

/// Settles a login in the transaction that begins its session.
pub(super) async fn settle(
    connection: &mut PgConnection,
    settlement: &LoginSettlement,
    now: Timestamp,
) -> Result<(), Error> {
    let keys = stored::settlement_keys(settlement);
    if keys.is_empty() {
        return Ok(());
    }
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    let kept = lock(connection, &keys).await?;
    write(connection, &stored::settled(settlement, &kept, now)).await
}

async fn delete(pool: &PgPool, before: Timestamp, limit: u32) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_throttle
         WHERE key IN (
             SELECT key
             FROM auth_throttle
             WHERE forget_at < $1
             ORDER BY forget_at
             LIMIT $2
             FOR UPDATE SKIP LOCKED
         )",
    )
    .bind(rows::to_sql(before)?)
    .bind(i64::from(limit))
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}

fn throttle_key(stored: &[u8]) -> Result<ThrottleKey, Error> {
    let bytes = stored.try_into().map(ThrottleKey::from_bytes);
    bytes.map_err(|_| Error::Decode("no key of 32 bytes".into()))
}
