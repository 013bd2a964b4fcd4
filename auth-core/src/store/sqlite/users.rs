//! Users in SQLite.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row, SqliteExecutor, SqlitePool};

use super::{SqliteStore, email_changes, error::store_error, events, outbox, rows, skeletons};
use crate::audit::AuditEvent;
use crate::store::stored::Change;
use crate::store::{
    EmailConfirmation, NewMail, NewUser, StoreError, UserFilter, UserSearch, UserStore, stored,
};
use crate::{EmailAddress, Generation, PasswordHash, Timestamp, User, UserId, Username};

#[async_trait]
impl UserStore for SqliteStore {
    async fn create_user(
        &self,
        user: &NewUser,
        mail: Option<&NewMail>,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        let outcome = register(&self.writer, user, mail, event).await;
        Result::from(outcome.map_err(store_error)?).map(drop)
    }

    async fn create_first_superuser(
        &self,
        user: &NewUser,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = insert_first_superuser(&self.writer, user, event).await;
        outcome.map_err(store_error)?.into()
    }

    async fn find_credentials(
        &self,
        username: &Username,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        let outcome = select_credentials(&self.readers, username).await;
        outcome.map_err(store_error)
    }

    async fn find_credentials_by_email(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        let outcome = select_credentials_by_email(&self.readers, email).await;
        outcome.map_err(store_error)
    }

    async fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        select_user(&self.readers, id).await.map_err(store_error)
    }

    async fn list_users(&self, filter: &UserFilter) -> Result<Vec<User>, StoreError> {
        let outcome = select_users(&self.readers, filter).await;
        outcome.map_err(store_error)
    }

    async fn fill_username_skeletons(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Option<UserId>, StoreError> {
        let outcome = skeletons::fill(&self.writer, after, limit).await;
        outcome.map_err(store_error)
    }

    async fn replace_password_hash(
        &self,
        id: UserId,
        current: &PasswordHash,
        replacement: &PasswordHash,
    ) -> Result<bool, StoreError> {
        let outcome = swap_password_hash(&self.writer, id, current, replacement).await;
        outcome.map_err(store_error)
    }

    async fn begin_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError> {
        let outcome = begin_verification(&self.writer, email).await;
        outcome.map_err(store_error)
    }

    async fn confirm_email(
        &self,
        id: UserId,
        email: &EmailAddress,
        verification: Generation,
        event: &AuditEvent,
    ) -> Result<EmailConfirmation, StoreError> {
        let outcome = confirm(&self.writer, id, email, verification, event).await;
        if outcome.map_err(store_error)? {
            return Ok(EmailConfirmation::Confirmed);
        }
        let outcome = is_verified(&self.readers, id, email).await;
        Ok(match outcome.map_err(store_error)? {
            Some(true) => EmailConfirmation::AlreadyConfirmed,
            Some(false) | None => EmailConfirmation::Superseded,
        })
    }
}

pub(super) async fn insert_user(
    executor: impl SqliteExecutor<'_>,
    new: &NewUser,
) -> Result<(), Error> {
    let user = &new.user;
    sqlx::query(
        "INSERT INTO auth_users
             (id, username, username_canonical, email, email_key, password_hash,
              email_verified_at, is_active, is_superuser, created_at, roles,
              username_skeleton)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )
    .bind(user.id.as_uuid())
    .bind(user.username.as_str())
    .bind(user.username.canonical())
    .bind(user.email.as_str())
    .bind(user.email.key())
    .bind(new.password_hash.as_stored())
    .bind(user.email_verified_at.map(Timestamp::unix_micros))
    .bind(user.is_active)
    .bind(user.is_superuser)
    .bind(user.created_at.unix_micros())
    .bind(user.roles.to_string())
    .bind(new.username_skeleton.as_deref())
    .execute(executor)
    .await
    .map(drop)
}

async fn register(
    pool: &SqlitePool,
    user: &NewUser,
    mail: Option<&NewMail>,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    insert_user(&mut *transaction, user).await?;
    if email_changes::has_reserved_address(&mut transaction, user.user.id, event.at).await? {
        return Ok(Change::EmailReserved);
    }
    if let Some(mail) = mail {
        outbox::enqueue(&mut *transaction, mail).await?;
    }
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(Change::Done)
}

async fn insert_first_superuser(
    pool: &SqlitePool,
    new: &NewUser,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let user = &new.user;
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let created = sqlx::query(
        "INSERT INTO auth_users
             (id, username, username_canonical, email, email_key, password_hash,
              email_verified_at, is_active, is_superuser, created_at, roles,
              username_skeleton)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, TRUE, ?9, ?10, ?11
         WHERE NOT EXISTS (SELECT 1 FROM auth_users WHERE is_superuser)",
    )
    .bind(user.id.as_uuid())
    .bind(user.username.as_str())
    .bind(user.username.canonical())
    .bind(user.email.as_str())
    .bind(user.email.key())
    .bind(new.password_hash.as_stored())
    .bind(user.email_verified_at.map(Timestamp::unix_micros))
    .bind(user.is_active)
    .bind(user.created_at.unix_micros())
    .bind(user.roles.to_string())
    .bind(new.username_skeleton.as_deref())
    .execute(&mut *transaction)
    .await?;
    if created.rows_affected() == 0 {
        return Ok(Change::NoSuchUser);
    }
    if email_changes::has_reserved_address(&mut transaction, user.id, event.at).await? {
        return Ok(Change::EmailReserved);
    }
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(Change::Done)
}

