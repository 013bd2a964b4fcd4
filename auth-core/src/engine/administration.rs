//! An administrator acts on accounts and sessions.

use async_trait::async_trait;

use super::{Engine, Inner};
use crate::audit::{Actor, AuditAct, AuditEvent};
use crate::store::{AccountChange, EventFilter, LoginSettlement, PasswordReplacement, UserFilter};
use crate::{
    Administration, Administrator, AuthError, EmailProof, FieldErrors, Password, PasswordHash,
    Registration, RequestContext, RevocationReason, Role, Roles, SessionId, Timestamp, User,
    UserChanges, UserId,
};

#[async_trait]
impl Administration for Engine {
    async fn list_users(
        &self,
        _by: Administrator,
        filter: &UserFilter,
    ) -> Result<Vec<User>, AuthError> {
        Ok(self.inner.store.list_users(filter).await?)
    }

    async fn read_user(&self, _by: Administrator, user: UserId) -> Result<User, AuthError> {
        let found = self.inner.store.find_user(user).await?;
        found.ok_or(AuthError::NotFound)
    }

    async fn create_user(
        &self,
        by: Administrator,
        user: Registration,
        proof: EmailProof,
        context: &RequestContext,
    ) -> Result<User, AuthError> {
        let inner = &self.inner;
        // Reserved names protect against strangers, not against the operator.
        let reserved: &[String] = match by {
            Administrator::Superuser(_) => &inner.reserved_usernames,
            Administrator::Operator => &[],
        };
        inner
            .create_user(actor(by), user, reserved, proof, context)
            .await
    }

    async fn change_user(
        &self,
        by: Administrator,
        user: UserId,
        changes: UserChanges,
        context: &RequestContext,
    ) -> Result<User, AuthError> {
        self.inner.change_user(by, user, changes, context).await?;
        self.read_user(by, user).await
    }

    async fn deactivate_user(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let changes = UserChanges {
            is_active: Some(false),
            ..UserChanges::default()
        };
        self.inner.change_user(by, user, changes, context).await
    }

    async fn activate_user(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let changes = UserChanges {
            is_active: Some(true),
            ..UserChanges::default()
        };
        self.inner.change_user(by, user, changes, context).await
    }

    async fn delete_user(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let inner = &self.inner;
        let event = inner.act(AuditAct::UserDeleted, by, context).about(user);
        let ending = inner.ending(RevocationReason::Administrative, event.at);
        let done = inner.store.delete_user(user, &ending, &event).await;
        if let Ok(Some(revoked)) = &done {
            inner.refuse_revoked(user, revoked, &ending);
        }
        inner.settle(&event, found(done.map(|revoked| revoked.is_some())))
    }

    async fn grant_superuser(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let changes = UserChanges {
            is_superuser: Some(true),
            ..UserChanges::default()
        };
        self.inner.change_user(by, user, changes, context).await
    }

    async fn revoke_superuser(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let changes = UserChanges {
            is_superuser: Some(false),
            ..UserChanges::default()
        };
        self.inner.change_user(by, user, changes, context).await
    }

    async fn set_roles(
        &self,
        by: Administrator,
        user: UserId,
        roles: &Roles,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let changes = UserChanges {
            roles: Some(roles.clone()),
            ..UserChanges::default()
        };
        self.inner.change_user(by, user, changes, context).await
    }

    async fn set_password(
        &self,
        by: Administrator,
        user: UserId,
        password: Password,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let changes = UserChanges {
            password: Some(password),
            ..UserChanges::default()
        };
        self.inner.change_user(by, user, changes, context).await
    }

    async fn end_session(
        &self,
        by: Administrator,
        session: SessionId,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let inner = &self.inner;
        let event = inner
            .act(AuditAct::SessionEnded, by, context)
            .in_session(session);
        let ending = inner.ending(RevocationReason::Administrative, event.at);
        let ended = inner.store.revoke_session(session, &ending, &event).await;
        if ended.is_ok() {
            inner.refuse_session(session, &ending);
        }
        inner.settle(&event, found(ended.map(|user| user.is_some())))
    }

