//! Users in PostgreSQL.

use async_trait::async_trait;
use sqlx::{Error, PgPool, Row};

use super::{PostgresStore, Replay, error, rows};
use crate::store::{EmailConfirmation, NewMail, NewUser, StoreError, UserStore, stored};
use crate::{EmailAddress, Generation, PasswordHash, Timestamp, User, UserId, Username};

#[async_trait]
impl UserStore for PostgresStore {
    async fn create_user(&self, user: &NewUser, mail: Option<&NewMail>) -> Result<(), StoreError> {
        self.run(Replay::Unsafe, || async {
            match mail {
                None => insert_user(&self.pool, user).await,
                Some(mail) => insert_user_with_mail(&self.pool, user, mail).await,
            }
        })
        .await
    }

    async fn create_first_superuser(&self, user: &NewUser) -> Result<bool, StoreError> {
        let outcome = self
            .run(Replay::Unsafe, || insert_first_superuser(&self.pool, user))
            .await;
        match outcome {
            // Of two at once with the same name, the later may meet the name before the conflict.
            Err(StoreError::UsernameTaken | StoreError::EmailTaken)
                if superuser_exists(&self.pool)
                    .await
                    .map_err(error::store_error)? =>
            {
                Ok(false)
            }
            other => other,
        }
    }

    async fn find_credentials(
        &self,
        username: &Username,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        self.run(Replay::Safe, || select_credentials(&self.pool, username))
            .await
    }

    async fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.run(Replay::Safe, || select_user(&self.pool, id)).await
    }

    async fn replace_password_hash(
        &self,
        id: UserId,
        current: &PasswordHash,
        replacement: &PasswordHash,
    ) -> Result<bool, StoreError> {
        self.run(Replay::Unsafe, || {
            swap_password_hash(&self.pool, id, current, replacement)
        })
        .await
    }

    async fn begin_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError> {
        // A second run ends the verification of the first, of which nobody knows yet.
        self.run(Replay::Safe, || begin_verification(&self.pool, email))
            .await
    }

    async fn confirm_email(
        &self,
        id: UserId,
        email: &EmailAddress,
        verification: Generation,
        now: Timestamp,
    ) -> Result<EmailConfirmation, StoreError> {
        self.run(Replay::Unsafe, || async {
            if confirm(&self.pool, id, email, verification, now).await? {
                return Ok(EmailConfirmation::Confirmed);
            }
            Ok(match is_verified(&self.pool, id, email).await? {
                Some(true) => EmailConfirmation::AlreadyConfirmed,
                Some(false) | None => EmailConfirmation::Superseded,
            })
        })
        .await
    }
}

async fn insert_user(pool: &PgPool, new: &NewUser) -> Result<(), Error> {
    let user = &new.user;
    sqlx::query(
        "INSERT INTO auth_users
             (id, username, username_canonical, email, email_key, password_hash,
              email_verified_at, is_active, is_superuser, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(user.id.as_uuid())
    .bind(user.username.as_str())
    .bind(user.username.canonical())
    .bind(user.email.as_str())
    .bind(user.email.key())
    .bind(new.password_hash.as_stored())
    .bind(user.email_verified_at.map(rows::to_sql).transpose()?)
    .bind(user.is_active)
    .bind(user.is_superuser)
    .bind(rows::to_sql(user.created_at)?)
    .execute(pool)
    .await
    .map(drop)
}

/// One statement, and so one round trip and one transaction.
async fn insert_user_with_mail(pool: &PgPool, new: &NewUser, mail: &NewMail) -> Result<(), Error> {
    let user = &new.user;
    sqlx::query(
        "WITH created AS (
             INSERT INTO auth_users
                 (id, username, username_canonical, email, email_key, password_hash,
                  email_verified_at, is_active, is_superuser, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             RETURNING id
         )
         INSERT INTO auth_outbox (id, kind, address, address_key, due)
         SELECT $11, $12, $13, $14, $15
         FROM created
         ON CONFLICT (kind, address_key) WHERE abandoned_at IS NULL DO NOTHING",
    )
    .bind(user.id.as_uuid())
    .bind(user.username.as_str())
    .bind(user.username.canonical())
    .bind(user.email.as_str())
    .bind(user.email.key())
    .bind(new.password_hash.as_stored())
    .bind(user.email_verified_at.map(rows::to_sql).transpose()?)
    .bind(user.is_active)
    .bind(user.is_superuser)
    .bind(rows::to_sql(user.created_at)?)
    .bind(mail.id)
    .bind(mail.kind.as_str())
    .bind(mail.to.as_str())
    .bind(mail.to.key())
    .bind(rows::to_sql(mail.due)?)
    .execute(pool)
    .await
    .map(drop)
}

/// Serializable isolation, since not all compatible engines have advisory locks: of two
/// transactions that both found no superuser, one fails and is run again.
async fn insert_first_superuser(pool: &PgPool, new: &NewUser) -> Result<bool, Error> {
    let user = &new.user;
    let mut transaction = pool
        .begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE")
        .await?;
    let created = sqlx::query(
        "INSERT INTO auth_users
             (id, username, username_canonical, email, email_key, password_hash,
              email_verified_at, is_active, is_superuser, created_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, TRUE, $9
         WHERE NOT EXISTS (SELECT 1 FROM auth_users WHERE is_superuser)",
    )
    .bind(user.id.as_uuid())
    .bind(user.username.as_str())
    .bind(user.username.canonical())
    .bind(user.email.as_str())
    .bind(user.email.key())
    .bind(new.password_hash.as_stored())
    .bind(user.email_verified_at.map(rows::to_sql).transpose()?)
    .bind(user.is_active)
    .bind(rows::to_sql(user.created_at)?)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(created.rows_affected() == 1)
}

async fn superuser_exists(pool: &PgPool) -> Result<bool, Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM auth_users WHERE is_superuser)")
        .fetch_one(pool)
        .await
}

async fn select_credentials(
    pool: &PgPool,
    username: &Username,
) -> Result<Option<(User, PasswordHash)>, Error> {
    let row = sqlx::query(
        "SELECT id, username, username_canonical, email, email_key, password_hash,
                email_verified_at, is_active, is_superuser, created_at
         FROM auth_users
         WHERE username_canonical = $1",
    )
    .bind(username.canonical())
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        let hash = PasswordHash::from_stored(row.try_get::<String, _>("password_hash")?);
        Ok((rows::user(&row)?, hash))
    })
    .transpose()
}

