//! Enrollments in PostgreSQL.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, Row};
use uuid::Uuid;

use super::{PostgresStore, Replay, email_changes, events, outbox, rows, users};
use crate::audit::AuditEvent;
use crate::store::stored::Change;
use crate::store::transaction::End;
use crate::store::{Enrollee, EnrollmentId, EnrollmentStore, NewMail, NewUser, StoreError, stored};
use crate::{EmailAddress, Timestamp};

#[async_trait]
impl EnrollmentStore for PostgresStore {
    async fn begin_enrollment(
        &self,
        enrollment: &Enrollee,
        mail: &NewMail,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        let begun = (enrollment.clone(), mail.clone(), event.clone());
        self.transact(
            Replay::Safe,
            begun,
            |connection, (enrollment, mail, event)| {
                Box::pin(begin(connection, enrollment, mail, event))
            },
        )
        .await
    }

    async fn find_enrollment(&self, id: EnrollmentId) -> Result<Option<Enrollee>, StoreError> {
        self.read(id, |connection, id| Box::pin(select(connection, *id)))
            .await
    }

    async fn find_enrollments_of(&self, email: &EmailAddress) -> Result<Vec<Enrollee>, StoreError> {
        self.read(email.clone(), |connection, email| {
            Box::pin(select_of(connection, email))
        })
        .await
    }

    async fn complete_enrollment(
        &self,
        id: EnrollmentId,
        user: &NewUser,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        self.transact(
            Replay::Unsafe,
            (id, user.clone(), event.clone()),
            |connection, (id, user, event)| Box::pin(complete(connection, *id, user, event)),
        )
        .await?
        .into()
    }

    async fn remove_enrollments(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write(
            Replay::Safe,
            (before, limit),
            |connection, &(before, limit)| Box::pin(delete(connection, before, limit)),
        )
        .await
    }
}

/// Locks the rows that compete with the enrollment. Rows are updated in place, so that a call that
/// waits for one reads what it has become. If another call has taken the slot meanwhile, the key
/// conflicts, and the rows are read again.
async fn begin(
    connection: &mut PgConnection,
    enrollment: &Enrollee,
    mail: &NewMail,
    event: &AuditEvent,
) -> Result<End<()>, Error> {
    while !put(connection, enrollment).await? {}
    outbox::enqueue(&mut *connection, mail).await?;
    events::insert(&mut *connection, event).await?;
    Ok(End::Commit(()))
}

