//! The outbox in PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Error, PgConnection, PgExecutor, Row};

use super::{PostgresStore, Replay, rows};
use crate::Timestamp;
use crate::store::{ClaimedMail, NewMail, OutboxStore, StoreError, stored};

#[async_trait]
impl OutboxStore for PostgresStore {
    async fn enqueue_mail(&self, mail: &NewMail) -> Result<(), StoreError> {
        self.write(Replay::Safe, mail.clone(), |connection, mail| {
            Box::pin(enqueue(connection, mail))
        })
        .await
    }

    async fn claim_mail(
        &self,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<ClaimedMail>, StoreError> {
        self.write(Replay::Unsafe, (now, lease), |connection, &(now, lease)| {
            Box::pin(claim(connection, now, lease))
        })
        .await
    }

    async fn complete_mail(&self, mail: &ClaimedMail) -> Result<(), StoreError> {
        self.write(Replay::Safe, mail.clone(), |connection, mail| {
            Box::pin(complete(connection, mail))
        })
        .await
    }

    async fn postpone_mail(
        &self,
        mail: &ClaimedMail,
        due: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError> {
        let postponed = (mail.clone(), due, reason.to_owned());
        self.write(
            Replay::Safe,
            postponed,
            |connection, (mail, due, reason)| Box::pin(postpone(connection, mail, *due, reason)),
        )
        .await
    }

    async fn abandon_mail(
        &self,
        mail: &ClaimedMail,
        now: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError> {
        let abandoned = (mail.clone(), now, reason.to_owned());
        self.write(
            Replay::Safe,
            abandoned,
            |connection, (mail, now, reason)| Box::pin(abandon(connection, mail, *now, reason)),
        )
        .await
    }
}

pub(super) async fn enqueue(executor: impl PgExecutor<'_>, mail: &NewMail) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO auth_outbox (id, kind, address, address_key, about, due)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (kind, address_key, about) WHERE abandoned_at IS NULL DO NOTHING",
    )
    .bind(mail.id)
    .bind(mail.kind.as_str())
    .bind(mail.to.as_str())
    .bind(mail.to.key())
    .bind(mail.about.unwrap_or_default())
    .bind(rows::to_sql(mail.due)?)
    .execute(executor)
    .await
    .map(drop)
}

async fn claim(
    connection: &mut PgConnection,
    now: Timestamp,
    lease: Duration,
) -> Result<Option<ClaimedMail>, Error> {
    let row = sqlx::query(
        "UPDATE auth_outbox
         SET due = $2, attempts = attempts + 1
         WHERE id = (
             SELECT id
             FROM auth_outbox
             WHERE abandoned_at IS NULL AND due <= $1
             ORDER BY due
             LIMIT 1
             FOR UPDATE SKIP LOCKED
         )
         RETURNING id, kind, address, address_key, about, attempts",
    )
    .bind(rows::to_sql(now)?)
    .bind(rows::to_sql(now + lease)?)
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(ClaimedMail {
            about: stored::about(row.try_get("about")?),
            ..ClaimedMail::new(
                row.try_get("id")?,
                stored::mail_kind(row.try_get("kind")?)?,
                rows::email(&row, "address", "address_key")?,
                stored::count(row.try_get("attempts")?)?,
            )
        })
    })
    .transpose()
}

async fn complete(connection: &mut PgConnection, mail: &ClaimedMail) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM auth_outbox
         WHERE id = $1 AND attempts = $2 AND abandoned_at IS NULL",
    )
    .bind(mail.id)
    .bind(stored::number(mail.attempt))
    .execute(connection)
    .await
    .map(drop)
}

async fn postpone(
    connection: &mut PgConnection,
    mail: &ClaimedMail,
    due: Timestamp,
    reason: &str,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE auth_outbox
         SET due = $3, last_error = $4
         WHERE id = $1 AND attempts = $2 AND abandoned_at IS NULL",
    )
    .bind(mail.id)
    .bind(stored::number(mail.attempt))
    .bind(rows::to_sql(due)?)
    .bind(stored::note(reason))
    .execute(connection)
    .await
    .map(drop)
}

async fn abandon(
    connection: &mut PgConnection,
    mail: &ClaimedMail,
    now: Timestamp,
    reason: &str,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE auth_outbox
         SET abandoned_at = $3, last_error = $4
         WHERE id = $1 AND attempts = $2 AND abandoned_at IS NULL",
    )
    .bind(mail.id)
    .bind(stored::number(mail.attempt))
    .bind(rows::to_sql(now)?)
    .bind(stored::note(reason))
    .execute(connection)
    .await
    .map(drop)
}
