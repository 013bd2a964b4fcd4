//! Sessions in PostgreSQL.

use async_trait::async_trait;
use sqlx::{Error, PgConnection, PgPool};
use uuid::Uuid;

use super::{PostgresStore, Replay, events, rows};
use crate::audit::AuditEvent;
use crate::store::{NewSession, SessionRotation, SessionStore, StoreError, stored};
use crate::{PasswordHash, RevocationReason, Session, SessionId, Timestamp, UserId};

#[async_trait]
impl SessionStore for PostgresStore {
    async fn create_session(
        &self,
        session: &NewSession,
        checked: &PasswordHash,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        self.run(Replay::Unsafe, || {
            insert(&self.pool, session, checked, event)
        })
        .await
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.run(Replay::Safe, || select(&self.pool, id)).await
    }

    async fn rotate_session(
        &self,
        rotation: &SessionRotation,
    ) -> Result<Option<Session>, StoreError> {
        self.run(Replay::Unsafe, || rotate(&self.pool, rotation))
            .await
    }

    async fn touch_session(
        &self,
        id: SessionId,
        now: Timestamp,
        unused_since: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(Replay::Safe, || touch(&self.pool, id, now, unused_since))
            .await
    }

    async fn revoke_session(
        &self,
        id: SessionId,
        reason: RevocationReason,
        event: &AuditEvent,
    ) -> Result<Option<UserId>, StoreError> {
        // A second run may say that the session had ended before, which it then has: better than
        // a logout that fails.
        self.run(Replay::Safe, || revoke(&self.pool, id, reason, event))
            .await
    }

    async fn revoke_user_sessions(
        &self,
        user: UserId,
        reason: RevocationReason,
        event: &AuditEvent,
    ) -> Result<u64, StoreError> {
        self.run(Replay::Safe, || revoke_all(&self.pool, user, reason, event))
            .await
    }
}

/// A statement sees what had been committed when it began: the second one, under the lock, every
/// session of the user.
async fn insert(
    pool: &PgPool,
    session: &NewSession,
    checked: &PasswordHash,
    event: &AuditEvent,
) -> Result<bool, Error> {
    let mut transaction = pool
        .begin_with("BEGIN ISOLATION LEVEL READ COMMITTED")
        .await?;
    let may_begin = lock_owner(&mut transaction, session, checked).await?;
    if may_begin {
        begin(&mut transaction, session, event).await?;
        end_oldest(&mut transaction, session).await?;
    }
    transaction.commit().await?;
    Ok(may_begin)
}

/// Against a deactivation or a new password that commits at the same time: either this statement
/// sees it, or the revocation that follows it sees the session. Another login of the user waits.
async fn lock_owner(
    connection: &mut PgConnection,
    session: &NewSession,
    checked: &PasswordHash,
) -> Result<bool, Error> {
    let owner: Option<Uuid> = sqlx::query_scalar(
        "SELECT id
         FROM auth_users
         WHERE id = $1 AND is_active AND password_hash = $2
         FOR NO KEY UPDATE",
    )
    .bind(session.user_id.as_uuid())
    .bind(checked.as_stored())
    .fetch_optional(connection)
    .await?;
    Ok(owner.is_some())
}

async fn begin(
    connection: &mut PgConnection,
    session: &NewSession,
    event: &AuditEvent,
) -> Result<(), Error> {
    sqlx::query(
        "WITH begun AS (
             INSERT INTO auth_sessions (id, user_id, created_at, expires_at)
             VALUES ($1, $2, $3, $4)
             RETURNING user_id
         )
         INSERT INTO auth_events (id, at, kind, user_id, request_id, event)
         SELECT $5, $6, $7, user_id, $8, $9
         FROM begun",
    )
    .bind(session.id.as_uuid())
    .bind(session.user_id.as_uuid())
    .bind(rows::to_sql(session.created_at)?)
    .bind(rows::to_sql(session.expires_at)?)
    .bind(event.id)
    .bind(rows::to_sql(event.at)?)
    .bind(event.act.kind())
    .bind(stored::request(event))
    .bind(stored::document(event)?)
    .execute(connection)
    .await
    .map(drop)
}

/// Ends the user's live sessions beyond the bound; the new one always stays.
async fn end_oldest(connection: &mut PgConnection, session: &NewSession) -> Result<(), Error> {
    sqlx::query(
        "UPDATE auth_sessions
         SET revoked_at = $3, revoked_reason = $4
         WHERE revoked_at IS NULL AND id IN (
             SELECT id
             FROM auth_sessions
             WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL AND expires_at > $3
             ORDER BY created_at DESC, id
             OFFSET $5
         )",
    )
    .bind(session.user_id.as_uuid())
    .bind(session.id.as_uuid())
    .bind(rows::to_sql(session.created_at)?)
    .bind(RevocationReason::SessionLimit.as_str())
    .bind(i64::from(session.at_most.get()) - 1)
    .execute(connection)
    .await
    .map(drop)
}

