use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Ending, NewMail, Revoked, StoreError};
use crate::audit::AuditEvent;
use crate::{EmailAddress, PasswordHash, Timestamp, UserId};

/// Changes of users' addresses: asked for, confirmed at the new address, undone from the former
/// one.
#[async_trait]
pub trait EmailChangeStore: fmt::Debug + Send + Sync + 'static {
    /// Notes what an active user asks for, in place of what the user asked for and has not
    /// confirmed, with the mail and the event; returns whether there is such a user, with the
    /// password that was [proved](NewEmailChange::proved_with).
    ///
    /// A password that is replaced at the same time is replaced before, and nothing is noted, or
    /// after, and what was noted is [forgotten](super::AccountChange::password).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn request_email_change(
        &self,
        change: &NewEmailChange,
        mail: &NewMail,
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Finds a change.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn find_email_change(&self, id: EmailChangeId)
    -> Result<Option<EmailChange>, StoreError>;

    /// Gives the user the new address, verified at the event's time, with the event; returns
    /// whether it did.
    ///
    /// It does so once, and only while the user is active and still has the former address. What
    /// was mailed to that address to verify it is good no longer.
    ///
    /// If the former address was verified by then, the notice is owed. Until `undo_until` the change
    /// can then be undone, and the former address is reserved: as long as it is not undone, whatever
    /// gives that address to another user fails with [`StoreError::EmailTaken`]. An address that
    /// was not verified may be a stranger's: it is free at once, and gets no mail.
    ///
    /// # Errors
    ///
    /// - [`StoreError::EmailTaken`] if the new address is another user's by now, or reserved for
    ///   one at the event's time;
    /// - [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn confirm_email_change(
        &self,
        id: EmailChangeId,
        undo_until: Timestamp,
        notice: &NewMail,
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Gives the user the former address back, verified at the event's time, replaces the password
    /// hash and ends all sessions, with the mail and the event; returns which, if it did.
    ///
    /// It does so once, and only if at the event's time the change can still be undone, whatever
    /// address the user has by now. The user's later changes count as undone with it, and one that
    /// is not confirmed is forgotten.
    ///
    /// # Errors
    ///
    /// - [`StoreError::EmailTaken`] if another user has the former address, against its reservation;
    /// - [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn undo_email_change(
        &self,
        id: EmailChangeId,
        undo: &EmailChangeUndo,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError>;

    /// Removes up to `limit` changes that were asked for before a time; returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn remove_email_changes(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

/// Identifies a change of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailChangeId(Uuid);

impl EmailChangeId {
    /// Makes a fresh id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Wraps an id read from a database or a link.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id as a UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for EmailChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A change of address that a user asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewEmailChange {
    /// The id.
    pub id: EmailChangeId,
    /// Whose address.
    pub user: UserId,
    /// The address to come.
    pub address: EmailAddress,
    /// When.
    pub requested_at: Timestamp,
    /// The hash of the password that the user has proved to know, if no other will do.
    pub proof: Option<PasswordHash>,
}

impl NewEmailChange {
    /// Makes a change with a fresh id.
    #[must_use]
    pub fn new(user: UserId, address: EmailAddress, requested_at: Timestamp) -> Self {
        Self {
            id: EmailChangeId::generate(),
            user,
            address,
            requested_at,
            proof: None,
        }
    }

    /// Notes it only while the user's password has this hash.
    #[must_use]
    pub fn proved_with(mut self, hash: PasswordHash) -> Self {
        self.proof = Some(hash);
        self
    }
}

/// A change of address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmailChange {
    /// The id.
    pub id: EmailChangeId,
    /// Whose address.
    pub user: UserId,
    /// The address of before.
    pub former: EmailAddress,
    /// The address to come, or of now.
    pub address: EmailAddress,
    /// When the user asked for it.
    pub requested_at: Timestamp,
    /// When it was confirmed at the new address.
    pub confirmed_at: Option<Timestamp>,
    /// Until when it can be undone, if it was confirmed while the former address was verified.
    pub undo_until: Option<Timestamp>,
    /// When it was undone.
    pub undone_at: Option<Timestamp>,
}

impl EmailChange {
    /// Makes the record of a change that was asked for.
    #[must_use]
    pub const fn new(
        id: EmailChangeId,
        user: UserId,
        former: EmailAddress,
        address: EmailAddress,
        requested_at: Timestamp,
    ) -> Self {
        Self {
            id,
            user,
            former,
            address,
            requested_at,
            confirmed_at: None,
            undo_until: None,
            undone_at: None,
        }
    }
}

/// What comes with the undoing of a change of address.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmailChangeUndo {
    /// What takes the place of the password hash.
    pub password_hash: PasswordHash,
    /// The mail to the former address.
    pub mail: NewMail,
}

impl EmailChangeUndo {
    /// Puts the two together.
    #[must_use]
    pub const fn new(password_hash: PasswordHash, mail: NewMail) -> Self {
        Self {
            password_hash,
            mail,
        }
    }
}
