use std::fmt;

use async_trait::async_trait;

use super::{Ending, LoginSettlement, Revoked, StoreError};
use crate::audit::AuditEvent;
use crate::{PasswordHash, Roles, SessionId, Timestamp, UserId};

/// What happens to accounts.
///
/// Each method returns what it has taken back, if there is such a user; only then is there an event.
#[async_trait]
pub trait AccountStore: fmt::Debug + Send + Sync + 'static {
    /// Changes the user, with the consequences of each part of the change and with all the events,
    /// or leaves everything as it is; returns `None` also if the password hash is not the one
    /// that is to be replaced.
    ///
    /// A change that [ends tokens](AccountChange::ends_tokens) begins the user's next
    /// [epoch](crate::User::token_epoch). A change to what is already so succeeds.
    ///
    /// # Errors
    ///
    /// - [`StoreError::LastSuperuser`] if the change [takes rights](AccountChange::takes_rights) and no
    ///   active superuser would be left, also when several are changed at once;
    /// - [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn change_user(
        &self,
        id: UserId,
        change: &AccountChange,
        ending: &Ending,
        events: &[AuditEvent],
    ) -> Result<Option<Revoked>, StoreError>;

    /// Removes the user and all sessions, and records the revocations of their access tokens; the
    /// audit trail stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::LastSuperuser`]; [`StoreError::UserInUse`] if a foreign key of the host's
    /// forbids it; [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn delete_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError>;
}

/// What a store changes of a user; what is `None` stays.
///
/// [`UserChanges`](crate::UserChanges) is what an administrator asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccountChange {
    /// When.
    pub at: Timestamp,
    /// Whether the user may log in; who may not has no sessions.
    pub is_active: Option<bool>,
    /// Whether the user is a superuser.
    pub is_superuser: Option<bool>,
    /// The user's roles, and no others.
    pub roles: Option<Roles>,
    /// The password hash; with it sessions end, and a change of address that is not confirmed is
    /// forgotten: whoever asked for it knew the former password.
    pub password: Option<PasswordReplacement>,
    /// What the change makes of failed logins that are counted.
    pub settlement: LoginSettlement,
}

impl AccountChange {
    /// Changes nothing.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self {
            at,
            is_active: None,
            is_superuser: None,
            roles: None,
            password: None,
            settlement: LoginSettlement::default(),
        }
    }

    /// Replaces the password hash and nothing else.
    #[must_use]
    pub fn of_password(replacement: PasswordReplacement, at: Timestamp) -> Self {
        Self {
            password: Some(replacement),
            ..Self::new(at)
        }
    }

    /// Whether it takes away what the last superuser must keep.
    #[must_use]
    pub fn takes_rights(&self) -> bool {
        self.is_active == Some(false) || self.is_superuser == Some(false)
    }

    /// Whether sessions of the user end: all, or all but [one](Self::kept_session).
    #[must_use]
    pub fn ends_sessions(&self) -> bool {
        self.is_active == Some(false) || self.password.is_some()
    }

    /// The session that does not end.
    #[must_use]
    pub fn kept_session(&self) -> Option<SessionId> {
        let replacement = self.password.as_ref()?;
        replacement.except.filter(|_| self.is_active != Some(false))
    }

    /// Whether the access tokens issued until now tell what is so no longer: their revocation is
    /// recorded, and the sessions go on.
    #[must_use]
    pub fn ends_tokens(&self) -> bool {
        self.is_superuser == Some(false) || self.roles.is_some()
    }

    /// The password hash from now on.
    #[must_use]
    pub fn password_hash(&self) -> Option<&PasswordHash> {
        self.password.as_ref().map(|replacement| &replacement.hash)
    }

    /// The password hash that the user must have for the change to take place.
    #[must_use]
    pub fn expected_hash(&self) -> Option<&PasswordHash> {
        self.password.as_ref()?.expected.as_ref()
    }
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