async fn select_user(pool: &PgPool, id: UserId) -> Result<Option<User>, Error> {
    sqlx::query(
        "SELECT id, username, username_canonical, email, email_key,
                email_verified_at, is_active, is_superuser, created_at
         FROM auth_users
         WHERE id = $1",
    )
    .bind(id.as_uuid())
    .fetch_optional(pool)
    .await?
    .as_ref()
    .map(rows::user)
    .transpose()
}

async fn swap_password_hash(
    pool: &PgPool,
    id: UserId,
    current: &PasswordHash,
    replacement: &PasswordHash,
) -> Result<bool, Error> {
    let swapped = sqlx::query(
        "UPDATE auth_users
         SET password_hash = $3
         WHERE id = $1 AND password_hash = $2",
    )
    .bind(id.as_uuid())
    .bind(current.as_stored())
    .bind(replacement.as_stored())
    .execute(pool)
    .await?;
    Ok(swapped.rows_affected() == 1)
}

async fn begin_verification(
    pool: &PgPool,
    email: &EmailAddress,
) -> Result<Option<(User, Generation)>, Error> {
    let row = sqlx::query(
        "UPDATE auth_users
         SET email_verification = email_verification + 1
         WHERE email_key = $1 AND is_active AND email_verified_at IS NULL
         RETURNING id, username, username_canonical, email, email_key,
                   email_verified_at, email_verification, is_active, is_superuser, created_at",
    )
    .bind(email.key())
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        let verification = stored::generation(row.try_get("email_verification")?)?;
        Ok((rows::user(&row)?, verification))
    })
    .transpose()
}

async fn confirm(
    pool: &PgPool,
    id: UserId,
    email: &EmailAddress,
    verification: Generation,
    now: Timestamp,
) -> Result<bool, Error> {
    let confirmed = sqlx::query(
        "UPDATE auth_users
         SET email_verified_at = $4
         WHERE id = $1 AND email_key = $2 AND email_verification = $3
             AND email_verified_at IS NULL",
    )
    .bind(id.as_uuid())
    .bind(email.key())
    .bind(stored::number(verification.number()))
    .bind(rows::to_sql(now)?)
    .execute(pool)
    .await?;
    Ok(confirmed.rows_affected() == 1)
}

async fn is_verified(
    pool: &PgPool,
    id: UserId,
    email: &EmailAddress,
) -> Result<Option<bool>, Error> {
    sqlx::query_scalar(
        "SELECT email_verified_at IS NOT NULL
         FROM auth_users
         WHERE id = $1 AND email_key = $2",
    )
    .bind(id.as_uuid())
    .bind(email.key())
    .fetch_optional(pool)
    .await
}
