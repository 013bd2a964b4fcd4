//! What operators ask for, in PostgreSQL.

use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, Row};
use uuid::Uuid;

use super::{PostgresStore, Replay, rows};
use crate::Timestamp;
use crate::store::{MailState, OwedMail, StoreError, stored};

impl PostgresStore {
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
        self.write(Replay::Safe, (id, now), |connection, &(id, now)| {
            Box::pin(retry_mail(connection, id, now))
        })
        .await
    }
}

async fn has_superuser(connection: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM auth_users WHERE is_superuser)")
        .fetch_one(connection)
        .await
}

async fn list_mails(connection: &mut PgConnection, limit: u32) -> Result<Vec<OwedMail>, Error> {
    let rows = sqlx::query(
        "SELECT id, kind, address, address_key, due, attempts, last_error, abandoned_at
         FROM auth_outbox
         ORDER BY id
         LIMIT $1",
    )
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(owed_mail).collect()
}

fn owed_mail(row: &PgRow) -> Result<OwedMail, Error> {
    let state = match rows::optional_time(row, "abandoned_at")? {
        Some(at) => MailState::GivenUp(at),
        None => MailState::Waits(rows::time(row, "due")?),
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
    connection: &mut PgConnection,
    id: Uuid,
    now: Timestamp,
) -> Result<bool, Error> {
    let updated = sqlx::query(
        "UPDATE auth_outbox AS given_up
         SET due = $2, attempts = 0, abandoned_at = NULL
         WHERE id = $1
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
    .bind(rows::to_sql(now)?)
    .execute(connection)
    .await?;
    Ok(updated.rows_affected() > 0)
}