/// Returns `false` if another call has taken the slot meanwhile.
async fn put(connection: &mut PgConnection, enrollment: &Enrollee) -> Result<bool, Error> {
    let rows = sqlx::query(
        "SELECT slot, email_key, id, email, username, username_canonical, password_hash, source,
                invited_by, begun_at, expires_at, completed_at
         FROM auth_enrollments
         WHERE email_key = $1 AND (slot = 0) = $2
         ORDER BY slot
         FOR UPDATE",
    )
    .bind(enrollment.email.key())
    .bind(enrollment.origin.source().is_none())
    .fetch_all(&mut *connection)
    .await?;
    let others = rows.iter().map(enrollee).collect::<Result<Vec<_>, _>>()?;
    let slots = rows.iter().map(|row| row.try_get("slot"));
    let slots = slots.collect::<Result<Vec<_>, _>>()?;
    let Some((slot, replaced)) = stored::slot(enrollment, &slots, &others) else {
        return Ok(true);
    };
    let credentials = enrollment.origin.credentials();
    let source = enrollment.origin.source();
    let put = sqlx::query(
        "INSERT INTO auth_enrollments
             (email_key, slot, id, email, username, username_canonical, password_hash, source,
              invited_by, begun_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (email_key, slot) DO UPDATE
         SET id = excluded.id, email = excluded.email, username = excluded.username,
             username_canonical = excluded.username_canonical,
             password_hash = excluded.password_hash, source = excluded.source,
             invited_by = excluded.invited_by, begun_at = excluded.begun_at,
             expires_at = excluded.expires_at, completed_at = NULL
         WHERE auth_enrollments.id = $12",
    )
    .bind(enrollment.email.key())
    .bind(slot)
    .bind(enrollment.id.as_uuid())
    .bind(enrollment.email.as_str())
    .bind(credentials.map(|(username, _)| username.as_str()))
    .bind(credentials.map(|(username, _)| username.canonical()))
    .bind(credentials.map(|(_, hash)| hash.as_stored()))
    .bind(source.map(|source| source.as_uuid()))
    .bind(enrollment.origin.invited_by().map(|by| by.as_uuid()))
    .bind(rows::to_sql(enrollment.begun_at)?)
    .bind(rows::to_sql(enrollment.expires_at)?)
    .bind(replaced.map(|replaced| replaced.as_uuid()))
    .execute(connection)
    .await?;
    Ok(put.rows_affected() == 1)
}

async fn select(
    connection: &mut PgConnection,
    id: EnrollmentId,
) -> Result<Option<Enrollee>, Error> {
    sqlx::query(
        "SELECT email_key, id, email, username, username_canonical, password_hash, source,
                invited_by, begun_at, expires_at, completed_at
         FROM auth_enrollments
         WHERE id = $1",
    )
    .bind(id.as_uuid())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(enrollee)
    .transpose()
}

async fn select_of(
    connection: &mut PgConnection,
    email: &EmailAddress,
) -> Result<Vec<Enrollee>, Error> {
    sqlx::query(
        "SELECT email_key, id, email, username, username_canonical, password_hash, source,
                invited_by, begun_at, expires_at, completed_at
         FROM auth_enrollments
         WHERE email_key = $1
         ORDER BY begun_at DESC, id DESC",
    )
    .bind(email.key())
    .fetch_all(connection)
    .await?
    .iter()
    .map(enrollee)
    .collect()
}

fn enrollee(row: &PgRow) -> Result<Enrollee, Error> {
    let origin = stored::enrollment_origin(
        row.try_get("username")?,
        row.try_get("username_canonical")?,
        row.try_get("password_hash")?,
        row.try_get::<Option<Uuid>, _>("source")?,
        row.try_get::<Option<Uuid>, _>("invited_by")?,
    );
    Ok(Enrollee {
        completed_at: rows::optional_time(row, "completed_at")?,
        ..Enrollee::new(
            EnrollmentId::from_uuid(row.try_get("id")?),
            rows::email(row, "email", "email_key")?,
            origin,
            rows::time(row, "begun_at")?,
            rows::time(row, "expires_at")?,
        )
    })
}

/// The rows of the address are locked first, in the order in which others lock them: of two uses at
/// once the second waits, and then finds the enrollment completed, or gone.
async fn complete(
    connection: &mut PgConnection,
    id: EnrollmentId,
    user: &NewUser,
    event: &AuditEvent,
) -> Result<End<Change>, Error> {
    sqlx::query(
        "SELECT slot
         FROM auth_enrollments
         WHERE email_key = (SELECT email_key FROM auth_enrollments WHERE id = $1)
         ORDER BY slot
         FOR UPDATE",
    )
    .bind(id.as_uuid())
    .execute(&mut *connection)
    .await?;
    // No password verifies against the mark that takes the place of a hash.
    let completed = sqlx::query(
        "UPDATE auth_enrollments
         SET completed_at = $2,
             password_hash = CASE WHEN password_hash IS NULL THEN NULL ELSE '!' END
         WHERE id = $1 AND completed_at IS NULL",
    )
    .bind(id.as_uuid())
    .bind(rows::to_sql(event.at)?)
    .execute(&mut *connection)
    .await?;
    if completed.rows_affected() == 0 {
        return Ok(Change::NoSuchUser.into());
    }
    users::insert_user(&mut *connection, user).await?;
    if email_changes::has_reserved_address(connection, user.user.id, event.at).await? {
        return Ok(Change::EmailReserved.into());
    }
    sqlx::query(
        "DELETE FROM auth_enrollments
         WHERE email_key = (SELECT email_key FROM auth_enrollments WHERE id = $1) AND id <> $1",
    )
    .bind(id.as_uuid())
    .execute(&mut *connection)
    .await?;
    events::insert(&mut *connection, event).await?;
    Ok(Change::done().into())
}

async fn delete(
    connection: &mut PgConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_enrollments
         WHERE id IN (
             SELECT id
             FROM auth_enrollments
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
