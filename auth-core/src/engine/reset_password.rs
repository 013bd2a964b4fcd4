//! A user who has forgotten the password chooses another one, by a link in a mail.

use super::Inner;
use super::verify_email::parse_address;
use crate::audit::{Actor, AuditAct};
use crate::mail::MailKind;
use crate::store::{NewMail, PasswordReplacement};
use crate::{AuthError, Password, PasswordHash, RequestContext, User};

impl Inner {
    /// Owes a mail to the address, known or not: whether somebody has it is found out by the
    /// worker, where nobody can measure it.
    pub(super) async fn request_password_reset(
        &self,
        email: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let email = parse_address(email)?;
        let mail = NewMail::new(MailKind::ResetPassword, email, self.clock.now());
        let act = AuditAct::PasswordResetRequested;
        self.owe_mail(mail, act, context).await
    }

    pub(super) async fn reset_password(
        &self,
        token: &str,
        password: Password,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let event = self.event(AuditAct::PasswordReset, Actor::Anonymous, context);
        let (user, replaced) = match self.open_reset(token).await {
            Ok(opened) => opened,
            Err(error) => return self.settle_own(&event, Err(error)),
        };
        let event = event.by(Actor::User(user.id)).about(user.id);
        let reset = async {
            let hash = self.new_hash(&user, password, "password").await?;
            let replacement = PasswordReplacement::new(hash).of(replaced);
            // Whoever reads the mails is the owner: what others have guessed is forgotten.
            let forgotten = self.forgiveness(&user.username);
            let replaced = self.replace_password(user.id, replacement, forgotten, &event);
            replaced.await?.then_some(()).ok_or(AuthError::LinkUsed)
        };
        self.settle_own(&event, reset.await)
    }

    /// Whose password a link may replace, and the hash of it: with that hash the link dies.
    async fn open_reset(&self, token: &str) -> Result<(User, PasswordHash), AuthError> {
        let claim = self.links.password_reset.open(token);
        let claim = claim.ok_or(AuthError::LinkInvalid)?;
        if self.clock.now() >= claim.expires_at {
            return Err(AuthError::LinkExpired);
        }
        let user = self.store.find_user(claim.user).await?;
        let user = user.filter(|user| user.is_active);
        let user = user.ok_or(AuthError::LinkInvalid)?;
        let found = self.store.find_credentials(&user.username).await?;
        found
            .filter(|(found, hash)| found.id == user.id && claim.may_replace(hash, &found.email))
            .ok_or(AuthError::LinkUsed)
    }
}
