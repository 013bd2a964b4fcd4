//! What operators ask for, in SQLite.

use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row, SqliteConnection};
use uuid::Uuid;

use super::{SqliteStore, rows};
use crate::Timestamp;
use crate::store::{MailState, OwedMail, StoreError, stored};

impl SqliteStore {
    /// Tells whether there is a superuser.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    pub async fn has_superuser(&self) -> Result<bool, StoreError> {
        self.read((), |connection, ()| Box::pin(has_superuser(connection)))
            .await
    }

    /// Lists the mails of the outbox, the oldest first, `limit` at most.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    pub async fn list_owed_mails(&self, limit: u32) -> Result<Vec<OwedMail>, StoreError> {
        self.read(limit, |connection, limit| {
            Box::pin(list_mails(connection, *limit))
        })
        .await
    }

    /// Lets a mail that was given up be tried again, from `now` on; returns whether it was given up.
    ///
    /// One that is owed again by now, by a newer row, is left as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    pub async fn retry_mail(&self, id: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        self.write((id, now), |connection, &(id, now)| {
            Box::pin(retry_mail(connection, id, now))
        })
        .await
    }
}

async fn has_superuser(connection: &mut SqliteConnection) -> Result<bool, Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM auth_users WHERE is_superuser)")
        .fetch_one(connection)
        .await
}

async fn list_mails(connection: &mut SqliteConnection, limit: u32) -> Result<Vec<OwedMail>, Error> {
    let rows = sqlx::query(
        "SELECT id, kind, address, address_key, due, attempts, last_error, abandoned_at
         FROM auth_outbox
         ORDER BY id
         LIMIT ?1",
    )
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(owed_mail).collect()
}

fn owed_mail(row: &SqliteRow) -> Result<OwedMail, Error> {
    let given_up: Option<i64> = row.try_get("abandoned_at")?;
    let state = match given_up {
        Some(at) => MailState::GivenUp(Timestamp::from_unix_micros(at)),
        None => MailState::Waits(Timestamp::from_unix_micros(row.try_get("due")?)),
    };
    Ok(OwedMail {
        id: row.try_get("id")?,
        kind: stored::mail_kind(row.try_get("kind")?)?,
        to: rows::email(row, "address", "address_key")?,
        attempts: stored::count(row.try_get("attempts")?)?,
        state,
        last_error: row.try_get("last_error")?,
    })
}

async fn retry_mail(
    connection: &mut SqliteConnection,
    id: Uuid,
    now: Timestamp,
) -> Result<bool, Error> {
    let updated = sqlx::query(
        "UPDATE auth_outbox AS given_up
         SET due = ?2, attempts = 0, abandoned_at = NULL
         WHERE id = ?1
             AND abandoned_at IS NOT NULL
             AND NOT EXISTS (
                 SELECT 1
                 FROM auth_outbox AS owed
                 WHERE owed.kind = given_up.kind
                     AND owed.address_key = given_up.address_key
                     AND owed.about = given_up.about
                     AND owed.abandoned_at IS NULL
             )",
    )
    .bind(id)
    .bind(now.unix_micros())
    .execute(connection)
    .await?;
    Ok(updated.rows_affected() > 0)
}
