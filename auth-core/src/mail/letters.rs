//! From a mail that is owed to its text.

use std::sync::Arc;
use std::time::Duration;

use super::links::MailLinks;
use super::templates::Words;
use super::{Mail, MailKind, MailTemplates, TemplateError};
use crate::store::{
    Admission, ClaimedMail, EmailChange, EmailChangeId, EmailChangeStore, EnrollmentStore,
    SignUpSource, StoreError, ThrottleStore, TryBudget, UserStore,
};
use crate::token::ThrottleKeys;
use crate::{Clock, EmailAddress, EmailVerification, User};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Writes the mails that are owed.
///
/// The outbox holds no text: a mail is written when it is sent, with what is true then. So a mail
/// that waited for days still has a fresh link, and one that nobody needs any more is not sent.
#[derive(Debug)]
pub(crate) struct Letters {
    pub(crate) users: Arc<dyn UserStore>,
    pub(crate) email_changes: Arc<dyn EmailChangeStore>,
    pub(crate) enrollments: Arc<dyn EnrollmentStore>,
    pub(crate) throttle: Arc<dyn ThrottleStore>,
    pub(crate) throttle_keys: ThrottleKeys,
    pub(crate) links: MailLinks,
    pub(crate) templates: MailTemplates,
    pub(crate) email_verification: EmailVerification,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Letters {
    /// Writes the mail, unless it is owed no longer.
    pub(super) async fn write(&self, owed: &ClaimedMail) -> Result<Option<Mail>, LetterError> {
        match owed.kind {
            MailKind::VerifyEmail => self.verify_email(owed).await,
            MailKind::ResetPassword => self.reset_password(owed).await,
            MailKind::ConfirmEmailChange => self.confirm_email_change(owed).await,
            MailKind::EmailChanged => self.email_changed(owed).await,
            MailKind::ConfirmSignUp | MailKind::AccountExists | MailKind::UsernameTaken => {
                self.sign_up(owed).await
            }
            MailKind::Invitation => self.invitation(owed).await,
        }
    }

    async fn verify_email(&self, owed: &ClaimedMail) -> Result<Option<Mail>, LetterError> {
        let holder = self.users.find_credentials_by_email(&owed.to).await?;
        let is_owed = |user: &User| user.is_active && user.email_verified_at.is_none();
        if !holder.is_some_and(|(user, _)| is_owed(&user)) {
            return self.sign_up_again(owed).await;
        }
        let lifetime = self.links.lifetimes().verification;
        if !self.may_write_to_user(owed, lifetime).await? {
            return Ok(None);
        }
        self.verification_of(owed).await
    }

    /// Others decide to whom these mails go: nobody shall drown in them.
    pub(super) async fn may_write_to_stranger(
        &self,
        owed: &ClaimedMail,
    ) -> Result<bool, StoreError> {
        self.may_write(owed, 3, DAY).await
    }

    /// Nor in those with a link to one's own account. No wait is longer than a link is good: whoever
    /// uses the mails up leaves their reader the link in the newest. What is owed for a reason of its
    /// own nobody has asked for in another's name.
    async fn may_write_to_user(
        &self,
        owed: &ClaimedMail,
        lifetime: Duration,
    ) -> Result<bool, StoreError> {
        if owed.kind == MailKind::ResetPassword && owed.about.is_some() {
            return Ok(true);
        }
        self.may_write(owed, 5, lifetime).await
    }

    /// Only the first try of a mail counts, since the others are ours.
    async fn may_write(
        &self,
        owed: &ClaimedMail,
        at_once: u32,
        longest_block: Duration,
    ) -> Result<bool, StoreError> {
        let budget = TryBudget {
            window: DAY,
            quiet: DAY,
            first_block: HOUR,
            longest_block,
            ..TryBudget::new(self.throttle_keys.mails(owed.kind, &owed.to), at_once)
        };
        self.may_spend(owed, &[budget]).await
    }

    /// Mails of sign-ups count for the address and for the client that asked, so that strangers
    /// leave the owner some.
    pub(super) async fn may_write_of_sign_up(
        &self,
        owed: &ClaimedMail,
        source: SignUpSource,
    ) -> Result<bool, StoreError> {
        let hourly = |key, tries| TryBudget {
            window: HOUR,
            quiet: Duration::ZERO,
            first_block: HOUR,
            longest_block: HOUR,
            ..TryBudget::new(key, tries)
        };
        let keys = &self.throttle_keys;
        let of_address = hourly(keys.mails(MailKind::ConfirmSignUp, &owed.to), 10);
        let of_source = hourly(keys.mails_from(source), 3);
        self.may_spend(owed, &[of_source, of_address]).await
    }

    async fn may_spend(
        &self,
        owed: &ClaimedMail,
        budgets: &[TryBudget],
    ) -> Result<bool, StoreError> {
        if owed.attempt > 1 {
            return Ok(true);
        }
        let admission = self.throttle.take_tries(budgets, self.clock.now());
        Ok(admission.await? == Admission::Admitted)
    }

    /// The link for a user who has not verified the address.
    ///
    /// Another try of a mail keeps the verification of the first, which may have arrived: whichever
    /// copy is read, its link is good.
    pub(super) async fn verification_of(
        &self,
        owed: &ClaimedMail,
    ) -> Result<Option<Mail>, LetterError> {
        let verification = if owed.attempt > 1 {
            self.users.find_email_verification(&owed.to)
        } else {
            self.users.begin_email_verification(&owed.to)
        };
        let Some((user, verification)) = verification.await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let link = self
            .links
            .verify_email(user.id, &user.email, verification, now);
        let lifetime = self.links.lifetimes().verification;
        self.mail(MailKind::VerifyEmail, &user, &user.email, &link, lifetime)
    }

    /// Whoever reads mail at the address may take the account over: where addresses must be
    /// verified, one that is not may be somebody else's.
    async fn reset_password(&self, owed: &ClaimedMail) -> Result<Option<Mail>, LetterError> {
        let found = self.users.find_credentials_by_email(&owed.to).await?;
        let is_owed = |user: &User| {
            let is_proved = user.email_verified_at.is_some()
                || self.email_verification == EmailVerification::Optional;
            user.is_active && is_proved
        };
        let Some((user, hash)) = found.filter(|(user, _)| is_owed(user)) else {
            return Ok(None);
        };
        let lifetime = self.links.lifetimes().password_reset;
        if !self.may_write_to_user(owed, lifetime).await? {
            return Ok(None);
        }
        let now = self.clock.now();
        let link = self.links.reset_password(user.id, &hash, &user.email, now);
        self.mail(MailKind::ResetPassword, &user, &user.email, &link, lifetime)
    }

    /// Whether somebody else has the address is found out here, where nobody can measure it.
    async fn confirm_email_change(&self, owed: &ClaimedMail) -> Result<Option<Mail>, LetterError> {
        let Some((change, user)) = self.email_change(owed).await? else {
            return Ok(None);
        };
        let holder = self.users.find_credentials_by_email(&change.address);
        let is_free = holder
            .await?
            .is_none_or(|(holder, _)| holder.id == change.user);
        let is_pending = change.confirmed_at.is_none() && user.is_active;
        if !is_free || !is_pending || !self.may_write_to_stranger(owed).await? {
            return Ok(None);
        }
        let now = self.clock.now();
        let link = self.links.confirm_email_change(change.id, now);
        let lifetime = self.links.lifetimes().verification;
        self.mail(owed.kind, &user, &change.address, &link, lifetime)
    }

    async fn email_changed(&self, owed: &ClaimedMail) -> Result<Option<Mail>, LetterError> {
        let Some((change, user)) = self.email_change(owed).await? else {
            return Ok(None);
        };
        let until = change.undo_until;
        let until = until.filter(|until| *until > self.clock.now() && change.undone_at.is_none());
        let Some(until) = until else {
            return Ok(None);
        };
        let link = self.links.undo_email_change(change.id, until);
        let lifetime = self.links.lifetimes().email_undo;
        let mail = self.mail(owed.kind, &user, &change.address, &link, lifetime)?;
        Ok(mail.map(|mail| Mail {
            to: change.former,
            ..mail
        }))
    }

    async fn email_change(
        &self,
        owed: &ClaimedMail,
    ) -> Result<Option<(EmailChange, User)>, StoreError> {
        let Some(id) = owed.about.map(EmailChangeId::from_uuid) else {
            return Ok(None);
        };
        let Some(change) = self.email_changes.find_email_change(id).await? else {
            return Ok(None);
        };
        let user = self.users.find_user(change.user).await?;
        Ok(user.map(|user| (change, user)))
    }

    fn mail(
        &self,
        kind: MailKind,
        user: &User,
        address: &EmailAddress,
        link: &str,
        lifetime: Duration,
    ) -> Result<Option<Mail>, LetterError> {
        let words = Words {
            username: user.username.as_str(),
            address,
            link,
            lifetime,
        };
        Ok(Some(self.templates.write(kind, address, &words)?))
    }
}

/// Why a mail could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum LetterError {
    #[error("the storage is not available")]
    Store(#[from] StoreError),
    #[error("the text could not be made")]
    Template(#[from] TemplateError),
}