async fn select(pool: &PgPool, id: SessionId) -> Result<Option<Session>, Error> {
    sqlx::query(
        "SELECT s.id, s.user_id, s.generation, s.created_at, s.expires_at, s.rotated_at,
                s.rotation_key, s.used_at, s.revoked_at, u.is_active, u.is_superuser,
                u.email_verified_at IS NOT NULL AS email_verified
         FROM auth_sessions AS s
         JOIN auth_users AS u ON u.id = s.user_id
         WHERE s.id = $1",
    )
    .bind(id.as_uuid())
    .fetch_optional(pool)
    .await?
    .as_ref()
    .map(rows::session)
    .transpose()
}

/// A statement that waits for another's revocation of the row checks its conditions again.
async fn rotate(pool: &PgPool, rotation: &SessionRotation) -> Result<Option<Session>, Error> {
    let Some(next) = rotation.from.next() else {
        return Ok(None);
    };
    sqlx::query(
        "UPDATE auth_sessions AS s
         SET generation = $3, rotated_at = $4, used_at = $4, rotation_key = $5
         FROM auth_users AS u
         WHERE s.id = $1 AND s.generation = $2 AND s.revoked_at IS NULL AND s.expires_at > $4
             AND ($6::timestamptz IS NULL OR COALESCE(s.used_at, s.created_at) > $6)
             AND u.id = s.user_id AND u.is_active
         RETURNING s.id, s.user_id, s.generation, s.created_at, s.expires_at, s.rotated_at,
                   s.rotation_key, s.used_at, s.revoked_at, u.is_active, u.is_superuser,
                   u.email_verified_at IS NOT NULL AS email_verified",
    )
    .bind(rotation.id.as_uuid())
    .bind(stored::number(rotation.from.number()))
    .bind(stored::number(next.number()))
    .bind(rows::to_sql(rotation.at)?)
    .bind(rotation.key.as_ref().map(|key| key.as_stored().as_slice()))
    .bind(rotation.used_after.map(rows::to_sql).transpose()?)
    .fetch_optional(pool)
    .await?
    .as_ref()
    .map(rows::session)
    .transpose()
}

async fn touch(
    pool: &PgPool,
    id: SessionId,
    now: Timestamp,
    unused_since: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE auth_sessions
         SET used_at = $2
         WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2
             AND COALESCE(used_at, created_at) <= $3",
    )
    .bind(id.as_uuid())
    .bind(rows::to_sql(now)?)
    .bind(rows::to_sql(unused_since)?)
    .execute(pool)
    .await
    .map(drop)
}

/// Ends an expired session too: another node's clock may run behind ours.
async fn revoke(
    pool: &PgPool,
    id: SessionId,
    reason: RevocationReason,
    event: &AuditEvent,
) -> Result<Option<UserId>, Error> {
    let user = sqlx::query_scalar(
        "WITH ended AS (
             UPDATE auth_sessions
             SET revoked_at = $2, revoked_reason = $3
             WHERE id = $1 AND revoked_at IS NULL
             RETURNING user_id, expires_at > $2 AS was_live
         ), recorded AS (
             INSERT INTO auth_events (id, at, kind, user_id, request_id, event)
             SELECT $4, $2, $5, user_id, $6, $7
             FROM ended
             WHERE was_live
         )
         SELECT user_id
         FROM ended
         WHERE was_live",
    )
    .bind(id.as_uuid())
    .bind(rows::to_sql(event.at)?)
    .bind(reason.as_str())
    .bind(event.id)
    .bind(event.act.kind())
    .bind(stored::request(event))
    .bind(stored::document(event)?)
    .fetch_optional(pool)
    .await?;
    Ok(user.map(UserId::from_uuid))
}

async fn revoke_all(
    pool: &PgPool,
    user: UserId,
    reason: RevocationReason,
    event: &AuditEvent,
) -> Result<u64, Error> {
    let mut transaction = pool.begin().await?;
    let were_live: Vec<bool> = sqlx::query_scalar(
        "UPDATE auth_sessions
         SET revoked_at = $2, revoked_reason = $3
         WHERE user_id = $1 AND revoked_at IS NULL
         RETURNING expires_at > $2",
    )
    .bind(user.as_uuid())
    .bind(rows::to_sql(event.at)?)
    .bind(reason.as_str())
    .fetch_all(&mut *transaction)
    .await?;
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(were_live.into_iter().map(u64::from).sum())
}
