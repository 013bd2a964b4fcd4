//! What happens to accounts in PostgreSQL.

use async_trait::async_trait;
use sqlx::{Error, PgConnection};
use uuid::Uuid;

use super::{
    PostgresStore, Replay, RevocationDelivery, email_changes, events, revocations, sessions,
    throttle,
};
use crate::audit::AuditEvent;
use crate::store::stored::{self, Change};
use crate::store::transaction::End;
use crate::store::{AccountChange, AccountStore, Ending, Revoked, StoreError};
use crate::{PasswordHash, UserId};

#[async_trait]
impl AccountStore for PostgresStore {
    async fn change_user(
        &self,
        id: UserId,
        change: &AccountChange,
        ending: &Ending,
        events: &[AuditEvent],
    ) -> Result<Option<Revoked>, StoreError> {
        // A second run would not find the hash that it expects.
        let replay = match change.expected_hash() {
            Some(_) => Replay::Unsafe,
            None => Replay::Safe,
        };
        self.transact(
            replay,
            (self.delivery, id, change.clone(), *ending, events.to_vec()),
            |connection, (delivery, id, change, ending, events)| {
                Box::pin(update(connection, *delivery, *id, change, ending, events))
            },
        )
        .await?
        .into()
    }

    async fn delete_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError> {
        // A second run would find nobody.
        self.transact(
            Replay::Unsafe,
            (self.delivery, id, *ending, event.clone()),
            |connection, (delivery, id, ending, event)| {
                Box::pin(delete(connection, *delivery, *id, ending, event))
            },
        )
        .await
        .map_err(stored::refused_deletion)?
        .into()
    }
}

/// Locks the active superusers, so that of two acts at once the second one sees what the first has
/// left: whether the user is the only one.
async fn is_last_superuser(connection: &mut PgConnection, id: UserId) -> Result<bool, Error> {
    let superusers: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id
         FROM auth_users
         WHERE is_superuser AND is_active
         ORDER BY id
         FOR NO KEY UPDATE",
    )
    .fetch_all(connection)
    .await?;
    Ok(superusers == [id.as_uuid()])
}

async fn update(
    connection: &mut PgConnection,
    delivery: RevocationDelivery,
    id: UserId,
    change: &AccountChange,
    ending: &Ending,
    events: &[AuditEvent],
) -> Result<End<Change>, Error> {
    if change.takes_rights() && is_last_superuser(connection, id).await? {
        return Ok(Change::LastSuperuser.into());
    }
    let epochs: Vec<i32> = sqlx::query_scalar(
        "UPDATE auth_users
         SET is_active = COALESCE($2, is_active),
             is_superuser = COALESCE($3, is_superuser),
             roles = COALESCE($4, roles),
             password_hash = COALESCE($5, password_hash),
             token_epoch = token_epoch + CASE WHEN $7::boolean THEN 1 ELSE 0 END
         WHERE id = $1 AND ($6::text IS NULL OR password_hash = $6)
         RETURNING token_epoch",
    )
    .bind(id.as_uuid())
    .bind(change.is_active)
    .bind(change.is_superuser)
    .bind(change.roles.as_ref().map(ToString::to_string))
    .bind(change.password_hash().map(PasswordHash::as_stored))
    .bind(change.expected_hash().map(PasswordHash::as_stored))
    .bind(change.ends_tokens())
    .fetch_all(&mut *connection)
    .await?;
    let Some(epoch) = epochs.first() else {
        return Ok(Change::NoSuchUser.into());
    };
    if change.password.is_some() {
        email_changes::forget_pending(connection, id).await?;
    }
    let mut revoked = Revoked::default();
    if change.ends_sessions() {
        let kept = change.kept_session();
        revoked =
            sessions::end_sessions_of(connection, delivery, id, kept, ending, change.at).await?;
    }
    if change.ends_tokens() {
        let epoch = stored::epoch(*epoch)?;
        let revocation = stored::revocation_of_user(id, epoch, ending);
        revocations::record(connection, delivery, &[revocation]).await?;
        revoked.epoch = Some(epoch);
    }
    for event in events {
        events::insert(&mut *connection, event).await?;
    }
    throttle::settle(connection, &change.settlement, change.at).await?;
    Ok(Change::Done(revoked).into())
}

/// The sessions end before they go with the user: their revocations stay. From the first change on
/// no login begins another.
async fn delete(
    connection: &mut PgConnection,
    delivery: RevocationDelivery,
    id: UserId,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<End<Change>, Error> {
    if is_last_superuser(connection, id).await? {
        return Ok(Change::LastSuperuser.into());
    }
    let shut_out = sqlx::query(
        "UPDATE auth_users
         SET is_active = FALSE
         WHERE id = $1",
    )
    .bind(id.as_uuid())
    .execute(&mut *connection)
    .await?;
    if shut_out.rows_affected() == 0 {
        return Ok(Change::NoSuchUser.into());
    }
    let revoked =
        sessions::end_sessions_of(connection, delivery, id, None, ending, event.at).await?;
    sqlx::query(
        "DELETE FROM auth_users
         WHERE id = $1",
    )
    .bind(id.as_uuid())
    .execute(&mut *connection)
    .await?;
    events::insert(&mut *connection, event).await?;
    Ok(Change::Done(revoked).into())
}