async fn select_credentials(
    pool: &SqlitePool,
    username: &Username,
) -> Result<Option<(User, PasswordHash)>, Error> {
    sqlx::query(
        "SELECT id, username, username_canonical, email, email_key, password_hash,
                email_verified_at, is_active, is_superuser, roles, created_at
         FROM auth_users
         WHERE username_canonical = ?1",
    )
    .bind(username.canonical())
    .fetch_optional(pool)
    .await?
    .as_ref()
    .map(credentials)
    .transpose()
}

async fn select_credentials_by_email(
    pool: &SqlitePool,
    email: &EmailAddress,
) -> Result<Option<(User, PasswordHash)>, Error> {
    sqlx::query(
        "SELECT id, username, username_canonical, email, email_key, password_hash,
                email_verified_at, is_active, is_superuser, roles, created_at
         FROM auth_users
         WHERE email_key = ?1",
    )
    .bind(email.key())
    .fetch_optional(pool)
    .await?
    .as_ref()
    .map(credentials)
    .transpose()
}

fn credentials(row: &SqliteRow) -> Result<(User, PasswordHash), Error> {
    let hash = PasswordHash::from_stored(row.try_get::<String, _>("password_hash")?);
    Ok((rows::user(row)?, hash))
}

async fn select_user(pool: &SqlitePool, id: UserId) -> Result<Option<User>, Error> {
    sqlx::query(
        "SELECT id, username, username_canonical, email, email_key,
                email_verified_at, is_active, is_superuser, roles, created_at
         FROM auth_users
         WHERE id = ?1",
    )
    .bind(id.as_uuid())
    .fetch_optional(pool)
    .await?
    .as_ref()
    .map(rows::user)
    .transpose()
}

async fn select_users(pool: &SqlitePool, filter: &UserFilter) -> Result<Vec<User>, Error> {
    let query = match filter.search {
        UserSearch::Username(_) => sqlx::query(
            "SELECT id, username, username_canonical, email, email_key,
                    email_verified_at, is_active, is_superuser, roles, created_at
             FROM auth_users
             WHERE username_canonical >= ?1 AND username_canonical < ?2
             ORDER BY username_canonical
             LIMIT ?3",
        ),
        UserSearch::Email(_) => sqlx::query(
            "SELECT id, username, username_canonical, email, email_key,
                    email_verified_at, is_active, is_superuser, roles, created_at
             FROM auth_users
             WHERE email_key >= ?1 AND email_key < ?2
             ORDER BY email_key
             LIMIT ?3",
        ),
    };
    let (first, end) = stored::key_range(filter);
    query
        .bind(first)
        .bind(end)
        .bind(i64::from(filter.limit))
        .fetch_all(pool)
        .await?
        .iter()
        .map(rows::user)
        .collect()
}

async fn swap_password_hash(
    pool: &SqlitePool,
    id: UserId,
    current: &PasswordHash,
    replacement: &PasswordHash,
) -> Result<bool, Error> {
    let swapped = sqlx::query(
        "UPDATE auth_users
         SET password_hash = ?3
         WHERE id = ?1 AND password_hash = ?2",
    )
    .bind(id.as_uuid())
    .bind(current.as_stored())
    .bind(replacement.as_stored())
    .execute(pool)
    .await?;
    Ok(swapped.rows_affected() == 1)
}

async fn begin_verification(
    pool: &SqlitePool,
    email: &EmailAddress,
) -> Result<Option<(User, Generation)>, Error> {
    let rows = sqlx::query(
        "UPDATE auth_users
         SET email_verification = email_verification + 1
         WHERE email_key = ?1 AND is_active AND email_verified_at IS NULL
         RETURNING id, username, username_canonical, email, email_key,
                   email_verified_at, email_verification, is_active, is_superuser, roles, created_at",
    )
    .bind(email.key())
    .fetch_all(pool)
    .await?;
    rows.first()
        .map(|row| {
            let verification = stored::generation(row.try_get("email_verification")?)?;
            Ok((rows::user(row)?, verification))
        })
        .transpose()
}

async fn confirm(
    pool: &SqlitePool,
    id: UserId,
    email: &EmailAddress,
    verification: Generation,
    event: &AuditEvent,
) -> Result<bool, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let confirmed = sqlx::query(
        "UPDATE auth_users
         SET email_verified_at = ?4
         WHERE id = ?1 AND email_key = ?2 AND email_verification = ?3
             AND email_verified_at IS NULL",
    )
    .bind(id.as_uuid())
    .bind(email.key())
    .bind(stored::number(verification.number()))
    .bind(event.at.unix_micros())
    .execute(&mut *transaction)
    .await?;
    let confirmed = confirmed.rows_affected() == 1;
    if confirmed {
        events::insert(&mut *transaction, event).await?;
    }
    transaction.commit().await?;
    Ok(confirmed)
}

async fn is_verified(
    pool: &SqlitePool,
    id: UserId,
    email: &EmailAddress,
) -> Result<Option<bool>, Error> {
    sqlx::query_scalar(
        "SELECT email_verified_at IS NOT NULL
         FROM auth_users
         WHERE id = ?1 AND email_key = ?2",
    )
    .bind(id.as_uuid())
    .bind(email.key())
    .fetch_optional(pool)
    .await
}
