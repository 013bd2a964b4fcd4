//! What happens to accounts in PostgreSQL.

use async_trait::async_trait;
use sqlx::{Error, PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::{
    PostgresStore, Replay, RevocationDelivery, email_changes, events, revocations, sessions,
};
use crate::audit::AuditEvent;
use crate::store::stored::{self, Change};
use crate::store::{AccountStore, Ending, PasswordReplacement, StoreError};
use crate::{PasswordHash, Roles, UserId};

#[async_trait]
impl AccountStore for PostgresStore {
    async fn deactivate_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        self.run(Replay::Safe, || {
            deactivate(&self.pool, self.delivery, id, ending, event)
        })
        .await?
        .into()
    }

    async fn activate_user(&self, id: UserId, event: &AuditEvent) -> Result<bool, StoreError> {
        self.run(Replay::Safe, || activate(&self.pool, id, event))
            .await?
            .into()
    }

    async fn delete_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        // A second run would find nobody.
        self.run(Replay::Unsafe, || {
            delete(&self.pool, self.delivery, id, ending, event)
        })
        .await?
        .into()
    }

    async fn grant_superuser(&self, id: UserId, event: &AuditEvent) -> Result<bool, StoreError> {
        self.run(Replay::Safe, || grant(&self.pool, id, event))
            .await?
            .into()
    }

    async fn revoke_superuser(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        self.run(Replay::Safe, || {
            demote(&self.pool, self.delivery, id, ending, event)
        })
        .await?
        .into()
    }

    async fn set_roles(
        &self,
        id: UserId,
        roles: &Roles,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        self.run(Replay::Safe, || {
            replace_roles(&self.pool, self.delivery, id, roles, ending, event)
        })
        .await?
        .into()
    }

    async fn change_password(
        &self,
        id: UserId,
        replacement: &PasswordReplacement,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        // A second run would not find the hash that it expects.
        let replay = match replacement.expected {
            Some(_) => Replay::Unsafe,
            None => Replay::Safe,
        };
        self.run(replay, || {
            replace_hash(&self.pool, self.delivery, id, replacement, ending, event)
        })
        .await?
        .into()
    }
}

/// Whatever the database's default is: each statement is to see what was committed before it, such
/// as the session of a login that held the lock on the user.
async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, Error> {
    pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED")
        .await
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

async fn deactivate(
    pool: &PgPool,
    delivery: RevocationDelivery,
    id: UserId,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let mut transaction = begin(pool).await?;
    if is_last_superuser(&mut transaction, id).await? {
        return Ok(Change::LastSuperuser);
    }
    let is_there = change(
        &mut transaction,
        "UPDATE auth_users
         SET is_active = FALSE
         WHERE id = $1",
        id,
    );
    if !is_there.await? {
        return Ok(Change::NoSuchUser);
    }
    sessions::end_sessions_of(&mut transaction, delivery, id, None, ending, event.at).await?;
    finish(transaction, event).await
}

async fn activate(pool: &PgPool, id: UserId, event: &AuditEvent) -> Result<Change, Error> {
    let mut transaction = begin(pool).await?;
    let is_there = change(
        &mut transaction,
        "UPDATE auth_users
         SET is_active = TRUE
         WHERE id = $1",
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
    pool: &PgPool,
    delivery: RevocationDelivery,
    id: UserId,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let mut transaction = begin(pool).await?;
    if is_last_superuser(&mut transaction, id).await? {
        return Ok(Change::LastSuperuser);
    }
    let is_there = change(
        &mut transaction,
        "UPDATE auth_users
         SET is_active = FALSE
         WHERE id = $1",
        id,
    );
    if !is_there.await? {
        return Ok(Change::NoSuchUser);
    }
    sessions::end_sessions_of(&mut transaction, delivery, id, None, ending, event.at).await?;
    change(
        &mut transaction,
        "DELETE FROM auth_users
         WHERE id = $1",
        id,
    )
    .await?;
    finish(transaction, event).await
}

async fn grant(pool: &PgPool, id: UserId, event: &AuditEvent) -> Result<Change, Error> {
    let mut transaction = begin(pool).await?;
    let is_there = change(
        &mut transaction,
        "UPDATE auth_users
         SET is_superuser = TRUE
         WHERE id = $1",
        id,
    );
    if !is_there.await? {
        return Ok(Change::NoSuchUser);
    }
    finish(transaction, event).await
}

async fn demote(
    pool: &PgPool,
    delivery: RevocationDelivery,
    id: UserId,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let mut transaction = begin(pool).await?;
    if is_last_superuser(&mut transaction, id).await? {
        return Ok(Change::LastSuperuser);
    }
    let is_there = change(
        &mut transaction,
        "UPDATE auth_users
         SET is_superuser = FALSE
         WHERE id = $1",
        id,
    );
    if !is_there.await? {
        return Ok(Change::NoSuchUser);
    }
    let revocation = stored::revocation_of_user(id, ending);
    revocations::record(&mut transaction, delivery, &[revocation]).await?;
    finish(transaction, event).await
}

async fn replace_roles(
    pool: &PgPool,
    delivery: RevocationDelivery,
    id: UserId,
    roles: &Roles,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let mut transaction = begin(pool).await?;
    let updated = sqlx::query(
        "UPDATE auth_users
         SET roles = $2
         WHERE id = $1",
    )
    .bind(id.as_uuid())
    .bind(roles.to_string())
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(Change::NoSuchUser);
    }
    let revocation = stored::revocation_of_user(id, ending);
    revocations::record(&mut transaction, delivery, &[revocation]).await?;
    finish(transaction, event).await
}

async fn replace_hash(
    pool: &PgPool,
    delivery: RevocationDelivery,
    id: UserId,
    replacement: &PasswordReplacement,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let mut transaction = begin(pool).await?;
    let updated = sqlx::query(
        "UPDATE auth_users
         SET password_hash = $2
         WHERE id = $1 AND ($3::text IS NULL OR password_hash = $3)",
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
    sessions::end_sessions_of(&mut transaction, delivery, id, except, ending, event.at).await?;
    finish(transaction, event).await
}

/// Changes the user's row, which is locked from then on; tells whether there is one.
async fn change(
    connection: &mut PgConnection,
    statement: &'static str,
    id: UserId,
) -> Result<bool, Error> {
    let changed = sqlx::query(statement).bind(id.as_uuid());
    Ok(changed.execute(connection).await?.rows_affected() == 1)
}

/// Leaves the event with the change.
async fn finish(
    mut transaction: Transaction<'_, Postgres>,
    event: &AuditEvent,
) -> Result<Change, Error> {
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(Change::Done)
}
