//! Changes of users' addresses in PostgreSQL.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, Row};
use uuid::Uuid;

use super::{PostgresStore, Replay, RevocationDelivery, events, outbox, rows, sessions};
use crate::audit::AuditEvent;
use crate::store::stored::Change;
use crate::store::transaction::End;
use crate::store::{
    EmailChange, EmailChangeId, EmailChangeStore, EmailChangeUndo, Ending, NewEmailChange, NewMail,
    Revoked, StoreError,
};
use crate::{PasswordHash, Timestamp, UserId};

#[async_trait]
impl EmailChangeStore for PostgresStore {
    async fn request_email_change(
        &self,
        change: &NewEmailChange,
        mail: &NewMail,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        self.transact(
            Replay::Safe,
            (change.clone(), mail.clone(), event.clone()),
            |connection, (change, mail, event)| Box::pin(request(connection, change, mail, event)),
        )
        .await?
        .into()
    }

    async fn find_email_change(
        &self,
        id: EmailChangeId,
    ) -> Result<Option<EmailChange>, StoreError> {
        self.read(id, |connection, id| Box::pin(select(connection, *id)))
            .await
    }

    async fn confirm_email_change(
        &self,
        id: EmailChangeId,
        undo_until: Timestamp,
        notice: &NewMail,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        self.transact(
            Replay::Unsafe,
            (id, undo_until, notice.clone(), event.clone()),
            |connection, (id, undo_until, notice, event)| {
                Box::pin(confirm(connection, *id, *undo_until, notice, event))
            },
        )
        .await?
        .into()
    }

    async fn undo_email_change(
        &self,
        id: EmailChangeId,
        change: &EmailChangeUndo,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError> {
        self.transact(
            Replay::Unsafe,
            (self.delivery, id, change.clone(), *ending, event.clone()),
            |connection, (delivery, id, change, ending, event)| {
                Box::pin(undo(connection, *delivery, *id, change, ending, event))
            },
        )
        .await?
        .into()
    }

    async fn remove_email_changes(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write(
            Replay::Safe,
            (before, limit),
            |connection, &(before, limit)| Box::pin(delete(connection, before, limit)),
        )
        .await
    }
}

/// The user's row is locked first: a password that is being replaced is waited for, and of two
/// requests at once the second one finds what the first has noted.
async fn request(
    connection: &mut PgConnection,
    change: &NewEmailChange,
    mail: &NewMail,
    event: &AuditEvent,
) -> Result<End<Change>, Error> {
    let proved = sqlx::query(
        "SELECT id
         FROM auth_users
         WHERE id = $1 AND is_active AND ($2::text IS NULL OR password_hash = $2)
         FOR NO KEY UPDATE",
    )
    .bind(change.user.as_uuid())
    .bind(change.proof.as_ref().map(PasswordHash::as_stored))
    .fetch_optional(&mut *connection)
    .await?;
    if proved.is_none() {
        return Ok(Change::NoSuchUser.into());
    }
    forget_pending(connection, change.user).await?;
    sqlx::query(
        "INSERT INTO auth_email_changes
             (id, user_id, former, former_key, email, email_key, requested_at)
         SELECT $1, id, email, email_key, $3, $4, $5
         FROM auth_users
         WHERE id = $2",
    )
    .bind(change.id.as_uuid())
    .bind(change.user.as_uuid())
    .bind(change.address.as_str())
    .bind(change.address.key())
    .bind(rows::to_sql(change.requested_at)?)
    .execute(&mut *connection)
    .await?;
    outbox::enqueue(&mut *connection, mail).await?;
    events::insert(&mut *connection, event).await?;
    Ok(Change::done().into())
}

/// Forgets what the user asked for and has not confirmed.
pub(super) async fn forget_pending(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM auth_email_changes
         WHERE user_id = $1 AND confirmed_at IS NULL",
    )
    .bind(user.as_uuid())
    .execute(connection)
    .await
    .map(drop)
}

async fn select(
    connection: &mut PgConnection,
    id: EmailChangeId,
) -> Result<Option<EmailChange>, Error> {
    sqlx::query(
        "SELECT id, user_id, former, former_key, email, email_key,
                requested_at, confirmed_at, undo_until, undone_at
         FROM auth_email_changes
         WHERE id = $1",
    )
    .bind(id.as_uuid())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(email_change)
    .transpose()
}

fn email_change(row: &PgRow) -> Result<EmailChange, Error> {
    Ok(EmailChange {
        confirmed_at: rows::optional_time(row, "confirmed_at")?,
        undo_until: rows::optional_time(row, "undo_until")?,
        undone_at: rows::optional_time(row, "undone_at")?,
        ..EmailChange::new(
            EmailChangeId::from_uuid(row.try_get("id")?),
            UserId::from_uuid(row.try_get("user_id")?),
            rows::email(row, "former", "former_key")?,
            rows::email(row, "email", "email_key")?,
            rows::time(row, "requested_at")?,
        )
    })
}

