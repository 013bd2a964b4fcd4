//! A user changes the e-mail address.

use super::Inner;
use super::verify_email::parse_address;
use crate::audit::{Actor, AuditAct, AuditEvent};
use crate::mail::MailKind;
use crate::store::{EmailChange, EmailChangeId, EmailChangeUndo, NewEmailChange, NewMail};
use crate::{
    AuthError, EmailChangeRequest, FieldErrors, PasswordHash, Principal, RequestContext,
    RevocationReason,
};

impl Inner {
    pub(super) async fn request_email_change(
        &self,
        caller: &Principal,
        request: EmailChangeRequest,
        context: &RequestContext,
        event: &AuditEvent,
    ) -> Result<(), AuthError> {
        self.live_session(caller).await?;
        let found = self.store.find_user(caller.user_id).await?;
        let user = found.ok_or(AuthError::TokenRevoked)?;
        let address = parse_address(&request.email)?;
        if address.as_str() == user.email.as_str() {
            let mut errors = FieldErrors::default();
            errors.add("email", "is your address already");
            return Err(errors.into());
        }
        let proved = self
            .prove_password(&user, request.password, context)
            .await?;
        let change = NewEmailChange::new(user.id, address.clone(), self.clock.now());
        let change = change.proved_with(proved);
        let mail = NewMail::new(MailKind::ConfirmEmailChange, address, change.requested_at)
            .about(change.id.as_uuid());
        let is_noted = self
            .store
            .request_email_change(&change, &mail, event)
            .await?;
        // Somebody has changed the password meanwhile, and ended this session with it.
        is_noted.then_some(()).ok_or(AuthError::TokenRevoked)?;
        self.mail_owed.notify_one();
        Ok(())
    }

    pub(super) async fn confirm_email_change(
        &self,
        token: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let event = self.event(AuditAct::EmailChanged, Actor::Anonymous, context);
        let change = match self.open_email_change(token).await {
            Ok(change) => change,
            Err(error) => return self.settle_own(&event, Err(error)),
        };
        let event = event.by(Actor::User(change.user)).about(change.user);
        let confirmed = async {
            let undo_until = event.at + self.links.lifetimes().email_undo;
            let notice = NewMail::new(MailKind::EmailChanged, change.former, event.at)
                .about(change.id.as_uuid());
            let is_done = self
                .store
                .confirm_email_change(change.id, undo_until, &notice, &event)
                .await?;
            is_done.then_some(()).ok_or(AuthError::LinkInvalid)?;
            self.mail_owed.notify_one();
            Ok(())
        };
        self.settle_own(&event, confirmed.await)
    }

    async fn open_email_change(&self, token: &str) -> Result<EmailChange, AuthError> {
        let claim = self.links.email_change.open(token);
        let claim = claim.ok_or(AuthError::LinkInvalid)?;
        if self.clock.now() >= claim.expires_at {
            return Err(AuthError::LinkExpired);
        }
        let change = EmailChangeId::from_uuid(claim.id);
        let change = self.store.find_email_change(change).await?;
        let change = change.ok_or(AuthError::LinkInvalid)?;
        match change.confirmed_at {
            Some(_) => Err(AuthError::LinkUsed),
            None => Ok(change),
        }
    }

    /// Whoever changed the address knew the password, and may know it still: until the user has
    /// chosen another one, by the mail that is owed here, there is none.
    pub(super) async fn undo_email_change(
        &self,
        token: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let event = self.event(AuditAct::EmailChangeUndone, Actor::Anonymous, context);
        let change = match self.open_email_undo(token).await {
            Ok(change) => change,
            Err(error) => return self.settle_own(&event, Err(error)),
        };
        let event = event.by(Actor::User(change.user)).about(change.user);
        let undone = async {
            let undo = EmailChangeUndo::new(
                PasswordHash::unusable()?,
                NewMail::new(MailKind::ResetPassword, change.former, event.at)
                    .about(change.id.as_uuid()),
            );
            let ending = self.ending(RevocationReason::PasswordChanged, event.at);
            let undone = self
                .store
                .undo_email_change(change.id, &undo, &ending, &event)
                .await?;
            let revoked = undone.ok_or(AuthError::LinkUsed)?;
            self.refuse_revoked(change.user, &revoked, &ending);
            self.mail_owed.notify_one();
            Ok(())
        };
        self.settle_own(&event, undone.await)
    }

    async fn open_email_undo(&self, token: &str) -> Result<EmailChange, AuthError> {
        let claim = self.links.email_undo.open(token);
        let claim = claim.ok_or(AuthError::LinkInvalid)?;
        if self.clock.now() >= claim.expires_at {
            return Err(AuthError::LinkExpired);
        }
        let change = EmailChangeId::from_uuid(claim.id);
        let change = self.store.find_email_change(change).await?;
        let change = change.ok_or(AuthError::LinkInvalid)?;
        match change.undone_at {
            Some(_) => Err(AuthError::LinkUsed),
            None => Ok(change),
        }
    }
}
