//! Mail: what is written, how it travels, and the worker that empties the outbox.

mod enrollment_letters;
#[cfg(feature = "mail-folder")]
mod folder;
mod letters;
mod links;
#[cfg(any(feature = "mail-folder", feature = "mail-smtp"))]
mod message;
#[cfg(any(feature = "mail-folder", feature = "mail-smtp"))]
mod sender;
#[cfg(feature = "mail-smtp")]
mod smtp;
mod templates;
mod worker;

use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

#[cfg(feature = "mail-folder")]
pub use self::folder::FolderTransport;
pub(crate) use self::letters::Letters;
pub(crate) use self::links::{LinkLifetimes, MailLinks};
#[cfg(any(feature = "mail-folder", feature = "mail-smtp"))]
pub use self::sender::{Sender, SenderError};
#[cfg(feature = "mail-smtp")]
pub use self::smtp::{SmtpSetupError, SmtpTransport};
pub use self::templates::{MailTemplates, TemplateError};
pub use self::worker::{Deliveries, MailWorker};
use crate::EmailAddress;

/// Why we write to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MailKind {
    /// The link that verifies the address.
    VerifyEmail,
    /// The link to choose a new password.
    ResetPassword,
    /// The link that confirms a new address, mailed to it.
    ConfirmEmailChange,
    /// The notice that the address was changed, to the former one, with the link that undoes it.
    EmailChanged,
    /// The link that completes what was signed up for.
    ConfirmSignUp,
    /// The notice to who has an account already that somebody signed up with the address.
    AccountExists,
    /// The notice to who signed up that the name is taken.
    UsernameTaken,
    /// The link that lets the invited choose name and password.
    Invitation,
}

impl MailKind {
    const ALL: [Self; 8] = [
        Self::VerifyEmail,
        Self::ResetPassword,
        Self::ConfirmEmailChange,
        Self::EmailChanged,
        Self::ConfirmSignUp,
        Self::AccountExists,
        Self::UsernameTaken,
        Self::Invitation,
    ];

    /// The stable name that a store keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::ConfirmEmailChange => "confirm_email_change",
            Self::EmailChanged => "email_changed",
            Self::ConfirmSignUp => "confirm_sign_up",
            Self::AccountExists => "account_exists",
            Self::UsernameTaken => "username_taken",
            Self::Invitation => "invitation",
        }
    }

    /// Reads the name that [`as_str`](Self::as_str) gives.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A mail, ready to travel.
///
/// `Debug` shows neither text, since a text carries a link that must not be logged.
#[derive(Clone)]
#[non_exhaustive]
pub struct Mail {
    /// The id of the mail's row in the outbox, the same each time the mail is sent.
    pub id: Uuid,
    /// The one recipient.
    pub to: EmailAddress,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

impl Mail {
    /// Makes a mail with a new id.
    #[must_use]
    pub fn new(to: EmailAddress, subject: String, text: String, html: String) -> Self {
        Self {
            id: Uuid::now_v7(),
            to,
            subject,
            text,
            html,
        }
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("id", &self.id)
            .field("to", &self.to)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// Carries mails to their recipients.
#[async_trait]
pub trait MailTransport: fmt::Debug + Send + Sync + 'static {
    /// Hands one mail on; when it returns, the mail is no longer ours to lose.
    ///
    /// A transport may get the same mail more than once, with the same [`id`](Mail::id) each time:
    /// if the process ends before it has recorded that the mail was handed on, or if no answer
    /// came. Pass the id on, so that the recipient's side can drop duplicates; the links of all
    /// copies work.
    ///
    /// # Errors
    ///
    /// - [`MailError::Temporary`] if another try may succeed;
    /// - [`MailError::Permanent`] if none will.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;

    /// Tells whether mail can be handed on.
    ///
    /// # Errors
    ///
    /// [`MailError`] with what stands in the way.
    async fn check(&self) -> Result<(), MailError>;
}

/// Why a mail could not be handed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// Another try may succeed: no connection, a full disk, a 4xx answer of the mail server.
    #[error("the mail could not be sent now")]
    Temporary(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No try will succeed: the mail server refuses this recipient or this mail (5xx).
    #[error("the mail cannot be sent")]
    Permanent(#[source] Box<dyn std::error::Error + Send + Sync>),
}
