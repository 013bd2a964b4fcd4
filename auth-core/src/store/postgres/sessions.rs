//! Sessions in PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Error, PgConnection, PgPool, Row};
use uuid::Uuid;

use super::lookup::{Lookup, lookup};
use super::{
    ACQUIRE_TIMEOUT, ACT_TIMEOUT, PostgresStore, Replay, RevocationDelivery, events, lookup,
    notification, revocations, rows, throttle,
};
use crate::audit::AuditEvent;
use crate::store::batch::{Batches, Limits};
use crate::store::transaction::End;
use crate::store::{
    Ending, NewSession, Revoked, SessionRotation, SessionStore, StoreError, stored,
};
use crate::{Generation, PasswordHash, RevocationReason, Session, SessionId, Timestamp, UserId};

#[async_trait]
impl SessionStore for PostgresStore {
    async fn create_session(
        &self,
        session: &NewSession,
        checked: &PasswordHash,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError> {
        self.transact(
            Replay::Unsafe,
            (
                self.delivery,
                session.clone(),
                checked.clone(),
                event.clone(),
            ),
            |connection, (delivery, session, checked, event)| {
                Box::pin(insert(connection, *delivery, session, checked, event))
            },
        )
        .await
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.session_reads.call(self, id).await
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
        self.write(Replay::Unsafe, *rotation, |connection, rotation| {
            Box::pin(rotate(connection, rotation))
        })
        .await
    }

    async fn follow_session(
        &self,
        rotation: &SessionRotation,
        to: Generation,
        event: &AuditEvent,
    ) -> Result<Option<Session>, StoreError> {
        self.transact(
            Replay::Unsafe,
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
        self.write(
            Replay::Safe,
            touched,
            |connection, &(id, now, unused_since)| {
                Box::pin(touch(connection, id, now, unused_since))
            },
        )
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
        self.revocations.call(self, revocation).await
    }

    async fn revoke_user_sessions(
        &self,
        user: UserId,
        except: Option<SessionId>,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Revoked, StoreError> {
        self.transact(
            Replay::Safe,
            (self.delivery, user, except, *ending, event.clone()),
            |connection, (delivery, user, except, ending, event)| {
                Box::pin(revoke_users(
                    connection, *delivery, *user, *except, ending, event,
                ))
            },
        )
        .await
    }

    async fn revoke_all_sessions(
        &self,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<u64, StoreError> {
        self.transact(
            Replay::Safe,
            (self.delivery, *ending, event.clone()),
            |connection, (delivery, ending, event)| {
                Box::pin(revoke_all(connection, *delivery, None, ending, event))
            },
        )
        .await
    }

    async fn revoke_sessions_begun_before(
        &self,
        begun_before: Timestamp,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<u64, StoreError> {
        self.transact(
            Replay::Safe,
            (self.delivery, begun_before, *ending, event.clone()),
            |connection, (delivery, begun_before, ending, event)| {
                Box::pin(revoke_all(
                    connection,
                    *delivery,
                    Some(*begun_before),
                    ending,
                    event,
                ))
            },
        )
        .await
    }
}

/// Reads of single sessions, of which one statement serves those that come at the same time.
pub(super) type SessionReads = Batches<PostgresStore, SessionId, Option<Session>>;

pub(super) fn reads(pool: &PgPool) -> Arc<SessionReads> {
    let limits = lookup::limits(pool);
    Arc::new(Batches::new(limits, |store: &PostgresStore, ids| {
        Box::pin(async move {
            let found = store.read(ids, |connection, ids| Box::pin(select(connection, ids)));
            found.await
        })
    }))
}

/// Ends of single sessions, of which one statement serves those that come at the same time.
pub(super) type Revocations = Batches<PostgresStore, Revocation, Option<UserId>>;

/// One statement at a time: commits that notify wait for each other, each for its flush to the disk.
pub(super) fn revocations() -> Arc<Revocations> {
    let limits = Limits {
        statements: 1,
        calls: 64,
        statement: ACT_TIMEOUT,
        queue: ACQUIRE_TIMEOUT,
    };
    Arc::new(Batches::new(
        limits,
        |store: &PostgresStore, revocations| {
            Box::pin(async move {
                // A second run may say that a session had ended before, which it then has: better
                // than a logout that fails.
                let revoked = store.write(
                    Replay::Safe,
                    (store.delivery, revocations),
                    |connection, (delivery, revocations)| {
                        Box::pin(revoke(connection, *delivery, revocations))
                    },
                );
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

/// A statement sees what had been committed when it began: the second one, under the lock, every
/// session of the user.
async fn insert(
    connection: &mut PgConnection,
    delivery: RevocationDelivery,
    session: &NewSession,
    checked: &PasswordHash,
    event: &AuditEvent,
) -> Result<End<Option<Revoked>>, Error> {
    if !begin(connection, session, checked, event).await? {
        return Ok(End::RollBack(None));
    }
    let revoked = end_oldest(connection, delivery, session, event).await?;
    throttle::settle(connection, &session.settlement, session.created_at).await?;
    Ok(End::Commit(Some(revoked)))
}

/// Locks the owner against a deactivation or a new password that commits at the same time: either
/// this statement sees it, or the revocation that follows it sees the session. Another login of the
/// user waits.
async fn begin(
    connection: &mut PgConnection,
    session: &NewSession,
    checked: &PasswordHash,
    event: &AuditEvent,
) -> Result<bool, Error> {
    let begun = sqlx::query(
        "WITH owner AS (
             SELECT id
             FROM auth_users
             WHERE id = $2 AND is_active AND password_hash = $11
             FOR NO KEY UPDATE
         ), begun AS (
             INSERT INTO auth_sessions (id, user_id, created_at, expires_at, client)
             SELECT $1, id, $3, $4, $10
             FROM owner
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
    .bind(session.client.map(|client| client.to_string()))
    .bind(checked.as_stored())
    .execute(connection)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Ends the user's live sessions beyond the bound; the new one always stays.
async fn end_oldest(
    connection: &mut PgConnection,
    delivery: RevocationDelivery,
    session: &NewSession,
    event: &AuditEvent,
) -> Result<Revoked, Error> {
    let ended: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE auth_sessions
         SET revoked_at = $3, revoked_reason = $4
         WHERE revoked_at IS NULL AND id IN (
             SELECT id
             FROM auth_sessions
             WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL AND expires_at > $3
             ORDER BY created_at DESC, id
             OFFSET $5
         )
         RETURNING id",
    )
    .bind(session.user_id.as_uuid())
    .bind(session.id.as_uuid())
    .bind(rows::to_sql(session.created_at)?)
    .bind(RevocationReason::SessionLimit.as_str())
    .bind(i64::from(session.at_most.get()) - 1)
    .fetch_all(&mut *connection)
    .await?;
    let ended: Vec<_> = ended.into_iter().map(SessionId::from_uuid).collect();
    let (until, live) = (session.remembered_until, ended.len() as u64);
    revocations::record_sessions(connection, delivery, ended.iter().copied(), until).await?;
    for session in &ended {
        events::insert(&mut *connection, &event.displacing(*session)).await?;
    }
    Ok(Revoked::of_sessions(ended, live))
}

/// Sessions with what a refresh asks of their owners.
macro_rules! select_sessions {
    ($($rest:literal)?) => {
        concat!(
            "SELECT s.id, s.user_id, s.generation, s.created_at, s.expires_at, s.rotated_at,
                    s.rotation_key, s.used_at, s.revoked_at, s.client, u.is_active, u.is_superuser,
                    u.roles, u.token_epoch, u.email_verified_at IS NOT NULL AS email_verified
             FROM auth_sessions AS s
             JOIN auth_users AS u ON u.id = s.user_id",
            $($rest,)?
        )
    };
}

const BY_ID: Lookup = lookup!(select_sessions!(), "s.id");

async fn select(
    connection: &mut PgConnection,
    ids: &[SessionId],
) -> Result<Vec<Option<Session>>, Error> {
    let found = BY_ID
        .find(connection, ids.iter().map(SessionId::as_uuid))
        .await?;
    let found = found.iter().map(rows::session);
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let of = |id: &SessionId| found.iter().find(|session| session.id == *id).cloned();
    Ok(ids.iter().map(of).collect())
}

async fn select_live(
    connection: &mut PgConnection,
    user: UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Session>, Error> {
    sqlx::query(select_sessions!(
        " WHERE s.user_id = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND u.is_active
         ORDER BY s.created_at DESC, s.id
         LIMIT $3"
    ))
    .bind(user.as_uuid())
    .bind(rows::to_sql(now)?)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?
    .iter()
    .map(rows::session)
    .collect()
}

/// Moves a session on to a generation.
///
/// In the form `unflushed` the commit does not wait for the disk, nor for a standby: if the
/// rotation is lost, the session follows its token. The setting lasts as long as the transaction,
/// in which this statement must be the only one that writes. PostgreSQL reads the setting at the
/// commit, so that the statement itself can set it. A common table expression runs only if it is
/// read.
macro_rules! move_statement {
    (flushed) => {
        move_statement!("", "")
    };
    (unflushed) => {
        move_statement!(
            "WITH unflushed AS MATERIALIZED (
                 SELECT set_config('synchronous_commit', 'off', true)
             )
             ",
            ", unflushed"
        )
    };
    ($with:literal, $from:literal) => {
        concat!(
            $with,
            "UPDATE auth_sessions AS s
             SET generation = $3, rotated_at = $4, used_at = $4, rotation_key = $5
             FROM auth_users AS u",
            $from,
            "
             WHERE s.id = $1 AND s.generation = $2 AND s.revoked_at IS NULL AND s.expires_at > $4
                 AND ($6::timestamptz IS NULL OR COALESCE(s.used_at, s.created_at) > $6)
                 AND u.id = s.user_id AND u.is_active
             RETURNING s.id, s.user_id, s.generation, s.created_at, s.expires_at, s.rotated_at,
                       s.rotation_key, s.used_at, s.revoked_at, s.client, u.is_active,
                       u.is_superuser, u.roles, u.token_epoch,
                       u.email_verified_at IS NOT NULL AS email_verified"
        )
    };
}

/// A statement that waits for another's revocation of the row checks its conditions again.
async fn rotate(
    connection: &mut PgConnection,
    rotation: &SessionRotation,
) -> Result<Option<Session>, Error> {
    const STATEMENT: &str = move_statement!(unflushed);
    match rotation.from.next() {
        Some(next) => move_on(connection, STATEMENT, rotation, next).await,
        None => Ok(None),
    }
}

async fn follow(
    connection: &mut PgConnection,
    rotation: &SessionRotation,
    to: Generation,
    event: &AuditEvent,
) -> Result<End<Option<Session>>, Error> {
    const STATEMENT: &str = move_statement!(flushed);
    let moved = move_on(&mut *connection, STATEMENT, rotation, to).await?;
    if moved.is_some() {
        events::insert(connection, event).await?;
    }
    Ok(End::Commit(moved))
}

async fn move_on(
    connection: &mut PgConnection,
    statement: &'static str,
    rotation: &SessionRotation,
    to: Generation,
) -> Result<Option<Session>, Error> {
    let moved = sqlx::query(statement)
        .bind(rotation.id.as_uuid())
        .bind(stored::number(rotation.from.number()))
        .bind(stored::number(to.number()))
        .bind(rows::to_sql(rotation.at)?)
        .bind(rotation.key.as_ref().map(|key| key.as_stored().as_slice()))
        .bind(rotation.used_after.map(rows::to_sql).transpose()?)
        .fetch_optional(connection)
        .await?;
    moved.as_ref().map(rows::session).transpose()
}

async fn touch(
    connection: &mut PgConnection,
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
    .execute(connection)
    .await?;
    Ok(())
}

/// One round trip, since every logout comes here; the two forms differ in the notification.
macro_rules! revoke_statement {
    ($notification:literal) => {
        concat!(
            "WITH asked AS (
                 SELECT *
                 FROM unnest($1::integer[], $2::uuid[], $3::timestamptz[], $4::text[], $5::uuid[],
                             $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::text[])
                     AS asked (place, session_id, at, reason, event_id, kind, request_id, event,
                               remembered_until, payload)
             ), ended AS (
                 UPDATE auth_sessions AS s
                 SET revoked_at = asked.at, revoked_reason = asked.reason
                 FROM asked
                 WHERE s.id = asked.session_id AND s.revoked_at IS NULL
                 RETURNING s.user_id, s.expires_at > asked.at AS was_live, asked.*
             ), recorded AS (
                 INSERT INTO auth_events (id, at, kind, user_id, request_id, event)
                 SELECT event_id, at, kind, user_id, request_id, event
                 FROM ended
                 WHERE was_live
             ), revoked AS (
                 INSERT INTO auth_revocations (kind, subject, expires_at)
                 SELECT 'session', session_id, remembered_until
                 FROM ended
             )
             SELECT place, user_id, was_live, ",
            $notification,
            " FROM ended",
        )
    };
}

/// Ends expired sessions too: another node's clock may run behind ours.
///
/// Of two that would end the same session one does.
async fn revoke(
    connection: &mut PgConnection,
    delivery: RevocationDelivery,
    revocations: &[Revocation],
) -> Result<Vec<Option<UserId>>, Error> {
    let statement = match delivery {
        RevocationDelivery::Notify => revoke_statement!("pg_notify('auth_revocations', payload)"),
        RevocationDelivery::Poll => revoke_statement!("payload"),
    };
    // In the order of the sessions, so that two statements never wait for each other.
    let mut ordered: Vec<_> = (0_i32..).zip(revocations).collect();
    ordered.sort_unstable_by_key(|(_, revocation)| revocation.id);
    let places: Vec<_> = ordered.iter().map(|(place, _)| *place).collect();
    let ordered = || ordered.iter().map(|(_, revocation)| *revocation);
    let events = || ordered().map(|revocation| &revocation.event);
    let payload = |revocation: &Revocation| {
        let expires_at = revocation.ending.remembered_until;
        notification::payload(&stored::session_revocation(revocation.id, expires_at))
    };
    let at = events().map(|event| rows::to_sql(event.at));
    let reasons = ordered().map(|revocation| revocation.ending.reason.as_str());
    let documents = events().map(stored::document);
    let remembered_until =
        ordered().map(|revocation| rows::to_sql(revocation.ending.remembered_until));
    let ended = sqlx::query(statement)
        .bind(places)
        .bind(
            ordered()
                .map(|revocation| revocation.id.as_uuid())
                .collect::<Vec<_>>(),
        )
        .bind(at.collect::<Result<Vec<_>, _>>()?)
        .bind(reasons.collect::<Vec<_>>())
        .bind(events().map(|event| event.id).collect::<Vec<_>>())
        .bind(events().map(|event| event.act.kind()).collect::<Vec<_>>())
        .bind(events().map(stored::request).collect::<Vec<_>>())
        .bind(documents.collect::<Result<Vec<_>, _>>()?)
        .bind(remembered_until.collect::<Result<Vec<_>, _>>()?)
        .bind(ordered().map(payload).collect::<Result<Vec<_>, _>>()?)
        .fetch_all(connection)
        .await?;
    let mut owners = vec![None; revocations.len()];
    for row in ended {
        let place = usize::try_from(row.try_get::<i32, _>("place")?);
        let place = place.ok().and_then(|place| owners.get_mut(place));
        if let Some(owner) = place
            && row.try_get("was_live")?
        {
            *owner = Some(UserId::from_uuid(row.try_get("user_id")?));
        }
    }
    Ok(owners)
}

/// Ends the user's sessions in the transaction of the act that asks for it.
pub(super) async fn end_sessions_of(
    connection: &mut PgConnection,
    delivery: RevocationDelivery,
    user: UserId,
    except: Option<SessionId>,
    ending: &Ending,
    at: Timestamp,
) -> Result<Revoked, Error> {
    let ended = sqlx::query(
        "UPDATE auth_sessions
         SET revoked_at = $2, revoked_reason = $3
         WHERE user_id = $1 AND revoked_at IS NULL AND ($4::uuid IS NULL OR id <> $4)
         RETURNING id, expires_at > $2 AS was_live",
    )
    .bind(user.as_uuid())
    .bind(rows::to_sql(at)?)
    .bind(ending.reason.as_str())
    .bind(except.as_ref().map(SessionId::as_uuid))
    .fetch_all(&mut *connection)
    .await?;
    let ids = ended
        .iter()
        .map(|row| row.try_get("id").map(SessionId::from_uuid));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let until = ending.remembered_until;
    revocations::record_sessions(connection, delivery, ids.iter().copied(), until).await?;
    let were_live = ended
        .iter()
        .map(|row| row.try_get::<bool, _>("was_live").map(u64::from));
    Ok(Revoked::of_sessions(ids, were_live.sum::<Result<_, _>>()?))
}

async fn revoke_users(
    connection: &mut PgConnection,
    delivery: RevocationDelivery,
    user: UserId,
    except: Option<SessionId>,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<End<Revoked>, Error> {
    let ended = end_sessions_of(connection, delivery, user, except, ending, event.at).await?;
    events::insert(connection, event).await?;
    Ok(End::Commit(ended))
}

async fn revoke_all(
    connection: &mut PgConnection,
    delivery: RevocationDelivery,
    begun_before: Option<Timestamp>,
    ending: &Ending,
    event: &AuditEvent,
) -> Result<End<u64>, Error> {
    let ended = sqlx::query(
        "UPDATE auth_sessions
         SET revoked_at = $1, revoked_reason = $2
         WHERE revoked_at IS NULL AND expires_at > $1
             AND ($3::timestamptz IS NULL OR created_at < $3)",
    )
    .bind(rows::to_sql(event.at)?)
    .bind(ending.reason.as_str())
    .bind(begun_before.map(rows::to_sql).transpose()?)
    .execute(&mut *connection)
    .await?;
    let revocation = stored::revocation_of_all(ending);
    revocations::record(connection, delivery, &[revocation]).await?;
    events::insert(&mut *connection, event).await?;
    Ok(End::Commit(ended.rows_affected()))
}
