//! From a mail that is owed to a mail that can travel.

use std::fmt;
use std::time::Duration;

use super::{Mail, MailKind, MailTemplates};
use crate::Timestamp;
use crate::store::{ClaimedMail, Store, StoreError};
use crate::token::VerificationTokens;

/// Writes the mails.
#[derive(Clone)]
pub(crate) struct Letters {
    templates: MailTemplates,
    verification_tokens: VerificationTokens,
    public_url: String,
    verification_ttl: Duration,
}

impl Letters {
    pub(crate) const fn new(
        templates: MailTemplates,
        verification_tokens: VerificationTokens,
        public_url: String,
        verification_ttl: Duration,
    ) -> Self {
        Self {
            templates,
            verification_tokens,
            public_url,
            verification_ttl,
        }
    }

    /// Writes the mail, or nothing if it is owed no longer: the address is verified, or nobody's.
    pub(super) async fn write(
        &self,
        store: &dyn Store,
        owed: &ClaimedMail,
        now: Timestamp,
    ) -> Result<Option<Mail>, LetterError> {
        match owed.kind {
            MailKind::VerifyEmail => {
                let Some((user, generation)) = store.begin_email_verification(&owed.to).await?
                else {
                    return Ok(None);
                };
                let expires_at = now + self.verification_ttl;
                let token =
                    self.verification_tokens
                        .issue(user.id, &user.email, generation, expires_at);
                let link = format!(
                    "{}/api/register/verify/?token={}",
                    self.public_url,
                    token.expose()
                );
                let mail = self.templates.verify_email(
                    &user.email,
                    &user.username,
                    &link,
                    self.verification_ttl,
                )?;
                Ok(Some(mail))
            }
        }
    }
}

impl fmt::Debug for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letters")
            .field("public_url", &self.public_url)
            .finish_non_exhaustive()
    }
}

/// Why a mail was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum LetterError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the template failed")]
    Template(#[from] minijinja::Error),
}
