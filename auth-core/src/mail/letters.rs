//! From a mail that is owed to its text.

use std::sync::Arc;
use std::time::Duration;

use super::{Mail, MailKind, MailTemplates, TemplateError};
use crate::store::{ClaimedMail, StoreError, UserStore};
use crate::token::VerificationTokens;
use crate::{Clock, EmailAddress};

/// Writes the mails that are owed.
///
/// The outbox holds no text: a mail is written when it is sent, with what is true then. So a mail
/// that waited for days still has a fresh link, and one that nobody needs any more is not sent.
#[derive(Debug)]
pub struct Letters {
    users: Arc<dyn UserStore>,
    tokens: VerificationTokens,
    templates: MailTemplates,
    public_url: Box<str>,
    link_lifetime: Duration,
    clock: Arc<dyn Clock>,
}

impl Letters {
    /// Puts together what letters are written with; the links begin with `public_url` and nothing
    /// else.
    pub(crate) fn new(
        users: Arc<dyn UserStore>,
        tokens: VerificationTokens,
        templates: MailTemplates,
        public_url: &str,
        link_lifetime: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            users,
            tokens,
            templates,
            public_url: public_url.trim_end_matches('/').into(),
            link_lifetime,
            clock,
        }
    }

    /// Writes the mail, unless it is owed no longer.
    pub(super) async fn write(&self, owed: &ClaimedMail) -> Result<Option<Mail>, LetterError> {
        match owed.kind {
            MailKind::VerifyEmail => self.verify_email(&owed.to).await,
        }
    }

    async fn verify_email(&self, to: &EmailAddress) -> Result<Option<Mail>, LetterError> {
        let Some((user, verification)) = self.users.begin_email_verification(to).await? else {
            return Ok(None);
        };
        let expires_at = self.clock.now() + self.link_lifetime;
        let token = self
            .tokens
            .issue(user.id, &user.email, verification, expires_at);
        // A token is base64url: it goes into a query as it is.
        let link = format!(
            "{}/api/register/verify/?token={}",
            self.public_url,
            token.expose()
        );
        let mail =
            self.templates
                .verify_email(&user.email, &user.username, &link, self.link_lifetime)?;
        Ok(Some(mail))
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
