//! The links in mails.

use std::time::Duration;

use crate::store::{EmailChangeId, Enrollee, EnrollmentOrigin};
use crate::token::{PasswordResetTokens, RecordTokens, VerificationTokens};
use crate::{EmailAddress, Generation, PasswordHash, SecretKeys, Timestamp, UserId};

/// Where links lead, what they carry, and how long they are good.
#[derive(Clone, Debug)]
pub(crate) struct MailLinks {
    /// What every link begins with: it comes from the settings, never from a request.
    public_url: Box<str>,
    lifetimes: LinkLifetimes,
    pub(crate) verification: VerificationTokens,
    pub(crate) password_reset: PasswordResetTokens,
    pub(crate) email_change: RecordTokens,
    pub(crate) email_undo: RecordTokens,
    pub(crate) sign_up: RecordTokens,
    pub(crate) invitation: RecordTokens,
}

/// How long links are good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkLifetimes {
    /// Those that verify an address, the one to come too.
    pub(crate) verification: Duration,
    pub(crate) password_reset: Duration,
    /// From the confirmation of the change on.
    pub(crate) email_undo: Duration,
    pub(crate) invitation: Duration,
}

impl MailLinks {
    pub(crate) fn new(keys: &SecretKeys, public_url: &str, lifetimes: LinkLifetimes) -> Self {
        Self {
            public_url: public_url.trim_end_matches('/').into(),
            lifetimes,
            verification: VerificationTokens::new(keys),
            password_reset: PasswordResetTokens::new(keys),
            email_change: RecordTokens::for_email_change(keys),
            email_undo: RecordTokens::for_email_undo(keys),
            sign_up: RecordTokens::for_sign_up(keys),
            invitation: RecordTokens::for_invitation(keys),
        }
    }

    pub(crate) const fn lifetimes(&self) -> LinkLifetimes {
        self.lifetimes
    }

    pub(super) fn verify_email(
        &self,
        user: UserId,
        email: &EmailAddress,
        verification: Generation,
        now: Timestamp,
    ) -> String {
        let expires_at = now + self.lifetimes.verification;
        let token = self
            .verification
            .issue(user, email, verification, expires_at);
        self.to("api/register/verify", token.expose())
    }

    pub(super) fn reset_password(
        &self,
        user: UserId,
        hash: &PasswordHash,
        email: &EmailAddress,
        now: Timestamp,
    ) -> String {
        let expires_at = now + self.lifetimes.password_reset;
        let token = self.password_reset.issue(user, hash, email, expires_at);
        self.to("api/auth/password/reset/confirm", token.expose())
    }

    pub(super) fn confirm_email_change(&self, change: EmailChangeId, now: Timestamp) -> String {
        let expires_at = now + self.lifetimes.verification;
        let token = self.email_change.issue(change.as_uuid(), expires_at);
        self.to("api/auth/email/change/confirm", token.expose())
    }

    pub(super) fn undo_email_change(&self, change: EmailChangeId, until: Timestamp) -> String {
        let token = self.email_undo.issue(change.as_uuid(), until);
        self.to("api/auth/email/change/undo", token.expose())
    }

    /// Where an enrollment is completed: what was signed up for is confirmed where addresses are.
    pub(super) fn complete_enrollment(&self, enrollment: &Enrollee, now: Timestamp) -> String {
        let (page, tokens, lifetime) = match enrollment.origin {
            EnrollmentOrigin::SignUp { .. } => {
                ("verify", &self.sign_up, self.lifetimes.verification)
            }
            EnrollmentOrigin::Invitation { .. } => {
                ("accept", &self.invitation, self.lifetimes.invitation)
            }
        };
        let expires_at = (now + lifetime).min(enrollment.expires_at);
        let token = tokens.issue(enrollment.id.as_uuid(), expires_at);
        self.to(&format!("api/register/{page}"), token.expose())
    }

    /// A token is base64url: it goes into a query as it is.
    fn to(&self, page: &str, token: &str) -> String {
        format!("{}/{page}/?token={token}", self.public_url)
    }
}
