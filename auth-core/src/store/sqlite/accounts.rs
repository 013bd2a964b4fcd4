//! What happens to accounts in SQLite.

use async_trait::async_trait;
use sqlx::{Error, SqliteConnection, SqlitePool};

use super::{SqliteStore, error::store_error, events, revocations, sessions};
use crate::audit::AuditEvent;
use crate::store::{AccountStore, Ending, StoreError, stored};
use crate::{PasswordHash, SessionId, UserId};

#[async_trait]
impl AccountStore for SqliteStore {
    async fn deactivate_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = deactivate(&self.writer, id, ending, event).await;
        self.tell_of_revocations();
        outcome.map_err(store_error)?
    }

    async fn activate_user(&self, id: UserId, event: &AuditEvent) -> Result<bool, StoreError> {
        let outcome = activate(&self.writer, id, event).await;
        outcome.map_err(store_error)
    }

    async fn delete_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = delete(&self.writer, id, ending, event).await;
        self.tell_of_revocations();
        outcome.map_err(store_error)?
    }

    async fn grant_superuser(&self, id: UserId, event: &AuditEvent) -> Result<bool, StoreError> {
        let outcome = grant(&self.writer, id, event).await;
        outcome.map_err(store_error)
    }

    async fn revoke_superuser(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = demote(&self.writer, id, ending, event).await;
        self.tell_of_revocations();
        outcome.map_err(store_error)?
    }

    async fn change_password(
        &self,
        id: UserId,
        replacement: &PasswordHash,
        except: Option<SessionId>,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = replace_hash(&self.writer, id, replacement, except, ending, event).await;
        self.tell_of_revocations();
        outcome.map_err(store_error)
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

async fn deactivate(
    pool: &SqlitePool,
    id: UserId,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Result<bool, StoreError>, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    if is_last_superuser(&mut transaction, id).await? {
        return Ok(Err(StoreError::LastSuperuser));
    }
    let updated = sqlx::query(
        "UPDATE auth_users
         SET is_active = FALSE
         WHERE id = ?1",
    )
    .bind(id.as_uuid())
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(Ok(false));
    }
    sessions::end_sessions_of(&mut transaction, id, None, ending, event.at).await?;
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(Ok(true))
}

async fn activate(pool: &SqlitePool, id: UserId, event: &AuditEvent) -> Result<bool, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let updated = sqlx::query(
        "UPDATE auth_users
         SET is_active = TRUE
         WHERE id = ?1",
    )
    .bind(id.as_uuid())
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(false);
    }
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(true)
}

/// The sessions end before they go with the user: their revocations stay. From the first change on
/// no login begins another.
async fn delete(
    pool: &SqlitePool,
    id: UserId,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Result<bool, StoreError>, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    if is_last_superuser(&mut transaction, id).await? {
        return Ok(Err(StoreError::LastSuperuser));
    }
    let locked = sqlx::query(
        "UPDATE auth_users
         SET is_active = FALSE
         WHERE id = ?1",
    )
    .bind(id.as_uuid())
    .execute(&mut *transaction)
    .await?;
    if locked.rows_affected() == 0 {
        return Ok(Ok(false));
    }
    sessions::end_sessions_of(&mut transaction, id, None, ending, event.at).await?;
    sqlx::query(
        "DELETE FROM auth_users
         WHERE id = ?1",
    )
    .bind(id.as_uuid())
    .execute(&mut *transaction)
    .await?;
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(Ok(true))
}

async fn grant(pool: &SqlitePool, id: UserId, event: &AuditEvent) -> Result<bool, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let updated = sqlx::query(
        "UPDATE auth_users
         SET is_superuser = TRUE
         WHERE id = ?1",
    )
    .bind(id.as_uuid())
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(false);
    }
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn demote(
    pool: &SqlitePool,
    id: UserId,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Result<bool, StoreError>, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    if is_last_superuser(&mut transaction, id).await? {
        return Ok(Err(StoreError::LastSuperuser));
    }
    let updated = sqlx::query(
        "UPDATE auth_users
         SET is_superuser = FALSE
         WHERE id = ?1",
    )
    .bind(id.as_uuid())
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(Ok(false));
    }
    let revocation = stored::revocation_of_user(id, ending);
    revocations::record(&mut transaction, &revocation).await?;
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(Ok(true))
}

async fn replace_hash(
    pool: &SqlitePool,
    id: UserId,
    replacement: &PasswordHash,
    except: Option<SessionId>,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<bool, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let updated = sqlx::query(
        "UPDATE auth_users
         SET password_hash = ?2
         WHERE id = ?1",
    )
    .bind(id.as_uuid())
    .bind(replacement.as_stored())
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(false);
    }
    sessions::end_sessions_of(&mut transaction, id, except, ending, event.at).await?;
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(true)
}
