//! What happens to accounts in SQLite.

use async_trait::async_trait;
use sqlx::{Error, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::{SqliteStore, email_changes, error::store_error, events, revocations, sessions};
use crate::audit::AuditEvent;
use crate::store::stored::{self, Change};
use crate::store::{AccountStore, Ending, PasswordReplacement, StoreError};
use crate::{PasswordHash, Roles, UserId};

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
        outcome.map_err(store_error)?.into()
    }

    async fn activate_user(&self, id: UserId, event: &AuditEvent) -> Result<bool, StoreError> {
        let outcome = activate(&self.writer, id, event).await;
        outcome.map_err(store_error)?.into()
    }

    async fn delete_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = delete(&self.writer, id, ending, event).await;
        self.tell_of_revocations();
        outcome.map_err(store_error)?.into()
    }

    async fn grant_superuser(&self, id: UserId, event: &AuditEvent) -> Result<bool, StoreError> {
        let outcome = grant(&self.writer, id, event).await;
        outcome.map_err(store_error)?.into()
    }

    async fn revoke_superuser(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = demote(&self.writer, id, ending, event).await;
        self.tell_of_revocations();
        outcome.map_err(store_error)?.into()
    }

    async fn set_roles(
        &self,
        id: UserId,
        roles: &Roles,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = replace_roles(&self.writer, id, roles, ending, event).await;
        self.tell_of_revocations();
        outcome.map_err(store_error)?.into()
    }

    async fn change_password(
        &self,
        id: UserId,
        replacement: &PasswordReplacement,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = replace_hash(&self.writer, id, replacement, ending, event).await;
        self.tell_of_revocations();
        outcome.map_err(store_error)?.into()
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
) -> Result<Change, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    if is_last_superuser(&mut transaction, id).await? {
        return Ok(Change::LastSuperuser);
    }
    let is_there = change(
        &mut transaction,
        "UPDATE auth_users
         SET is_active = FALSE
         WHERE id = ?1",
        id,
    );
    if !is_there.await? {
        return Ok(Change::NoSuchUser);
    }
    sessions::end_sessions_of(&mut transaction, id, None, ending, event.at).await?;
    finish(transaction, event).await
}

async fn activate(pool: &SqlitePool, id: UserId, event: &AuditEvent) -> Result<Change, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let is_there = change(
        &mut transaction,
        "UPDATE auth_users
         SET is_active = TRUE
         WHERE id = ?1",
        id,
    );
    if !is_there.await? {
        return Ok(Change::NoSuchUser);
    }
    finish(transaction, event).await
}

/// The sessions end before they go with the user: their revocations stay. From the first change on
/// no login begins another.
async fn delete(
    pool: &SqlitePool,
    id: UserId,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    if is_last_superuser(&mut transaction, id).await? {
        return Ok(Change::LastSuperuser);
    }
    let is_there = change(
        &mut transaction,
        "UPDATE auth_users
         SET is_active = FALSE
         WHERE id = ?1",
        id,
    );
    if !is_there.await? {
        return Ok(Change::NoSuchUser);
    }
    sessions::end_sessions_of(&mut transaction, id, None, ending, event.at).await?;
    change(
        &mut transaction,
        "DELETE FROM auth_users
         WHERE id = ?1",
        id,
    )
    .await?;
    finish(transaction, event).await
}

async fn grant(pool: &SqlitePool, id: UserId, event: &AuditEvent) -> Result<Change, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let is_there = change(
        &mut transaction,
        "UPDATE auth_users
         SET is_superuser = TRUE
         WHERE id = ?1",
        id,
    );
    if !is_there.await? {
        return Ok(Change::NoSuchUser);
    }
    finish(transaction, event).await
}

async fn demote(
    pool: &SqlitePool,
    id: UserId,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    if is_last_superuser(&mut transaction, id).await? {
        return Ok(Change::LastSuperuser);
    }
    let is_there = change(
        &mut transaction,
        "UPDATE auth_users
         SET is_superuser = FALSE
         WHERE id = ?1",
        id,
    );
    if !is_there.await? {
        return Ok(Change::NoSuchUser);
    }
    let revocation = stored::revocation_of_user(id, ending);
    revocations::record(&mut transaction, &revocation).await?;
    finish(transaction, event).await
}

async fn replace_roles(
    pool: &SqlitePool,
    id: UserId,
    roles: &Roles,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let updated = sqlx::query(
        "UPDATE auth_users
         SET roles = ?2
         WHERE id = ?1",
    )
    .bind(id.as_uuid())
    .bind(roles.to_string())
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(Change::NoSuchUser);
    }
    let revocation = stored::revocation_of_user(id, ending);
    revocations::record(&mut transaction, &revocation).await?;
    finish(transaction, event).await
}

async fn replace_hash(
    pool: &SqlitePool,
    id: UserId,
    replacement: &PasswordReplacement,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let updated = sqlx::query(
        "UPDATE auth_users
         SET password_hash = ?2
         WHERE id = ?1 AND (?3 IS NULL OR password_hash = ?3)",
    )
    .bind(id.as_uuid())
    .bind(replacement.hash.as_stored())
    .bind(replacement.expected.as_ref().map(PasswordHash::as_stored))
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(Change::NoSuchUser);
    }
    email_changes::forget_pending(&mut transaction, id).await?;
    let except = replacement.except;
    sessions::end_sessions_of(&mut transaction, id, except, ending, event.at).await?;
    finish(transaction, event).await
}

/// Changes the user's row, which is locked from then on; tells whether there is one.
async fn change(
    connection: &mut SqliteConnection,
    statement: &'static str,
    id: UserId,
) -> Result<bool, Error> {
    let changed = sqlx::query(statement).bind(id.as_uuid());
    Ok(changed.execute(connection).await?.rows_affected() == 1)
}

/// Leaves the event with the change.
async fn finish(
    mut transaction: Transaction<'_, Sqlite>,
    event: &AuditEvent,
) -> Result<Change, Error> {
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(Change::Done)
}
