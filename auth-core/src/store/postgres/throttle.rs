//! What is counted in PostgreSQL.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, Row};

use super::{PostgresStore, Replay, rows};
use crate::Timestamp;
use crate::store::transaction::End;
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
        // A flood of refused tries reads only: even a lock would be a write.
        let asked = (budgets.to_vec(), now);
        let refused = self.read(asked.clone(), |connection, (budgets, now)| {
            Box::pin(refusal(connection, budgets, *now))
        });
        if let Some(refused) = refused.await? {
            return Ok(refused);
        }
        // A second run takes a second try, of which nobody was told: rather that than a login that
        // fails because a connection broke.
        self.transact(Replay::Safe, asked, |connection, (budgets, now)| {
            Box::pin(take(connection, budgets, *now))
        })
        .await
    }

    async fn give_back_tries(
        &self,
        keys: &[ThrottleKey],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.transact(
            Replay::Unsafe,
            (keys.to_vec(), now),
            |connection, (keys, now)| Box::pin(give_back(connection, keys, *now)),
        )
        .await
    }

    async fn remove_tries(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write(
            Replay::Safe,
            (before, limit),
            |connection, &(before, limit)| Box::pin(delete(connection, before, limit)),
        )
        .await
    }
}

async fn refusal(
    connection: &mut PgConnection,
    budgets: &[TryBudget],
    now: Timestamp,
) -> Result<Option<Admission>, Error> {
    let mut records = read(connection, &keys_of(budgets)).await?;
    Ok(take_from(&mut records, budgets, now))
}

async fn take(
    connection: &mut PgConnection,
    budgets: &[TryBudget],
    now: Timestamp,
) -> Result<End<Admission>, Error> {
    let mut records = make_and_lock(connection, &keys_of(budgets), now).await?;
    if let Some(refused) = take_from(&mut records, budgets, now) {
        return Ok(End::RollBack(refused));
    }
    write(connection, &records).await?;
    Ok(End::Commit(Admission::Admitted))
}

fn keys_of(budgets: &[TryBudget]) -> Vec<&[u8]> {
    let keys = budgets
        .iter()
        .map(|budget| budget.key.as_bytes().as_slice());
    keys.collect()
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
) -> Result<End<()>, Error> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    let mut records = lock(connection, &keys).await?;
    for (_, record) in &mut records {
        record.give_back(now);
    }
    write(connection, &records).await.map(End::Commit)
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

async fn delete(
    connection: &mut PgConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
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
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

fn throttle_key(stored: &[u8]) -> Result<ThrottleKey, Error> {
    let bytes = stored.try_into().map(ThrottleKey::from_bytes);
    bytes.map_err(|_| Error::Decode("no key of 32 bytes".into()))
}