/// The user's row is locked first, as everywhere: of two uses at once the second one waits for it,
/// and then finds the change confirmed.
async fn confirm(
    connection: &mut PgConnection,
    id: EmailChangeId,
    undo_until: Timestamp,
    notice: &NewMail,
    event: &AuditEvent,
) -> Result<End<Change>, Error> {
    let found: Option<(Uuid, bool)> = sqlx::query_as(
        "SELECT u.id, u.email_verified_at IS NOT NULL
         FROM auth_users AS u
         JOIN auth_email_changes AS c ON c.user_id = u.id
         WHERE c.id = $1 AND c.confirmed_at IS NULL AND u.is_active AND u.email_key = c.former_key
         FOR UPDATE OF u",
    )
    .bind(id.as_uuid())
    .fetch_optional(&mut *connection)
    .await?;
    let Some((user, was_verified)) = found else {
        return Ok(Change::NoSuchUser.into());
    };
    let user = UserId::from_uuid(user);
    sqlx::query(
        "UPDATE auth_users AS u
         SET email = c.email, email_key = c.email_key, email_verified_at = $2,
             email_verification = u.email_verification + 1
         FROM auth_email_changes AS c
         WHERE c.id = $1 AND u.id = c.user_id",
    )
    .bind(id.as_uuid())
    .bind(rows::to_sql(event.at)?)
    .execute(&mut *connection)
    .await?;
    if has_reserved_address(connection, user, event.at).await? {
        return Ok(Change::EmailReserved.into());
    }
    let confirmed = sqlx::query(
        "UPDATE auth_email_changes
         SET confirmed_at = $2, undo_until = $3
         WHERE id = $1 AND confirmed_at IS NULL",
    )
    .bind(id.as_uuid())
    .bind(rows::to_sql(event.at)?)
    .bind(
        was_verified
            .then_some(undo_until)
            .map(rows::to_sql)
            .transpose()?,
    )
    .execute(&mut *connection)
    .await?;
    if confirmed.rows_affected() == 0 {
        return Ok(Change::NoSuchUser.into());
    }
    if was_verified {
        outbox::enqueue(&mut *connection, notice).await?;
    }
    events::insert(&mut *connection, event).await?;
    Ok(Change::done().into())
}

async fn undo(
    connection: &mut PgConnection,
    delivery: RevocationDelivery,
    id: EmailChangeId,
    change: &EmailChangeUndo,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<End<Change>, Error> {
    let restored: Option<Uuid> = sqlx::query_scalar(
        "UPDATE auth_users AS u
         SET email = c.former, email_key = c.former_key, email_verified_at = $2,
             email_verification = u.email_verification + 1, password_hash = $3
         FROM auth_email_changes AS c
         WHERE c.id = $1 AND c.undo_until > $2 AND c.undone_at IS NULL AND u.id = c.user_id
         RETURNING u.id",
    )
    .bind(id.as_uuid())
    .bind(rows::to_sql(event.at)?)
    .bind(change.password_hash.as_stored())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(user) = restored.map(UserId::from_uuid) else {
        return Ok(Change::NoSuchUser.into());
    };
    let undone = sqlx::query(
        "UPDATE auth_email_changes
         SET undone_at = $3
         WHERE user_id = $2 AND undone_at IS NULL AND confirmed_at >= (
             SELECT confirmed_at FROM auth_email_changes WHERE id = $1
         )",
    )
    .bind(id.as_uuid())
    .bind(user.as_uuid())
    .bind(rows::to_sql(event.at)?)
    .execute(&mut *connection)
    .await?;
    if undone.rows_affected() == 0 {
        return Ok(Change::NoSuchUser.into());
    }
    forget_pending(connection, user).await?;
    let revoked =
        sessions::end_sessions_of(connection, delivery, user, None, ending, event.at).await?;
    outbox::enqueue(&mut *connection, &change.mail).await?;
    events::insert(&mut *connection, event).await?;
    Ok(Change::Done(revoked).into())
}

/// Whether the address that the user has got in this transaction is one that another user can
/// still have back.
///
/// It is asked after the address was taken, never before: the transaction that reserves an address
/// is the one that frees it, and whoever takes an address that is being freed waits at the unique
/// index until that transaction has ended. A later statement at READ COMMITTED then sees its
/// reservation; a read beforehand, or in a snapshot from then, would not.
pub(super) async fn has_reserved_address(
    connection: &mut PgConnection,
    user: UserId,
    at: Timestamp,
) -> Result<bool, Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (
             SELECT 1
             FROM auth_users AS u
             JOIN auth_email_changes AS c ON c.former_key = u.email_key
             WHERE u.id = $1 AND c.user_id <> u.id AND c.undone_at IS NULL AND c.undo_until > $2
         )",
    )
    .bind(user.as_uuid())
    .bind(rows::to_sql(at)?)
    .fetch_one(connection)
    .await
}

async fn delete(
    connection: &mut PgConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    let deleted = sqlx::query(
        "DELETE FROM auth_email_changes
         WHERE id IN (
             SELECT id
             FROM auth_email_changes
             WHERE requested_at < $1
             ORDER BY requested_at
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
