//! How to write a store: this one keeps everything in memory and passes the conformance suite.

mod accounts;
mod email_changes;
mod enrollments;
mod housekeeping;
mod revocations;
mod throttle;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::audit::AuditEvent;
use auth_core::revocation::{Revocation, RevokedTokens};
use auth_core::store::{
    ClaimedMail, EmailChange, EmailChangeId, EmailConfirmation, Ending, Enrollee, EnrollmentId,
    EventFilter, EventStore, NewMail, NewSession, NewUser, OutboxStore, Revoked, SessionRotation,
    SessionStore, Store, StoreError, ThrottleKey, TryRecord, UserFilter, UserStore,
};
use auth_core::{
    EmailAddress, Generation, PasswordHash, Session, SessionId, SessionOwner, Timestamp, User,
    UserId, Username, UsernamePolicy,
};
use tokio::sync::watch;
use uuid::Uuid;

/// One lock around everything makes every method atomic. A real store leaves that to its database.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    users: HashMap<UserId, UserRow>,
    sessions: HashMap<SessionId, Session>,
    outbox: HashMap<Uuid, MailRow>,
    events: BTreeMap<Uuid, AuditEvent>,
    email_changes: BTreeMap<EmailChangeId, EmailChange>,
    enrollments: HashMap<EnrollmentId, Enrollee>,
    leases: HashMap<String, Timestamp>,
    revocations: watch::Sender<Vec<Revocation>>,
    tries: HashMap<ThrottleKey, TryRecord>,
}

#[derive(Debug)]
struct UserRow {
    user: User,
    password_hash: PasswordHash,
    /// What the name looks like, if that matters.
    skeleton: Option<String>,
    verification: Generation,
}

#[derive(Debug)]
struct MailRow {
    mail: NewMail,
    attempts: u32,
    abandoned_at: Option<Timestamp>,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

impl Tables {
    fn insert_user(&mut self, new: &NewUser, at: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.users.values();
        let name = new.user.username.canonical();
        if rows.any(|row| row.user.username.canonical() == name) {
            return Err(StoreError::UsernameTaken);
        }
        if let Some(skeleton) = &new.username_skeleton
            && self.has_skeleton(skeleton)
        {
            return Err(StoreError::UsernameTaken);
        }
        let mut rows = self.users.values();
        if rows.any(|row| row.user.email.key() == new.user.email.key()) {
            return Err(StoreError::EmailTaken);
        }
        if self.is_reserved(new.user.id, &new.user.email, at) {
            return Err(StoreError::EmailTaken);
        }
        let row = UserRow {
            user: new.user.clone(),
            password_hash: new.password_hash.clone(),
            skeleton: new.username_skeleton.clone(),
            verification: Generation::FIRST,
        };
        self.users.insert(new.user.id, row);
        Ok(())
    }

    fn has_skeleton(&self, skeleton: &str) -> bool {
        let mut rows = self.users.values();
        rows.any(|row| row.skeleton.as_deref() == Some(skeleton))
    }

    fn insert_mail(&mut self, mail: &NewMail) {
        let waiting = self.outbox.values().any(|row| {
            row.abandoned_at.is_none()
                && row.mail.kind == mail.kind
                && row.mail.to.key() == mail.to.key()
                && row.mail.about == mail.about
        });
        if !waiting {
            let row = MailRow {
                mail: mail.clone(),
                attempts: 0,
                abandoned_at: None,
            };
            self.outbox.insert(mail.id, row);
        }
    }

    /// The session with what its owner is now.
    fn session(&self, id: SessionId) -> Option<Session> {
        let mut session = self.sessions.get(&id)?.clone();
        let user = &self.users.get(&session.owner.id)?.user;
        session.owner.is_active = user.is_active;
        session.owner.is_superuser = user.is_superuser;
        session.owner.roles = user.roles.clone();
        session.owner.token_epoch = user.token_epoch;
        session.owner.email_verified = user.email_verified_at.is_some();
        Some(session)
    }

    fn move_session(&mut self, rotation: &SessionRotation, to: Generation) -> Option<Session> {
        let session = self.session(rotation.id)?;
        let used_lately = rotation
            .used_after
            .is_none_or(|after| session.last_used_at() > after);
        if session.generation != rotation.from || !session.is_live(rotation.at) || !used_lately {
            return None;
        }
        let stored = self.sessions.get_mut(&rotation.id)?;
        stored.generation = to;
        stored.rotated_at = Some(rotation.at);
        stored.rotation_key = rotation.key;
        stored.used_at = Some(rotation.at);
        self.session(rotation.id)
    }

