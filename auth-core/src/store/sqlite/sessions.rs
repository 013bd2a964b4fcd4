//! Sessions in SQLite.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Error, Row, SqliteConnection};
use uuid::Uuid;

use super::act::ACT_TIMEOUT;
use super::{SqliteStore, events, revocations, rows, throttle};
use crate::audit::AuditEvent;
use crate::store::batch::{Batches, Limits};
use crate::store::transaction::End;
use crate::store::{
    Ending, NewSession, Revoked, SessionRotation, SessionStore, StoreError, stored,
};
use crate::{Generation, PasswordHash, RevocationReason, Session, SessionId, Timestamp, UserId};

#[async_trait]
impl SessionStore for SqliteStore {
    async fn create_session(
        &self,
        session: &NewSession,
        checked: &PasswordHash,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError> {
        let begun = (session.clone(), checked.clone(), event.clone());
        let outcome = self.transact(begun, |connection, (session, checked, event)| {
            Box::pin(insert(connection, session, checked, event))
        });
        let outcome = outcome.await;
        self.tell_of_revocations();
        outcome
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.read(id, |connection, id| Box::pin(select(connection, *id)))
            .await
    }

    async fn list_sessions(
        &self,
        user: UserId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        self.read((user, now, limit), |connection, &(user, now, limit)| {
            Box::pin(select_live(connection, user, now, limit))
        })
        .await
    }

    async fn rotate_session(
        &self,
        rotation: &SessionRotation,
    ) -> Result<Option<Session>, StoreError> {
        self.rotations.call(self, *rotation).await
    }

    async fn follow_session(
        &self,
        rotation: &SessionRotation,
        to: Generation,
        event: &AuditEvent,
    ) -> Result<Option<Session>, StoreError> {
        self.transact(
            (*rotation, to, event.clone()),
            |connection, (rotation, to, event)| Box::pin(follow(connection, rotation, *to, event)),
        )
        .await
    }

    async fn touch_session(
        &self,
        id: SessionId,
        now: Timestamp,
        unused_since: Timestamp,
    ) -> Result<(), StoreError> {
        let touched = (id, now, unused_since);
        self.write(touched, |connection, &(id, now, unused_since)| {
            Box::pin(touch(connection, id, now, unused_since))
        })
        .await
    }

    async fn revoke_session(
        &self,
        id: SessionId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<UserId>, StoreError> {
        let revocation = Revocation {
            id,
            ending: *ending,
            event: event.clone(),
        };
        let outcome = self.revocations.call(self, revocation).await;
        self.tell_of_revocations();
        outcome
    }

    async fn revoke_user_sessions(
        &self,
        user: UserId,
        except: Option<SessionId>,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Revoked, StoreError> {
        let revoked = (user, except, *ending, event.clone());
        let outcome = self.transact(revoked, |connection, (user, except, ending, event)| {
            Box::pin(revoke_users(connection, *user, *except, ending, event))
        });
        let outcome = outcome.await;
        self.tell_of_revocations();
        outcome
    }

    async fn revoke_all_sessions(
        &self,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<u64, StoreError> {
        let outcome = self.transact((*ending, event.clone()), |connection, (ending, event)| {
            Box::pin(revoke_all(connection, None, ending, event))
        });
        let outcome = outcome.await;
        self.tell_of_revocations();
        outcome
    }

    async fn revoke_sessions_begun_before(
        &self,
        begun_before: Timestamp,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<u64, StoreError> {
        let revoked = (begun_before, *ending, event.clone());
        let outcome = self.transact(revoked, |connection, (begun_before, ending, event)| {
            Box::pin(revoke_all(connection, Some(*begun_before), ending, event))
        });
        let outcome = outcome.await;
        self.tell_of_revocations();
        outcome
    }
}

/// There is one writer: who comes while it commits shares the next commit.
pub(super) const SHARED_COMMITS: Limits = Limits {
    statements: 1,
    calls: 64,
    statement: ACT_TIMEOUT,
    queue: Duration::from_secs(10),
};

/// Rotations: those that come at the same time share a transaction. It holds nothing else, since
/// its commit may be lost: then the sessions follow their tokens.
pub(super) type Rotations = Batches<SqliteStore, SessionRotation, Option<Session>>;

pub(super) fn rotations() -> Arc<Rotations> {
    Arc::new(Batches::new(
        SHARED_COMMITS,
        |store: &SqliteStore, rotations| {
            Box::pin(async move {
                let rotated = store.transact_unflushed(rotations, |connection, rotations| {
                    Box::pin(rotate_together(connection, rotations))
                });
                rotated.await
            })
        },
    ))
}

/// Ends of single sessions, of which one transaction serves those that come at the same time.
pub(super) type Revocations = Batches<SqliteStore, Revocation, Option<UserId>>;

pub(super) fn revocations() -> Arc<Revocations> {
    Arc::new(Batches::new(
        SHARED_COMMITS,
        |store: &SqliteStore, revocations| {
            Box::pin(async move {
                let revoked = store.transact(revocations, |connection, revocations| {
                    Box::pin(revoke_together(connection, revocations))
                });
                revoked.await
            })
        },
    ))
}

/// A session to be ended.
#[derive(Clone)]
pub(super) struct Revocation {
    id: SessionId,
    ending: Ending,
    event: AuditEvent,
}

async fn insert(
    connection: &mut SqliteConnection,
    session: &NewSession,
    checked: &PasswordHash,
    event: &AuditEvent,
) -> Result<End<Option<Revoked>>, Error> {
    let inserted = sqlx::query(
        "INSERT INTO auth_sessions (id, user_id, created_at, expires_at, client)
         SELECT ?1, id, ?3, ?4, ?6
         FROM auth_users
         WHERE id = ?2 AND is_active AND password_hash = ?5",
    )
    .bind(session.id.as_uuid())
    .bind(session.user_id.as_uuid())
    .bind(session.created_at.unix_micros())
    .bind(session.expires_at.unix_micros())
    .bind(checked.as_stored())
    .bind(session.client.map(|client| client.to_string()))
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(End::RollBack(None));
    }
    events::insert(&mut *connection, event).await?;
    let revoked = end_oldest(connection, session, event).await?;
    throttle::settle(connection, &session.settlement, session.created_at).await?;
    Ok(End::Commit(Some(revoked)))
}

/// Ends the user's live sessions beyond the bound; the new one always stays.
async fn end_oldest(
    connection: &mut SqliteConnection,
    session: &NewSession,
    event: &AuditEvent,
) -> Result<Revoked, Error> {
    let ended: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE auth_sessions
         SET revoked_at = ?3, revoked_reason = ?4
         WHERE id IN (
             SELECT id
             FROM auth_sessions
             WHERE user_id = ?1 AND id <> ?2 AND revoked_at IS NULL AND expires_at > ?3
             ORDER BY created_at DESC, id
             LIMIT -1 OFFSET ?5
         )
         RETURNING id",
    )
    .bind(session.user_id.as_uuid())
    .bind(session.id.as_uuid())
    .bind(session.created_at.unix_micros())
    .bind(RevocationReason::SessionLimit.as_str())
    .bind(i64::from(session.at_most.get()) - 1)
    .fetch_all(&mut *connection)
    .await?;
    let ended: Vec<_> = ended.into_iter().map(SessionId::from_uuid).collect();
    let (until, live) = (session.remembered_until, ended.len() as u64);
    revocations::record_sessions(connection, ended.iter().copied(), until).await?;
    for session in &ended {
        events::insert(&mut *connection, &event.displacing(*session)).await?;
    }
    Ok(Revoked::of_sessions(ended, live))
}

async fn select(
    connection: &mut SqliteConnection,
    id: SessionId,
) -> Result<Option<Session>, Error> {
    sqlx::query(
        "SELECT s.id, s.user_id, s.generation, s.created_at, s.expires_at, s.rotated_at,
                s.rotation_key, s.used_at, s.revoked_at, s.client, u.is_active, u.is_superuser,
                u.roles, u.token_epoch, u.email_verified_at IS NOT NULL AS email_verified
         FROM auth_sessions AS s
         JOIN auth_users AS u ON u.id = s.user_id
         WHERE s.id = ?1",
    )
    .bind(id.as_uuid())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(rows::session)
    .transpose()
}

async fn select_live(
    connection: &mut SqliteConnection,
    user: UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Session>, Error> {
    sqlx::query(
        "SELECT s.id, s.user_id, s.generation, s.created_at, s.expires_at, s.rotated_at,
                s.rotation_key, s.used_at, s.revoked_at, s.client, u.is_active, u.is_superuser,
                u.roles, u.token_epoch, u.email_verified_at IS NOT NULL AS email_verified
         FROM auth_sessions AS s
         JOIN auth_users AS u ON u.id = s.user_id
         WHERE s.user_id = ?1 AND s.revoked_at IS NULL AND s.expires_at > ?2 AND u.is_active
         ORDER BY s.created_at DESC, s.id
         LIMIT ?3",
    )
    .bind(user.as_uuid())
    .bind(now.unix_micros())
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?
    .iter()
    .map(rows::session)
    .collect()
}

async fn rotate_together(
    connection: &mut SqliteConnection,
    rotations: &[SessionRotation],
) -> Result<End<Vec<Option<Session>>>, Error> {
    let mut sessions = Vec::with_capacity(rotations.len());
    for rotation in rotations {
        sessions.push(rotate(connection, rotation).await?);
    }
    Ok(End::Commit(sessions))
}

async fn rotate(
    connection: &mut SqliteConnection,
    rotation: &SessionRotation,
) -> Result<Option<Session>, Error> {
    match rotation.from.next() {
        Some(next) => move_on(connection, rotation, next).await,
        None => Ok(None),
    }
}

async fn follow(
    connection: &mut SqliteConnection,
    rotation: &SessionRotation,
    to: Generation,
    event: &AuditEvent,
) -> Result<End<Option<Session>>, Error> {
    let moved = move_on(&mut *connection, rotation, to).await?;
    if moved.is_some() {
        events::insert(connection, event).await?;
    }
    Ok(End::Commit(moved))
}

/// The user's columns come by subqueries, since `RETURNING` sees the updated table alone.
async fn move_on(
    connection: &mut SqliteConnection,
    rotation: &SessionRotation,
    to: Generation,
) -> Result<Option<Session>, Error> {
    let rows = sqlx::query(
        "UPDATE auth_sessions
         SET generation = ?3, rotated_at = ?4, used_at = ?4, rotation_key = ?5
         WHERE id = ?1 AND generation = ?2 AND revoked_at IS NULL AND expires_at > ?4
             AND (?6 IS NULL OR COALESCE(used_at, created_at) > ?6)
             AND EXISTS (SELECT 1 FROM auth_users AS u WHERE u.id = user_id AND u.is_active)
         RETURNING id, user_id, generation, created_at, expires_at, rotated_at, rotation_key,
                   used_at, revoked_at, client, TRUE AS is_active,
                   (SELECT is_superuser FROM auth_users AS u WHERE u.id = user_id)
                       AS is_superuser,
                   (SELECT roles FROM auth_users AS u WHERE u.id = user_id) AS roles,
                   (SELECT token_epoch FROM auth_users AS u WHERE u.id = user_id)
                       AS token_epoch,
                   (SELECT email_verified_at IS NOT NULL FROM auth_users AS u WHERE u.id = user_id)
                       AS email_verified",
    )
    .bind(rotation.id.as_uuid())
    .bind(stored::number(rotation.from.number()))
    .bind(stored::number(to.number()))
    .bind(rotation.at.unix_micros())
    .bind(rotation.key.as_ref().map(|key| key.as_stored().as_slice()))
    .bind(rotation.used_after.map(Timestamp::unix_micros))
    .fetch_all(connection)
    .await?;
    rows.first().map(rows::session).transpose()
}

async fn touch(
    connection: &mut SqliteConnection,
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
    .execute(connection)
    .await
    .map(drop)
}

async fn revoke_together(
    connection: &mut SqliteConnection,
    revocations: &[Revocation],
) -> Result<End<Vec<Option<UserId>>>, Error> {
    let mut owners = Vec::with_capacity(revocations.len());
    for revocation in revocations {
        owners.push(revoke(connection, revocation).await?);
    }
    Ok(End::Commit(owners))
}

/// Ends an expired session too: another process's clock may run behind ours.
async fn revoke(
    connection: &mut SqliteConnection,
    revocation: &Revocation,
) -> Result<Option<UserId>, Error> {
    let Revocation { id, ending, event } = revocation;
    let ended = sqlx::query(
        "UPDATE auth_sessions
         SET revoked_at = ?2, revoked_reason = ?3
         WHERE id = ?1 AND revoked_at IS NULL
         RETURNING user_id, expires_at > ?2 AS was_live",
    )
    .bind(id.as_uuid())
    .bind(event.at.unix_micros())
    .bind(ending.reason.as_str())
    .fetch_all(&mut *connection)
    .await?;
    let Some(row) = ended.first() else {
        return Ok(None);
    };
    revocations::record_sessions(&mut *connection, [*id], ending.remembered_until).await?;
    let user = UserId::from_uuid(row.try_get("user_id")?);
    let was_live = row.try_get("was_live")?;
    if was_live {
        events::insert(connection, &event.clone().about(user)).await?;
    }
    Ok(was_live.then_some(user))
}

async fn revoke_users(
    connection: &mut SqliteConnection,
    user: UserId,
    except: Option<SessionId>,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<End<Revoked>, Error> {
    let ended = end_sessions_of(connection, user, except, ending, event.at).await?;
    events::insert(&mut *connection, event).await?;
    Ok(End::Commit(ended))
}

/// Ends the user's sessions in the transaction of the act that asks for it.
pub(super) async fn end_sessions_of(
    connection: &mut SqliteConnection,
    user: UserId,
    except: Option<SessionId>,
    ending: &Ending,
    at: Timestamp,
) -> Result<Revoked, Error> {
    let ended = sqlx::query(
        "UPDATE auth_sessions
         SET revoked_at = ?2, revoked_reason = ?3
         WHERE user_id = ?1 AND revoked_at IS NULL AND (?4 IS NULL OR id <> ?4)
         RETURNING id, expires_at > ?2 AS was_live",
    )
    .bind(user.as_uuid())
    .bind(at.unix_micros())
    .bind(ending.reason.as_str())
    .bind(except.as_ref().map(SessionId::as_uuid))
    .fetch_all(&mut *connection)
    .await?;
    let ids = ended
        .iter()
        .map(|row| row.try_get("id").map(SessionId::from_uuid));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let until = ending.remembered_until;
    revocations::record_sessions(connection, ids.iter().copied(), until).await?;
    let were_live = ended
        .iter()
        .map(|row| row.try_get::<bool, _>("was_live").map(u64::from));
    Ok(Revoked::of_sessions(ids, were_live.sum::<Result<_, _>>()?))
}

async fn revoke_all(
    connection: &mut SqliteConnection,
    begun_before: Option<Timestamp>,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<End<u64>, Error> {
    let ended = sqlx::query(
        "UPDATE auth_sessions
         SET revoked_at = ?1, revoked_reason = ?2
         WHERE revoked_at IS NULL AND expires_at > ?1 AND (?3 IS NULL OR created_at < ?3)",
    )
    .bind(event.at.unix_micros())
    .bind(ending.reason.as_str())
    .bind(begun_before.map(Timestamp::unix_micros))
    .execute(&mut *connection)
    .await?;
    let revocation = stored::revocation_of_all(ending);
    revocations::record(connection, &revocation).await?;
    events::insert(&mut *connection, event).await?;
    Ok(End::Commit(ended.rows_affected()))
}
