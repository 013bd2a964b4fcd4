//! What operators ask a database for from the command line; no part of [`Store`](super::Store), since
//! the engine needs none of it.

use uuid::Uuid;

use crate::mail::MailKind;
use crate::{EmailAddress, Timestamp};

/// A mail of the outbox, as its operator sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwedMail {
    /// The id.
    pub id: Uuid,
    /// Why we write.
    pub kind: MailKind,
    /// To whom.
    pub to: EmailAddress,
    /// How often it was tried.
    pub attempts: u32,
    /// What becomes of it.
    pub state: MailState,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

/// What becomes of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MailState {
    /// It is tried at this time, or is under way until then.
    Waits(Timestamp),
    /// It was given up.
    GivenUp(Timestamp),
}
