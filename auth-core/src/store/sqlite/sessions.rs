//! Sessions in SQLite.

use async_trait::async_trait;
use sqlx::{Error, SqlitePool};

use super::{SqliteStore, error::store_error, rows};
use crate::store::{NewSession, SessionStore, StoreError, stored};
use crate::{Generation, PasswordHash, RevocationReason, Session, SessionId, Timestamp, UserId};

#[async_trait]
impl SessionStore for SqliteStore {
    async fn create_session(
        &self,
        session: &NewSession,
        checked: &PasswordHash,
    ) -> Result<bool, StoreError> {
        let outcome = insert(&self.writer, session, checked).await;
        outcome.map_err(store_error)
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        select(&self.readers, id).await.map_err(store_error)
    }

    async fn rotate_session(
        &self,
        id: SessionId,
        from: Generation,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let outcome = rotate(&self.writer, id, from, now).await;
        outcome.map_err(store_error)
    }

    async fn revoke_session(
        &self,
        id: SessionId,
        reason: RevocationReason,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let outcome = revoke(&self.writer, id, reason, now).await;
        outcome.map_err(store_error)
    }

    async fn revoke_user_sessions(
        &self,
        user: UserId,
        reason: RevocationReason,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let outcome = revoke_all(&self.writer, user, reason, now).await;
        outcome.map_err(store_error)
    }
}

async fn insert(
    pool: &SqlitePool,
    session: &NewSession,
    checked: &PasswordHash,
) -> Result<bool, Error> {
    let inserted = sqlx::query(
        "INSERT INTO auth_sessions (id, user_id, created_at, expires_at)
         SELECT ?1, id, ?3, ?4
         FROM auth_users
         WHERE id = ?2 AND is_active AND password_hash = ?5",
    )
    .bind(session.id.as_uuid())
    .bind(session.user_id.as_uuid())
    .bind(session.created_at.unix_micros())
    .bind(session.expires_at.unix_micros())
    .bind(checked.as_stored())
    .execute(pool)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

async fn select(pool: &SqlitePool, id: SessionId) -> Result<Option<Session>, Error> {
    sqlx::query(
        "SELECT s.id, s.user_id, s.generation, s.created_at, s.expires_at, s.rotated_at,
                s.revoked_at, u.is_active, u.is_superuser,
                u.email_verified_at IS NOT NULL AS email_verified
         FROM auth_sessions AS s
         JOIN auth_users AS u ON u.id = s.user_id
         WHERE s.id = ?1",
    )
    .bind(id.as_uuid())
    .fetch_optional(pool)
    .await?
    .as_ref()
    .map(rows::session)
    .transpose()
}

/// The user's columns come by subqueries, since `RETURNING` sees the updated table alone.
async fn rotate(
    pool: &SqlitePool,
    id: SessionId,
    from: Generation,
    now: Timestamp,
) -> Result<Option<Session>, Error> {
    let Some(next) = from.next() else {
        return Ok(None);
    };
    let rows = sqlx::query(
        "UPDATE auth_sessions
         SET generation = ?3, rotated_at = ?4
         WHERE id = ?1 AND generation = ?2 AND revoked_at IS NULL AND expires_at > ?4
             AND EXISTS (SELECT 1 FROM auth_users AS u WHERE u.id = user_id AND u.is_active)
         RETURNING id, user_id, generation, created_at, expires_at, rotated_at, revoked_at,
                   TRUE AS is_active,
                   (SELECT is_superuser FROM auth_users AS u WHERE u.id = user_id)
                       AS is_superuser,
                   (SELECT email_verified_at IS NOT NULL FROM auth_users AS u WHERE u.id = user_id)
                       AS email_verified",
    )
    .bind(id.as_uuid())
    .bind(stored::number(from.number()))
    .bind(stored::number(next.number()))
    .bind(now.unix_micros())
    .fetch_all(pool)
    .await?;
    rows.first().map(rows::session).transpose()
}

/// Ends an expired session too: another process's clock may run behind ours.
async fn revoke(
    pool: &SqlitePool,
    id: SessionId,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<bool, Error> {
    let were_live: Vec<bool> = sqlx::query_scalar(
        "UPDATE auth_sessions
         SET revoked_at = ?2, revoked_reason = ?3
         WHERE id = ?1 AND revoked_at IS NULL
         RETURNING expires_at > ?2",
    )
    .bind(id.as_uuid())
    .bind(now.unix_micros())
    .bind(reason.as_str())
    .fetch_all(pool)
    .await?;
    Ok(were_live.contains(&true))
}

async fn revoke_all(
    pool: &SqlitePool,
    user: UserId,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<u64, Error> {
    let were_live: Vec<bool> = sqlx::query_scalar(
        "UPDATE auth_sessions
         SET revoked_at = ?2, revoked_reason = ?3
         WHERE user_id = ?1 AND revoked_at IS NULL
         RETURNING expires_at > ?2",
    )
    .bind(user.as_uuid())
    .bind(now.unix_micros())
    .bind(reason.as_str())
    .fetch_all(pool)
    .await?;
    Ok(were_live.into_iter().map(u64::from).sum())
}
