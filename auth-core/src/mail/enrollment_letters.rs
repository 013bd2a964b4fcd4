//! Letters to who is to become a user.

use std::time::Duration;

use super::letters::{LetterError, Letters};
use super::templates::Words;
use super::{Mail, MailKind};
use crate::EmailAddress;
use crate::store::{
    ClaimedMail, Enrollee, EnrollmentId, EnrollmentOrigin, SignUpSource, StoreError,
};

impl Letters {
    /// Whether the address or the name belongs to somebody is found out here, where nobody can
    /// measure it.
    pub(super) async fn sign_up(&self, owed: &ClaimedMail) -> Result<Option<Mail>, LetterError> {
        match self.pending(owed).await? {
            Some(enrollment) => self.answer_sign_up(owed, &enrollment).await,
            None => Ok(None),
        }
    }

    /// The same for a client that asks for another mail: it gets the link of its own sign-up, or, from
    /// another network, that of the newest.
    pub(super) async fn sign_up_again(
        &self,
        owed: &ClaimedMail,
    ) -> Result<Option<Mail>, LetterError> {
        let mut found = self.enrollments.find_enrollments_of(&owed.to).await?;
        found.retain(|found| found.origin.source().is_some() && self.is_pending(found));
        let asks = owed.about.map(SignUpSource::from_uuid);
        let own = |enrollment: &&Enrollee| enrollment.origin.source() == asks;
        match found.iter().find(own).or(found.first()) {
            Some(enrollment) => self.answer_sign_up(owed, enrollment).await,
            None => Ok(None),
        }
    }

    async fn answer_sign_up(
        &self,
        owed: &ClaimedMail,
        enrollment: &Enrollee,
    ) -> Result<Option<Mail>, LetterError> {
        let EnrollmentOrigin::SignUp {
            username, source, ..
        } = &enrollment.origin
        else {
            return Ok(None);
        };
        let asks = match owed.kind {
            MailKind::VerifyEmail => owed.about.map(SignUpSource::from_uuid),
            _ => None,
        };
        if !self
            .may_write_of_sign_up(owed, asks.unwrap_or(*source))
            .await?
        {
            return Ok(None);
        }
        let holder = self.users.find_credentials_by_email(&enrollment.email);
        if let Some((user, _)) = holder.await? {
            return match user.email_verified_at {
                _ if !user.is_active => Ok(None),
                // In the spelling that was verified: what was typed may be another's mailbox.
                Some(_) => {
                    self.notice(MailKind::AccountExists, &user.email, user.username.as_str())
                }
                None => self.verification_of(owed).await,
            };
        }
        if self.users.find_credentials(username).await?.is_some() {
            let kind = MailKind::UsernameTaken;
            return self.notice(kind, &enrollment.email, username.as_str());
        }
        let lifetime = self.links.lifetimes().verification;
        self.with_link(
            MailKind::ConfirmSignUp,
            enrollment,
            username.as_str(),
            lifetime,
        )
    }

    pub(super) async fn invitation(&self, owed: &ClaimedMail) -> Result<Option<Mail>, LetterError> {
        let Some(enrollment) = self.pending(owed).await? else {
            return Ok(None);
        };
        let lifetime = self.links.lifetimes().invitation;
        self.with_link(MailKind::Invitation, &enrollment, "", lifetime)
    }

    /// The enrollment that the mail is about, unless a newer one has replaced it.
    async fn pending(&self, owed: &ClaimedMail) -> Result<Option<Enrollee>, StoreError> {
        let Some(id) = owed.about.map(EnrollmentId::from_uuid) else {
            return Ok(None);
        };
        let found = self.enrollments.find_enrollment(id).await?;
        Ok(found.filter(|enrollment| self.is_pending(enrollment)))
    }

    fn is_pending(&self, enrollment: &Enrollee) -> bool {
        enrollment.is_pending(self.clock.now())
    }

    fn notice(
        &self,
        kind: MailKind,
        address: &EmailAddress,
        username: &str,
    ) -> Result<Option<Mail>, LetterError> {
        self.letter(kind, address, username, "", Duration::ZERO)
    }

    fn with_link(
        &self,
        kind: MailKind,
        enrollment: &Enrollee,
        username: &str,
        lifetime: Duration,
    ) -> Result<Option<Mail>, LetterError> {
        let now = self.clock.now();
        let link = self.links.complete_enrollment(enrollment, now);
        self.letter(kind, &enrollment.email, username, &link, lifetime)
    }

    fn letter(
        &self,
        kind: MailKind,
        address: &EmailAddress,
        username: &str,
        link: &str,
        lifetime: Duration,
    ) -> Result<Option<Mail>, LetterError> {
        let words = Words {
            username,
            address,
            link,
            lifetime,
        };
        Ok(Some(self.templates.write(kind, address, &words)?))
    }
}
