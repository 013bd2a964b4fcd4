//! Users act on their own accounts.

use std::slice;

use async_trait::async_trait;

use super::{Engine, Inner};
use crate::audit::{Actor, AuditAct, AuditEvent};
use crate::store::{AccountChange, LoginSettlement, PasswordReplacement};
use crate::{
    Account, AuthError, EmailChangeRequest, OwnSessions, Password, PasswordChange, PasswordHash,
    Principal, RequestContext, RevocationReason, Session, SessionId, User, UserId,
};

/// More sessions of one user are not listed.
const MAX_LISTED: u32 = 1000;

#[async_trait]
impl Account for Engine {
    async fn read_account(&self, caller: &Principal) -> Result<User, AuthError> {
        let inner = &self.inner;
        let user = async { Ok(inner.store.find_user(caller.user_id).await?) };
        let (_, user) = tokio::try_join!(inner.live_session(caller), user)?;
        user.ok_or(AuthError::TokenRevoked)
    }

    async fn list_own_sessions(&self, caller: &Principal) -> Result<Vec<Session>, AuthError> {
        let inner = &self.inner;
        inner.live_session(caller).await?;
        let now = inner.clock.now();
        let sessions = inner.store.list_sessions(caller.user_id, now, MAX_LISTED);
        Ok(sessions.await?)
    }

    async fn end_own_session(
        &self,
        caller: &Principal,
        session: SessionId,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let inner = &self.inner;
        let event = inner.own(AuditAct::SessionEnded, caller, context);
        let event = event.in_session(session);
        let ended = inner.end_own_session(caller, session, &event).await;
        inner.settle_own(&event, ended)
    }

    async fn end_own_sessions(
        &self,
        caller: &Principal,
        which: OwnSessions,
        context: &RequestContext,
    ) -> Result<u64, AuthError> {
        let inner = &self.inner;
        let event = inner.own(AuditAct::SessionsEnded, caller, context);
        let ended = inner.end_own_sessions(caller, which, &event).await;
        inner.settle_own(&event, ended)
    }

    async fn change_own_password(
        &self,
        caller: &Principal,
        change: PasswordChange,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let inner = &self.inner;
        let event = inner.own(AuditAct::PasswordChanged, caller, context);
        let event = event.in_session(caller.session_id);
        let changed = inner
            .change_own_password(caller, change, context, &event)
            .await;
        inner.settle_own(&event, changed)
    }

    async fn request_password_reset(
        &self,
        email: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        self.inner.request_password_reset(email, context).await
    }

    async fn reset_password(
        &self,
        token: &str,
        password: Password,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        self.inner.reset_password(token, password, context).await
    }

    async fn request_email_change(
        &self,
        caller: &Principal,
        request: EmailChangeRequest,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let inner = &self.inner;
        let event = inner.own(AuditAct::EmailChangeRequested, caller, context);
        let event = event.in_session(caller.session_id);
        let requested = inner
            .request_email_change(caller, request, context, &event)
            .await;
        inner.settle_own(&event, requested)
    }

    async fn confirm_email_change(
        &self,
        token: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        self.inner.confirm_email_change(token, context).await
    }

    async fn undo_email_change(
        &self,
        token: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        self.inner.undo_email_change(token, context).await
    }
}

impl Inner {
    fn own(&self, act: AuditAct, caller: &Principal, context: &RequestContext) -> AuditEvent {
        let actor = Actor::User(caller.user_id);
        self.event(act, actor, context).about(caller.user_id)
    }

    /// Tells of what was done, or leaves an event of what was not.
    pub(super) fn settle_own<T>(
        &self,
        event: &AuditEvent,
        done: Result<T, AuthError>,
    ) -> Result<T, AuthError> {
        match &done {
            Ok(_) => self.trail.tell(event),
            Err(error) => {
                let act = AuditAct::AccountChangeRefused {
                    act: event.act.kind().into(),
                    code: error.code().into(),
                };
                self.trail.note(AuditEvent {
                    act,
                    ..event.clone()
                });
            }
        }
        done
    }