    /// Ends every live session that began before the time, or every one.
    fn end_all(&mut self, before: Option<Timestamp>, ending: &Ending, event: &AuditEvent) -> u64 {
        let mut live = 0;
        for session in self.sessions.values_mut() {
            let is_meant = before.is_none_or(|before| session.created_at < before);
            if is_meant && session.revoked_at.is_none() && session.expires_at > event.at {
                session.revoked_at = Some(event.at);
                live += 1;
            }
        }
        let issued_before = ending.issued_before;
        let tokens = RevokedTokens::All { issued_before };
        self.revoke(Revocation::new(tokens, ending.remembered_until));
        self.events.insert(event.id, event.clone());
        live
    }

    /// Ends the user's live sessions beyond the bound; the new one always stays.
    fn end_oldest(&mut self, new: &NewSession, event: &AuditEvent) -> Revoked {
        let mut others: Vec<_> = self
            .sessions
            .values_mut()
            .filter(|session| session.owner.id == new.user_id && session.id != new.id)
            .filter(|session| session.is_live(new.created_at))
            .collect();
        others.sort_by_key(|session| Reverse((session.created_at, session.id)));
        let beyond = others.into_iter().skip(new.at_most.get() as usize - 1);
        let ended = beyond.map(|session| {
            session.revoked_at = Some(new.created_at);
            session.id
        });
        let ended: Vec<_> = ended.collect();
        for id in &ended {
            self.revoke_session(*id, new.remembered_until);
            let displaced = event.displacing(*id);
            self.events.insert(displaced.id, displaced);
        }
        let live = ended.len() as u64;
        Revoked::of_sessions(ended, live)
    }

    /// The row of a claim that no other worker has taken over.
    fn claimed(&mut self, mail: &ClaimedMail) -> Option<&mut MailRow> {
        let row = self.outbox.get_mut(&mail.id)?;
        (row.attempts == mail.attempt && row.abandoned_at.is_none()).then_some(row)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl UserStore for MemoryStore {
    async fn create_user(
        &self,
        user: &NewUser,
        mail: Option<&NewMail>,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        let mut tables = self.lock();
        tables.insert_user(user, event.at)?;
        tables.events.insert(event.id, event.clone());
        if let Some(mail) = mail {
            tables.insert_mail(mail);
        }
        Ok(())
    }

    async fn create_first_superuser(
        &self,
        user: &NewUser,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        if tables.users.values().any(|row| row.user.is_superuser) {
            return Ok(false);
        }
        let mut user = user.clone();
        user.user.is_superuser = true;
        tables.insert_user(&user, event.at)?;
        tables.events.insert(event.id, event.clone());
        Ok(true)
    }

    async fn find_credentials(
        &self,
        username: &Username,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        let tables = self.lock();
        let mut rows = tables.users.values();
        let found = rows.find(|row| row.user.username.canonical() == username.canonical());
        Ok(found.map(|row| (row.user.clone(), row.password_hash.clone())))
    }

    async fn find_credentials_by_email(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        let tables = self.lock();
        let mut rows = tables.users.values();
        let found = rows.find(|row| row.user.email.key() == email.key());
        Ok(found.map(|row| (row.user.clone(), row.password_hash.clone())))
    }

    async fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.lock().users.get(&id).map(|row| row.user.clone()))
    }

    async fn list_users(&self, filter: &UserFilter) -> Result<Vec<User>, StoreError> {
        let tables = self.lock();
        let search = &filter.search;
        let mut users: Vec<_> = tables
            .users
            .values()
            .map(|row| (search.key_of(&row.user), &row.user))
            .filter(|(key, _)| key.starts_with(search.prefix()))
            .filter(|(key, _)| filter.after.as_deref().is_none_or(|last| *key > last))
            .collect();
        users.sort_by_key(|(key, _)| *key);
        let page = users.into_iter().take(filter.limit as usize);
        Ok(page.map(|(_, user)| user.clone()).collect())
    }

