//! What users can do to their own accounts.

use std::fmt;

use async_trait::async_trait;

use crate::{AuthError, Password, Principal, RequestContext, Session, SessionId, User};

/// Use cases of users on their own accounts, beside [`AuthService`](crate::AuthService).
///
/// Each asks the store whether the caller's session is still live: a token whose session has ended
/// does nothing here, whatever a verifier knows. What changes something is told to the audit trail,
/// also when it is refused.
#[async_trait]
pub trait Account: fmt::Debug + Send + Sync + 'static {
    /// Tells what is known of the caller.
    ///
    /// # Errors
    ///
    /// - [`AuthError::TokenRevoked`] if the caller's session has ended;
    /// - [`AuthError::Storage`] if the store cannot answer.
    async fn read_account(&self, caller: &Principal) -> Result<User, AuthError>;

    /// Lists the caller's live sessions, those that began last first; at most 1,000.
    ///
    /// # Errors
    ///
    /// [`AuthError::TokenRevoked`], [`AuthError::Storage`].
    async fn list_own_sessions(&self, caller: &Principal) -> Result<Vec<Session>, AuthError>;

    /// Ends one of the caller's sessions, which may be the current one.
    ///
    /// # Errors
    ///
    /// - [`AuthError::NotFound`] if the caller has no such live session;
    /// - [`AuthError::TokenRevoked`], [`AuthError::Storage`].
    async fn end_own_session(
        &self,
        caller: &Principal,
        session: SessionId,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Ends the caller's sessions; returns how many there were.
    ///
    /// # Errors
    ///
    /// [`AuthError::TokenRevoked`], [`AuthError::Storage`].
    async fn end_own_sessions(
        &self,
        caller: &Principal,
        which: OwnSessions,
        context: &RequestContext,
    ) -> Result<u64, AuthError>;

    /// Replaces the caller's password, and ends all sessions but the current one.
    ///
    /// A wrong current password counts as a failed login: guessing slows down here as there.
    ///
    /// # Errors
    ///
    /// - [`AuthError::InvalidCredentials`] if the current password is wrong;
    /// - [`AuthError::Validation`] if the new one breaks the rules, in the field `new_password`;
    /// - [`AuthError::TooManyAttempts`], [`AuthError::Overloaded`];
    /// - [`AuthError::TokenRevoked`], [`AuthError::Storage`].
    async fn change_own_password(
        &self,
        caller: &Principal,
        change: PasswordChange,
        context: &RequestContext,
    ) -> Result<(), AuthError>;
}

/// Which of their sessions users end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnSessions {
    /// All of them: the user is logged out everywhere.
    All,
    /// All but the current one.
    Others,
}

/// A password, and the one to take its place.
#[derive(Debug)]
#[non_exhaustive]
pub struct PasswordChange {
    /// The one of now, as the user typed it.
    pub current: Password,
    /// The one from now on.
    pub new: Password,
}

impl PasswordChange {
    /// Puts the two together.
    #[must_use]
    pub const fn new(current: Password, new: Password) -> Self {
        Self { current, new }
    }
}
