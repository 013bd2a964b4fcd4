//! A mail as an Internet message.

use std::fmt;
use std::str::FromStr;

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};

use super::{Mail, MailError};

/// Who mails are from: `auth@example.org`, or `Example <auth@example.org>`.
///
/// ```
/// use auth_core::mail::Sender;
///
/// assert!("Example <auth@example.org>".parse::<Sender>().is_ok());
/// assert!("example.org".parse::<Sender>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Sender(Mailbox);

impl FromStr for Sender {
    type Err = SenderError;

    fn from_str(text: &str) -> Result<Self, SenderError> {
        text.parse().map(Self).map_err(|_| SenderError)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({})", self.0)
    }
}

/// The text is no sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an address like auth@example.org, or Example <auth@example.org>")]
pub struct SenderError;

/// Builds the message; the library encodes or refuses what would add a header or a recipient.
pub(super) fn build(sender: &Sender, mail: &Mail) -> Result<Message, MailError> {
    let permanent = |error: Box<dyn std::error::Error + Send + Sync>| MailError::Permanent(error);
    let to = mail
        .to
        .as_str()
        .parse()
        .map_err(|e| permanent(Box::new(e)))?;
    let domain = sender.0.email.domain();
    let id = format!("<{}@{domain}>", uuid::Uuid::new_v4());
    // So that vacation notices do not answer us (RFC 3834 section 5).
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    );
    Message::builder()
        .from(sender.0.clone())
        .to(Mailbox::new(None, to))
        .subject(mail.subject.clone())
        .date_now()
        .message_id(Some(id))
        .raw_header(automatic)
        .multipart(MultiPart::alternative_plain_html(
            mail.text.clone(),
            mail.html.clone(),
        ))
        .map_err(|e| permanent(Box::new(e)))
}
