//! What happens to accounts in SQLite.

use async_trait::async_trait;
use sqlx::{Error, SqliteConnection};

use super::{SqliteStore, email_changes, events, revocations, sessions, throttle};
use crate::audit::AuditEvent;
use crate::store::stored::{self, Change};
use crate::store::transaction::End;
use crate::store::{AccountChange, AccountStore, Ending, Revoked, StoreError};
use crate::{PasswordHash, UserId};

#[async_trait]
impl AccountStore for SqliteStore {
    async fn change_user(
        &self,
        id: UserId,
        change: &AccountChange,
        ending: &Ending,
        events: &[AuditEvent],
    ) -> Result<Option<Revoked>, StoreError> {
        let changed = (id, change.clone(), *ending, events.to_vec());
        let outcome = self.transact(changed, |connection, (id, change, ending, events)| {
            Box::pin(update(connection, *id, change, ending, events))
        });
        let outcome = outcome.await;
        self.tell_of_revocations();
        outcome?.into()
    }

    async fn delete_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError> {
        let deleted = (id, *ending, event.clone());
        let outcome = self.transact(deleted, |connection, (id, ending, event)| {
            Box::pin(delete(connection, *id, ending, event))
        });
        let outcome = outcome.await;
        self.tell_of_revocations();
        outcome.map_err(stored::refused_deletion)?.into()
    }
}

/// One transaction writes at a time: what is read here is true until the commit.
async fn is_last_superuser(connection: &mut SqliteConnection, id: UserId) -> Result<bool, Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM auth_users WHERE id = ?1 AND is_superuser AND is_active)
             AND NOT EXISTS (SELECT 1 FROM auth_users WHERE id <> ?1 AND is_superuser AND is_active)",
    )
    .bind(id.as_uuid())
    .fetch_one(connection)
    .await
}

async fn update(
    connection: &mut SqliteConnection,
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
         SET is_active = COALESCE(?2, is_active),
             is_superuser = COALESCE(?3, is_superuser),
             roles = COALESCE(?4, roles),
             password_hash = COALESCE(?5, password_hash),
             token_epoch = token_epoch + CASE WHEN ?7 THEN 1 ELSE 0 END
         WHERE id = ?1 AND (?6 IS NULL OR password_hash = ?6)
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
        revoked = sessions::end_sessions_of(connection, id, kept, ending, change.at).await?;
    }
    if change.ends_tokens() {
        let epoch = stored::epoch(*epoch)?;
        let revocation = stored::revocation_of_user(id, epoch, ending);
        revocations::record(connection, &revocation).await?;
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
    connection: &mut SqliteConnection,
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
         WHERE id = ?1",
    )
    .bind(id.as_uuid())
    .execute(&mut *connection)
    .await?;
    if shut_out.rows_affected() == 0 {
        return Ok(Change::NoSuchUser.into());
    }
    let revoked = sessions::end_sessions_of(connection, id, None, ending, event.at).await?;
    sqlx::query(
        "DELETE FROM auth_users
         WHERE id = ?1",
    )
    .bind(id.as_uuid())
    .execute(&mut *connection)
    .await?;
    events::insert(&mut *connection, event).await?;
    Ok(Change::Done(revoked).into())
}
