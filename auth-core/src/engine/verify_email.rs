//! A user proves to read mail at the address.

use super::Inner;
use crate::audit::{Actor, AuditAct, AuditEvent};
use crate::mail::MailKind;
use crate::store::{EmailConfirmation, NewMail};
use crate::{AuthError, EmailAddress, EmailError, FieldErrors, RequestContext};

impl Inner {
    pub(super) async fn verify_email(
        &self,
        token: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let verified = self.try_verify_email(token, context).await;
        if let Err(error) = &verified {
            self.note_refused_verification(error, context);
        }
        verified
    }

    pub(super) fn note_refused_verification(&self, error: &AuthError, context: &RequestContext) {
        let code = error.code().into();
        let act = AuditAct::VerificationRefused { code };
        self.trail.note(self.event(act, Actor::Anonymous, context));
    }

    async fn try_verify_email(
        &self,
        token: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        if self.links.sign_up.open(token).is_some() {
            self.require_sign_up()?;
            let mut errors = FieldErrors::default();
            errors.add("password", "is required");
            return Err(errors.into());
        }
        let claim = self
            .links
            .verification
            .open(token)
            .ok_or(AuthError::LinkInvalid)?;
        let now = self.clock.now();
        if now >= claim.expires_at {
            return Err(AuthError::LinkExpired);
        }
        let user = self
            .store
            .find_user(claim.user)
            .await?
            .filter(|user| user.is_active && claim.is_for(&user.email))
            .ok_or(AuthError::LinkInvalid)?;
        let actor = Actor::User(user.id);
        let event = AuditEvent::new(now, AuditAct::EmailVerified, actor, context).about(user.id);
        let confirmation = self
            .store
            .confirm_email(user.id, &user.email, claim.generation, &event)
            .await?;
        match confirmation {
            EmailConfirmation::Confirmed => {
                self.trail.tell(&event);
                Ok(())
            }
            EmailConfirmation::AlreadyConfirmed => Err(AuthError::LinkUsed),
            EmailConfirmation::Superseded => Err(AuthError::LinkInvalid),
        }
    }

    /// Owes a mail to the address, known or not: whether somebody has it is found out by the
    /// worker, where nobody can measure it.
    pub(super) async fn resend_verification(
        &self,
        email: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let email = parse_address(email)?;
        let source = self.sign_up_source(&email, context);
        let mut mail = NewMail::new(MailKind::VerifyEmail, email, self.clock.now());
        if self.require_sign_up().is_ok() {
            // Several may have signed up with the address: each gets the link of its own sign-up.
            mail = mail.about(source.as_uuid());
        }
        let act = AuditAct::VerificationRequested;
        self.owe_mail(mail, act, context).await
    }

    /// Owes a mail to an address that anybody may have typed.
    pub(super) async fn owe_mail(
        &self,
        mail: NewMail,
        act: AuditAct,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        self.store.enqueue_mail(&mail).await?;
        self.mail_owed.notify_one();
        self.trail.note(self.event(act, Actor::Anonymous, context));
        Ok(())
    }
}

/// Reads what stands in the field `email`.
pub(super) fn parse_address(email: &str) -> Result<EmailAddress, FieldErrors> {
    email.parse().map_err(|error: EmailError| {
        let mut errors = FieldErrors::default();
        errors.add("email", error.to_string());
        errors
    })
}
