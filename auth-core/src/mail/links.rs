//! The links in mails.

use std::time::Duration;

use crate::store::EmailChangeId;
use crate::token::{EmailChangeTokens, PasswordResetTokens, VerificationTokens};
use crate::{EmailAddress, Generation, PasswordHash, SecretKeys, Timestamp, UserId};

/// Where links lead, what they carry, and how long they are good.
#[derive(Clone, Debug)]
pub(crate) struct MailLinks {
    /// What every link begins with: it comes from the settings, never from a request.
    public_url: Box<str>,
    lifetimes: LinkLifetimes,
    pub(crate) verification: VerificationTokens,
    pub(crate) password_reset: PasswordResetTokens,
    pub(crate) email_change: EmailChangeTokens,
    pub(crate) email_undo: EmailChangeTokens,
}

/// How long links are good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkLifetimes {
    /// Those that verify an address, the one to come too.
    pub(crate) verification: Duration,
    pub(crate) password_reset: Duration,
    /// From the confirmation of the change on.
    pub(crate) email_undo: Duration,
}

impl MailLinks {
    pub(crate) fn new(keys: &SecretKeys, public_url: &str, lifetimes: LinkLifetimes) -> Self {
        Self {
            public_url: public_url.trim_end_matches('/').into(),
            lifetimes,
            verification: VerificationTokens::new(keys),
            password_reset: PasswordResetTokens::new(keys),
            email_change: EmailChangeTokens::for_confirmation(keys),
            email_undo: EmailChangeTokens::for_undo(keys),
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
        let token = self.email_change.issue(change, expires_at);
        self.to("api/auth/email/change/confirm", token.expose())
    }

    pub(super) fn undo_email_change(&self, change: EmailChangeId, until: Timestamp) -> String {
        let token = self.email_undo.issue(change, until);
        self.to("api/auth/email/change/undo", token.expose())
    }

    /// A token is base64url: it goes into a query as it is.
    fn to(&self, page: &str, token: &str) -> String {
        format!("{}/{page}/?token={token}", self.public_url)
    }
}