    async fn end_user_sessions(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<u64, AuthError> {
        let inner = &self.inner;
        let event = inner.act(AuditAct::SessionsEnded, by, context).about(user);
        let ending = inner.ending(RevocationReason::Administrative, event.at);
        let ended = inner
            .store
            .revoke_user_sessions(user, None, &ending, &event)
            .await;
        if let Ok(revoked) = &ended {
            inner.refuse_revoked(user, revoked, &ending);
        }
        let ended = ended.map(|revoked| revoked.live);
        inner.settle(&event, ended.map_err(AuthError::from))
    }

    async fn end_all_sessions(
        &self,
        by: Administrator,
        context: &RequestContext,
    ) -> Result<u64, AuthError> {
        let inner = &self.inner;
        let event = inner.act(AuditAct::AllSessionsEnded, by, context);
        let ending = inner.ending(RevocationReason::Administrative, event.at);
        let ended = inner.store.revoke_all_sessions(&ending, &event).await;
        if ended.is_ok() {
            inner.refuse_all(&ending);
        }
        inner.settle(&event, ended.map_err(AuthError::from))
    }

    async fn end_sessions_begun_before(
        &self,
        by: Administrator,
        begun_before: Timestamp,
        context: &RequestContext,
    ) -> Result<u64, AuthError> {
        let inner = &self.inner;
        let act = AuditAct::OldSessionsEnded {
            begun_before: begun_before.unix_micros(),
        };
        let event = inner.act(act, by, context);
        let ending = inner.ending(RevocationReason::Administrative, event.at);
        let ended = inner
            .store
            .revoke_sessions_begun_before(begun_before, &ending, &event)
            .await;
        if ended.is_ok() {
            inner.refuse_all(&ending);
        }
        inner.settle(&event, ended.map_err(AuthError::from))
    }

    async fn list_events(
        &self,
        _by: Administrator,
        filter: &EventFilter,
    ) -> Result<Vec<AuditEvent>, AuthError> {
        Ok(self.inner.store.list_events(filter).await?)
    }
}

impl Inner {
    /// What is asked for is done in one go: nothing but a password, which is hashed beforehand,
    /// takes its time.
    async fn change_user(
        &self,
        by: Administrator,
        user: UserId,
        changes: UserChanges,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let password = match changes.password {
            Some(password) => {
                let event = self.act(AuditAct::PasswordChanged, by, context);
                let hash = self.hash_for(user, password).await;
                let hash =
                    hash.inspect_err(|error| self.note_refusal(&event.about(user), error))?;
                Some(PasswordReplacement::new(hash))
            }
            None => None,
        };
        let change = AccountChange {
            at: self.clock.now(),
            is_active: changes.is_active,
            is_superuser: changes.is_superuser,
            roles: changes.roles,
            password,
            settlement: LoginSettlement::default(),
        };
        let acts = acts(&change).into_iter();
        let events: Vec<_> = acts
            .map(|act| self.act(act, by, context).about(user))
            .collect();
        let Some(first) = events.first() else {
            return Ok(());
        };
        let ending = self.ending(reason(&change), change.at);
        let done = self.store.change_user(user, &change, &ending, &events);
        let done = done.await;
        if let Ok(Some(revoked)) = &done {
            self.refuse_revoked(user, revoked, &ending);
        }
        let done = found(done.map(|revoked| revoked.is_some()));
        match &done {
            Ok(()) => {
                events.iter().for_each(|event| self.trail.tell(event));
            }
            Err(error) => self.note_refusal(first, error),
        }
        done
    }

    fn act(&self, act: AuditAct, by: Administrator, context: &RequestContext) -> AuditEvent {
        self.event(act, actor(by), context)
    }

    /// Tells of what was done, or leaves an event of what was not.
    fn settle<T>(&self, event: &AuditEvent, done: Result<T, AuthError>) -> Result<T, AuthError> {
        match &done {
            Ok(_) => self.trail.tell(event),
            Err(error) => self.note_refusal(event, error),
        }
        done
    }

    /// Leaves an event of what was not done.
    fn note_refusal(&self, event: &AuditEvent, error: &AuthError) {
        let act = AuditAct::AdministrationRefused {
            act: event.act.kind().into(),
            code: error.code().into(),
        };
        self.trail.note(AuditEvent {
            act,
            ..event.clone()
        });
    }

    /// Hashes a new password of somebody, if there is such a user.
    async fn hash_for(&self, user: UserId, password: Password) -> Result<PasswordHash, AuthError> {
        let account = self.store.find_user(user).await?;
        let account = account.ok_or(AuthError::NotFound)?;
        self.new_hash(&account, password, "password").await
    }

    /// Hashes a new password of the user, if it keeps the rules; the field is where it was given.
    pub(super) async fn new_hash(
        &self,
        user: &User,
        password: Password,
        field: &'static str,
    ) -> Result<PasswordHash, AuthError> {
        let problems = self
            .policy
            .check(&password, user.username.as_str(), user.email.as_str())
            .await;
        let mut errors = FieldErrors::default();
        for problem in problems.err().into_iter().flatten() {
            errors.add(field, problem.to_string());
        }
        errors.into_result()?;
        Ok(self.hasher.hash(password).await?)
    }
}

pub(super) fn actor(by: Administrator) -> Actor {
    match by {
        Administrator::Superuser(superuser) => Actor::User(superuser.user_id()),
        Administrator::Operator => Actor::Operator,
    }
}

/// What the change is to the audit trail, what takes rights away first: of several acts only the
/// first can be the one that is refused for the last superuser's sake.
fn acts(change: &AccountChange) -> Vec<AuditAct> {
    let roles = change.roles.as_ref().map(|roles| AuditAct::RolesChanged {
        roles: roles.iter().map(Role::to_string).collect(),
    });
    let if_so = |is_so: bool, act| is_so.then_some(act);
    let acts = [
        if_so(change.is_active == Some(false), AuditAct::UserDeactivated),
        if_so(
            change.is_superuser == Some(false),
            AuditAct::SuperuserRevoked,
        ),
        if_so(change.password.is_some(), AuditAct::PasswordChanged),
        roles,
        if_so(
            change.is_superuser == Some(true),
            AuditAct::SuperuserGranted,
        ),
        if_so(change.is_active == Some(true), AuditAct::UserActivated),
    ];
    acts.into_iter().flatten().collect()
}

/// Why sessions end with the change.
const fn reason(change: &AccountChange) -> RevocationReason {
    match (change.is_active, &change.password) {
        (Some(false), _) => RevocationReason::Deactivated,
        (_, Some(_)) => RevocationReason::PasswordChanged,
        _ => RevocationReason::Administrative,
    }
}

/// What was to be changed was there, or it was not.
fn found(done: Result<bool, crate::store::StoreError>) -> Result<(), AuthError> {
    if done? {
        Ok(())
    } else {
        Err(AuthError::NotFound)
    }
}
