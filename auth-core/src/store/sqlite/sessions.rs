//! Sessions in SQLite.

use async_trait::async_trait;
use sqlx::{Error, Row, SqliteConnection, SqlitePool};

use super::{SqliteStore, error::store_error, events, rows};
use crate::audit::AuditEvent;
use crate::store::{NewSession, SessionRotation, SessionStore, StoreError, stored};
use crate::{PasswordHash, RevocationReason, Session, SessionId, Timestamp, UserId};

#[async_trait]
impl SessionStore for SqliteStore {
    async fn create_session(
        &self,
        session: &NewSession,
        checked: &PasswordHash,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = insert(&self.writer, session, checked, event).await;
        outcome.map_err(store_error)
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        select(&self.readers, id).await.map_err(store_error)
    }

    async fn rotate_session(
        &self,
        rotation: &SessionRotation,
    ) -> Result<Option<Session>, StoreError> {
        rotate(&self.writer, rotation).await.map_err(store_error)
    }

    async fn touch_session(
        &self,
        id: SessionId,
        now: Timestamp,
        unused_since: Timestamp,
    ) -> Result<(), StoreError> {
        touch(&self.writer, id, now, unused_since)
            .await
            .map_err(store_error)
    }

    async fn revoke_session(
        &self,
        id: SessionId,
        reason: RevocationReason,
        event: &AuditEvent,
    ) -> Result<Option<UserId>, StoreError> {
        let outcome = revoke(&self.writer, id, reason, event).await;
        outcome.map_err(store_error)
    }

    async fn revoke_user_sessions(
        &self,
        user: UserId,
        reason: RevocationReason,
        event: &AuditEvent,
    ) -> Result<u64, StoreError> {
        let outcome = revoke_all(&self.writer, user, reason, event).await;
        outcome.map_err(store_error)
    }
}

async fn insert(
    pool: &SqlitePool,
    session: &NewSession,
    checked: &PasswordHash,
    event: &AuditEvent,
) -> Result<bool, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
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
    .execute(&mut *transaction)
    .await?;
    let begun = inserted.rows_affected() == 1;
    if begun {
        events::insert(&mut *transaction, event).await?;
        end_oldest(&mut transaction, session).await?;
    }
    transaction.commit().await?;
    Ok(begun)
}

/// Ends the user's live sessions beyond the bound; the new one always stays.
async fn end_oldest(connection: &mut SqliteConnection, session: &NewSession) -> Result<(), Error> {
    sqlx::query(
        "UPDATE auth_sessions
         SET revoked_at = ?3, revoked_reason = ?4
         WHERE id IN (
             SELECT id
             FROM auth_sessions
             WHERE user_id = ?1 AND id <> ?2 AND revoked_at IS NULL AND expires_at > ?3
             ORDER BY created_at DESC, id
             LIMIT -1 OFFSET ?5
         )",
    )
    .bind(session.user_id.as_uuid())
    .bind(session.id.as_uuid())
    .bind(session.created_at.unix_micros())
    .bind(RevocationReason::SessionLimit.as_str())
    .bind(i64::from(session.at_most.get()) - 1)
    .execute(connection)
    .await
    .map(drop)
}

async fn select(pool: &SqlitePool, id: SessionId) -> Result<Option<Session>, Error> {
    sqlx::query(
        "SELECT s.id, s.user_id, s.generation, s.created_at, s.expires_at, s.rotated_at,
                s.rotation_key, s.used_at, s.revoked_at, u.is_active, u.is_superuser,
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
async fn rotate(pool: &SqlitePool, rotation: &SessionRotation) -> Result<Option<Session>, Error> {
    let Some(next) = rotation.from.next() else {
        return Ok(None);
    };
    let rows = sqlx::query(
        "UPDATE auth_sessions
         SET generation = ?3, rotated_at = ?4, used_at = ?4, rotation_key = ?5
         WHERE id = ?1 AND generation = ?2 AND revoked_at IS NULL AND expires_at > ?4
             AND (?6 IS NULL OR COALESCE(used_at, created_at) > ?6)
             AND EXISTS (SELECT 1 FROM auth_users AS u WHERE u.id = user_id AND u.is_active)
         RETURNING id, user_id, generation, created_at, expires_at, rotated_at, rotation_key,
                   used_at, revoked_at, TRUE AS is_active,
                   (SELECT is_superuser FROM auth_users AS u WHERE u.id = user_id)
                       AS is_superuser,
                   (SELECT email_verified_at IS NOT NULL FROM auth_users AS u WHERE u.id = user_id)
                       AS email_verified",
    )
    .bind(rotation.id.as_uuid())
    .bind(stored::number(rotation.from.number()))
    .bind(stored::number(next.number()))
    .bind(rotation.at.unix_micros())
    .bind(rotation.key.as_ref().map(|key| key.as_stored().as_slice()))
    .bind(rotation.used_after.map(Timestamp::unix_micros))
    .fetch_all(pool)
    .await?;
    rows.first().map(rows::session).transpose()
}

async fn touch(
    pool: &SqlitePool,
    id: SessionId,
    now: Timestamp,
    unused_since: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE auth_sessions
         SET used_at = ?2
         WHERE id = ?1 AND revoked_at IS NULL AND expires_at > ?2
             AND COALESCE(used_at, created_at) <= ?3",
    )
    .bind(id.as_uuid())
    .bind(now.unix_micros())
    .bind(unused_since.unix_micros())
    .execute(pool)
    .await
    .map(drop)
}

/// Ends an expired session too: another process's clock may run behind ours.
async fn revoke(
    pool: &SqlitePool,
    id: SessionId,
    reason: RevocationReason,
    event: &AuditEvent,
) -> Result<Option<UserId>, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let ended = sqlx::query(
        "UPDATE auth_sessions
         SET revoked_at = ?2, revoked_reason = ?3
         WHERE id = ?1 AND revoked_at IS NULL
         RETURNING user_id, expires_at > ?2 AS was_live",
    )
    .bind(id.as_uuid())
    .bind(event.at.unix_micros())
    .bind(reason.as_str())
    .fetch_all(&mut *transaction)
    .await?;
    let user = match ended.first() {
        Some(row) if row.try_get("was_live")? => Some(UserId::from_uuid(row.try_get("user_id")?)),
        _ => None,
    };
    if let Some(user) = user {
        events::insert(&mut *transaction, &event.clone().about(user)).await?;
    }
    transaction.commit().await?;
    Ok(user)
}

async fn revoke_all(
    pool: &SqlitePool,
    user: UserId,
    reason: RevocationReason,
    event: &AuditEvent,
) -> Result<u64, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let were_live: Vec<bool> = sqlx::query_scalar(
        "UPDATE auth_sessions
         SET revoked_at = ?2, revoked_reason = ?3
         WHERE user_id = ?1 AND revoked_at IS NULL
         RETURNING expires_at > ?2",
    )
    .bind(user.as_uuid())
    .bind(event.at.unix_micros())
    .bind(reason.as_str())
    .fetch_all(&mut *transaction)
    .await?;
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(were_live.into_iter().map(u64::from).sum())
}
