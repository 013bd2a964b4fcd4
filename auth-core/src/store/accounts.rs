use std::fmt;

use async_trait::async_trait;

use super::{Ending, StoreError};
use crate::audit::AuditEvent;
use crate::{PasswordHash, Roles, SessionId, UserId};

/// What happens to accounts.
///
/// Each method returns whether there is such a user; only then is there an event. A change that
/// changes nothing succeeds.
#[async_trait]
pub trait AccountStore: fmt::Debug + Send + Sync + 'static {
    /// Forbids the user to log in, and ends all sessions.
    ///
    /// # Errors
    ///
    /// - [`StoreError::LastSuperuser`] if no active superuser would be left, also when several are
    ///   deactivated at once;
    /// - [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn deactivate_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Allows the user to log in.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn activate_user(&self, id: UserId, event: &AuditEvent) -> Result<bool, StoreError>;

    /// Removes the user and all sessions, and records the revocations of their access tokens; the
    /// audit trail stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::LastSuperuser`], [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn delete_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Makes the user a superuser.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn grant_superuser(&self, id: UserId, event: &AuditEvent) -> Result<bool, StoreError>;

    /// Makes the user a superuser no longer, and records the revocation of the access tokens
    /// issued until now; the sessions go on.
    ///
    /// # Errors
    ///
    /// [`StoreError::LastSuperuser`], [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn revoke_superuser(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Gives the user these roles and no others, and records the revocation of the access tokens
    /// issued until now; the sessions go on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn set_roles(
        &self,
        id: UserId,
        roles: &Roles,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Replaces the password hash, ends the user's sessions and forgets a change of address that is
    /// not confirmed: whoever asked for it knew the former password. Returns `false` also if the
    /// hash is not the one that is to be replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn change_password(
        &self,
        id: UserId,
        replacement: &PasswordReplacement,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;
}

/// A password hash that takes the place of another.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PasswordReplacement {
    /// The hash from now on.
    pub hash: PasswordHash,
    /// The hash of before, if any other must stay.
    pub expected: Option<PasswordHash>,
    /// The session that does not end.
    pub except: Option<SessionId>,
}

impl PasswordReplacement {
    /// Replaces whatever hash there is, and ends all sessions.
    #[must_use]
    pub const fn new(hash: PasswordHash) -> Self {
        Self {
            hash,
            expected: None,
            except: None,
        }
    }

    /// Replaces this hash and no other.
    #[must_use]
    pub fn of(mut self, expected: PasswordHash) -> Self {
        self.expected = Some(expected);
        self
    }

    /// Ends all sessions but this one.
    #[must_use]
    pub const fn except(mut self, session: SessionId) -> Self {
        self.except = Some(session);
        self
    }
}