    async fn end_own_session(
        &self,
        caller: &Principal,
        session: SessionId,
        event: &AuditEvent,
    ) -> Result<(), AuthError> {
        self.live_session(caller).await?;
        let found = self.store.find_session(session).await?;
        // Whether somebody else has it is nobody's business.
        found
            .filter(|session| session.owner.id == caller.user_id)
            .ok_or(AuthError::NotFound)?;
        let ending = self.ending(RevocationReason::Logout, event.at);
        let ended = self.store.revoke_session(session, &ending, event).await?;
        self.refuse_session(session, &ending);
        ended.map(drop).ok_or(AuthError::NotFound)
    }

    async fn end_own_sessions(
        &self,
        caller: &Principal,
        which: OwnSessions,
        event: &AuditEvent,
    ) -> Result<u64, AuthError> {
        self.live_session(caller).await?;
        let kept = match which {
            OwnSessions::All => None,
            OwnSessions::Others => Some(caller.session_id),
        };
        let ending = self.ending(RevocationReason::Logout, event.at);
        let ended = self
            .store
            .revoke_user_sessions(caller.user_id, kept, &ending, event)
            .await?;
        self.refuse_revoked(caller.user_id, &ended, &ending);
        Ok(ended.live)
    }

    async fn change_own_password(
        &self,
        caller: &Principal,
        change: PasswordChange,
        context: &RequestContext,
        event: &AuditEvent,
    ) -> Result<(), AuthError> {
        self.live_session(caller).await?;
        let found = self.store.find_user(caller.user_id).await?;
        let user = found.ok_or(AuthError::TokenRevoked)?;
        let current = self.prove_password(&user, change.current, context).await?;
        let hash = self.new_hash(&user, change.new, "new_password").await?;
        let replacement = PasswordReplacement::new(hash)
            .of(current)
            .except(caller.session_id);
        let replaced =
            self.replace_password(user.id, replacement, LoginSettlement::default(), event);
        let is_done = replaced.await?;
        // Somebody else has changed the password meanwhile, and ended this session with it.
        is_done.then_some(()).ok_or(AuthError::TokenRevoked)
    }

    /// Replaces a password hash; tells whether it did. Sessions end with it.
    pub(super) async fn replace_password(
        &self,
        user: UserId,
        replacement: PasswordReplacement,
        settlement: LoginSettlement,
        event: &AuditEvent,
    ) -> Result<bool, AuthError> {
        let mut change = AccountChange::of_password(replacement, self.clock.now());
        change.settlement = settlement;
        let ending = self.ending(RevocationReason::PasswordChanged, change.at);
        let events = slice::from_ref(event);
        let done = self.store.change_user(user, &change, &ending, events);
        let Some(revoked) = done.await? else {
            return Ok(false);
        };
        self.refuse_revoked(user, &revoked, &ending);
        Ok(true)
    }

    /// Proves that whoever holds the token knows the password too, and gives its hash; a wrong one
    /// counts as a failed login does.
    pub(super) async fn prove_password(
        &self,
        user: &User,
        password: Password,
        context: &RequestContext,
    ) -> Result<PasswordHash, AuthError> {
        if password.is_too_long() {
            return Err(AuthError::InvalidCredentials);
        }
        let name = user.username.as_str();
        let taken = self.take_tries(name, context, self.clock.now()).await;
        let mut taken = taken.map_err(|(_, error)| error)?;
        let proved = self.verify_password(user, password).await;
        if let Err(AuthError::InvalidCredentials) = proved {
            taken.settle();
        } else {
            taken.refund().await;
        }
        proved
    }

    async fn verify_password(
        &self,
        user: &User,
        password: Password,
    ) -> Result<PasswordHash, AuthError> {
        let found = self.store.find_credentials(&user.username).await?;
        let hash = found.filter(|(found, _)| found.id == user.id);
        let hash = hash.map(|(_, hash)| hash);
        let verification = self.hasher.verify(password, hash.clone()).await?;
        hash.filter(|_| verification.is_match())
            .ok_or(AuthError::InvalidCredentials)
    }
}