    async fn fill_username_skeletons(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Option<UserId>, StoreError> {
        let mut tables = self.lock();
        let without = tables.users.values().filter(|row| row.skeleton.is_none());
        let mut without: Vec<_> = without
            .map(|row| (row.user.id, row.user.username.clone()))
            .filter(|(id, _)| after.is_none_or(|last| *id > last))
            .collect();
        without.sort_by_key(|(id, _)| *id);
        without.truncate(limit as usize);
        for (id, name) in &without {
            let skeleton = UsernamePolicy::Unicode.skeleton(name);
            let is_free = skeleton
                .as_deref()
                .is_some_and(|it| !tables.has_skeleton(it));
            if let Some(row) = tables.users.get_mut(id).filter(|_| is_free) {
                row.skeleton = skeleton;
            }
        }
        Ok(without.last().map(|(id, _)| *id))
    }

    async fn replace_password_hash(
        &self,
        id: UserId,
        current: &PasswordHash,
        replacement: &PasswordHash,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        match tables.users.get_mut(&id) {
            Some(row) if row.password_hash.as_stored() == current.as_stored() => {
                row.password_hash = replacement.clone();
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn begin_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError> {
        let mut tables = self.lock();
        let owed = |row: &&mut UserRow| {
            row.user.email.key() == email.key()
                && row.user.is_active
                && row.user.email_verified_at.is_none()
        };
        Ok(tables.users.values_mut().find(owed).and_then(|row| {
            row.verification = row.verification.next()?;
            Some((row.user.clone(), row.verification))
        }))
    }

    async fn find_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError> {
        let tables = self.lock();
        let is_owed = |row: &&UserRow| {
            row.user.email.key() == email.key()
                && row.user.is_active
                && row.user.email_verified_at.is_none()
        };
        let row = tables.users.values().find(is_owed);
        Ok(row.map(|row| (row.user.clone(), row.verification)))
    }

    async fn confirm_email(
        &self,
        id: UserId,
        email: &EmailAddress,
        verification: Generation,
        event: &AuditEvent,
    ) -> Result<EmailConfirmation, StoreError> {
        let mut tables = self.lock();
        Ok(match tables.users.get_mut(&id) {
            Some(row) if row.user.email.key() != email.key() => EmailConfirmation::Superseded,
            Some(row) if row.user.email_verified_at.is_some() => {
                EmailConfirmation::AlreadyConfirmed
            }
            Some(row) if row.verification == verification => {
                row.user.email_verified_at = Some(event.at);
                tables.events.insert(event.id, event.clone());
                EmailConfirmation::Confirmed
            }
            _ => EmailConfirmation::Superseded,
        })
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn create_session(
        &self,
        session: &NewSession,
        checked: &PasswordHash,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError> {
        let mut tables = self.lock();
        let Some(row) = tables.users.get(&session.user_id) else {
            return Ok(None);
        };
        if !row.user.is_active || row.password_hash.as_stored() != checked.as_stored() {
            return Ok(None);
        }
        let owner = SessionOwner::new(session.user_id);
        let mut begun = Session::new(session.id, owner, session.created_at, session.expires_at);
        begun.client = session.client;
        tables.sessions.insert(session.id, begun);
        tables.events.insert(event.id, event.clone());
        let revoked = tables.end_oldest(session, event);
        tables.settle(&session.settlement, session.created_at);
        Ok(Some(revoked))
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.lock().session(id))
    }

    async fn list_sessions(
        &self,
        user: UserId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let tables = self.lock();
        let of_user = tables.sessions.values().filter(|s| s.owner.id == user);
        let known = of_user.filter_map(|session| tables.session(session.id));
        let mut live: Vec<_> = known.filter(|session| session.is_live(now)).collect();
        live.sort_by_key(|session| (Reverse(session.created_at), session.id));
        live.truncate(limit as usize);
        Ok(live)
    }

    async fn rotate_session(
        &self,
        rotation: &SessionRotation,
    ) -> Result<Option<Session>, StoreError> {
        let next = rotation.from.next();
        Ok(next.and_then(|next| self.lock().move_session(rotation, next)))
    }

    async fn follow_session(
        &self,
        rotation: &SessionRotation,
        to: Generation,
        event: &AuditEvent,
    ) -> Result<Option<Session>, StoreError> {
        let mut tables = self.lock();
        let moved = tables.move_session(rotation, to);
        if moved.is_some() {
            tables.events.insert(event.id, event.clone());
        }
        Ok(moved)
    }

    async fn touch_session(
        &self,
        id: SessionId,
        now: Timestamp,
        unused_since: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tables = self.lock();
        let live = tables
            .sessions
            .get_mut(&id)
            .filter(|session| session.revoked_at.is_none() && session.expires_at > now);
        if let Some(session) = live.filter(|session| session.last_used_at() <= unused_since) {
            session.used_at = Some(now);
        }
        Ok(())
    }

    async fn revoke_session(
        &self,
        id: SessionId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<UserId>, StoreError> {
        let mut tables = self.lock();
        let Some(session) = tables.sessions.get_mut(&id) else {
            return Ok(None);
        };
        if session.revoked_at.is_some() {
            return Ok(None);
        }
        session.revoked_at = Some(event.at);
        let (user, was_live) = (session.owner.id, session.expires_at > event.at);
        tables.revoke_session(id, ending.remembered_until);
        if was_live {
            let event = event.clone().about(user);
            tables.events.insert(event.id, event);
        }
        Ok(was_live.then_some(user))
    }

    async fn revoke_user_sessions(
        &self,
        user: UserId,
        except: Option<SessionId>,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Revoked, StoreError> {
        let mut tables = self.lock();
        tables.events.insert(event.id, event.clone());
        Ok(tables.end_sessions_of(user, except, ending, event.at))
    }

    async fn revoke_all_sessions(
        &self,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<u64, StoreError> {
        Ok(self.lock().end_all(None, ending, event))
    }

    async fn revoke_sessions_begun_before(
        &self,
        begun_before: Timestamp,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<u64, StoreError> {
        Ok(self.lock().end_all(Some(begun_before), ending, event))
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn append_events(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        let mut tables = self.lock();
        for event in events {
            tables.events.insert(event.id, event.clone());
        }
        Ok(())
    }

    async fn list_events(&self, filter: &EventFilter) -> Result<Vec<AuditEvent>, StoreError> {
        let tables = self.lock();
        let first = filter.since.map_or(Uuid::nil(), AuditEvent::first_id_at);
        let end = filter.before.unwrap_or(Uuid::max());
        let found = tables.events.range(first..end).rev();
        let found = found.map(|(_, event)| event).filter(|event| {
            filter.user.is_none_or(|user| event.user == Some(user))
                && (filter.kind.as_ref()).is_none_or(|kind| event.act.kind() == kind)
                && (filter.request_id.as_ref())
                    .is_none_or(|id| event.request_id.as_ref() == Some(id))
        });
        Ok(found.take(filter.limit as usize).cloned().collect())
    }

    async fn remove_events(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut tables = self.lock();
        let old = tables.events.range(..AuditEvent::first_id_at(before));
        let old: Vec<_> = old.map(|(id, _)| *id).take(limit as usize).collect();
        for id in &old {
            tables.events.remove(id);
        }
        Ok(old.len() as u64)
    }
}

#[async_trait]
impl OutboxStore for MemoryStore {
    async fn enqueue_mail(&self, mail: &NewMail) -> Result<(), StoreError> {
        self.lock().insert_mail(mail);
        Ok(())
    }

    async fn claim_mail(
        &self,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<ClaimedMail>, StoreError> {
        let mut tables = self.lock();
        let due = tables.outbox.values_mut();
        let due = due.filter(|row| row.abandoned_at.is_none() && row.mail.due <= now);
        Ok(due.min_by_key(|row| row.mail.due).map(|row| {
            row.mail.due = now + lease;
            row.attempts += 1;
            let mail = row.mail.clone();
            let mut claimed = ClaimedMail::new(mail.id, mail.kind, mail.to, row.attempts);
            claimed.about = mail.about;
            claimed
        }))
    }

    async fn complete_mail(&self, mail: &ClaimedMail) -> Result<(), StoreError> {
        let mut tables = self.lock();
        if tables.claimed(mail).is_some() {
            tables.outbox.remove(&mail.id);
        }
        Ok(())
    }

    async fn postpone_mail(
        &self,
        mail: &ClaimedMail,
        due: Timestamp,
        _reason: &str,
    ) -> Result<(), StoreError> {
        if let Some(row) = self.lock().claimed(mail) {
            row.mail.due = due;
        }
        Ok(())
    }

    async fn abandon_mail(
        &self,
        mail: &ClaimedMail,
        now: Timestamp,
        _reason: &str,
    ) -> Result<(), StoreError> {
        if let Some(row) = self.lock().claimed(mail) {
            row.abandoned_at = Some(now);
        }
        Ok(())
    }
}
