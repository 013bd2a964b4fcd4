//! What users can do to their own accounts.

use std::fmt;

use async_trait::async_trait;

use crate::{AuthError, Password, Principal, RequestContext, Session, SessionId, User};

/// Use cases of users on their own accounts, beside [`AuthService`](crate::AuthService).
///
/// What has a caller asks the store whether the caller's session is still live: a token whose
/// session has ended does nothing here, whatever a verifier knows. What changes something is told
/// to the audit trail, also when it is refused.
///
/// ```
/// use auth_core::{Account, AuthError, OwnSessions, Principal, RequestContext};
///
/// /// Ends the caller's sessions elsewhere, and tells how many there were.
/// async fn stay_only_here(account: &dyn Account, caller: &Principal) -> Result<u64, AuthError> {
///     for session in account.list_own_sessions(caller).await? {
///         println!("{:?}, last used at {}", session.client, session.last_used_at());
///     }
///     let context = RequestContext::default();
///     account.end_own_sessions(caller, OwnSessions::Others, &context).await
/// }
/// ```
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

    /// Mails a link to choose a new password to the address, if it is that of an active user who
    /// has verified it where that is required.
    ///
    /// Known or not, the answer is the same and takes the same time.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] if it is no address; [`AuthError::Storage`].
    async fn request_password_reset(
        &self,
        email: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Replaces the password of whoever got this link, and ends all sessions.
    ///
    /// The link dies with the password that it replaces, however that is replaced, and with the
    /// address that it was mailed to.
    ///
    /// # Errors
    ///
    /// - [`AuthError::LinkInvalid`], [`AuthError::LinkExpired`], [`AuthError::LinkUsed`];
    /// - [`AuthError::Validation`] if the password breaks the rules, in the field `password`; the
    ///   link stays good;
    /// - [`AuthError::Overloaded`], [`AuthError::Storage`].
    async fn reset_password(
        &self,
        token: &str,
        password: Password,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Mails a link to the caller's new address that confirms it; until then nothing changes.
    ///
    /// If somebody else has the address, no mail is sent, and nothing tells so. A wrong password
    /// counts as a failed login.
    ///
    /// # Errors
    ///
    /// - [`AuthError::Validation`] if it is no address, or the one of now;
    /// - [`AuthError::InvalidCredentials`] if the password is wrong;
    /// - [`AuthError::TooManyAttempts`], [`AuthError::Overloaded`];
    /// - [`AuthError::TokenRevoked`], [`AuthError::Storage`].
    async fn request_email_change(
        &self,
        caller: &Principal,
        request: EmailChangeRequest,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Changes the address to the one that this link was mailed to, and mails a notice to the
    /// former one, with a link to undo it within a day.
    ///
    /// # Errors
    ///
    /// - [`AuthError::LinkInvalid`], [`AuthError::LinkExpired`], [`AuthError::LinkUsed`];
    /// - [`AuthError::EmailTaken`] if somebody else has the address by now;
    /// - [`AuthError::Storage`].
    async fn confirm_email_change(
        &self,
        token: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Gives the user the former address back, whatever it was changed to since, ends all sessions
    /// and makes the password unusable: a link to choose another is mailed to the address.
    ///
    /// # Errors
    ///
    /// - [`AuthError::LinkInvalid`], [`AuthError::LinkExpired`], [`AuthError::LinkUsed`];
    /// - [`AuthError::EmailTaken`] if somebody else has the address by now;
    /// - [`AuthError::Storage`].
    async fn undo_email_change(
        &self,
        token: &str,
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

/// What a user asks for who wants another e-mail address, as it came in.
#[derive(Debug)]
#[non_exhaustive]
pub struct EmailChangeRequest {
    /// The address to come.
    pub email: String,
    /// The user's password.
    pub password: Password,
}

impl EmailChangeRequest {
    /// Puts the two together.
    #[must_use]
    pub fn new(email: impl Into<String>, password: Password) -> Self {
        Self {
            email: email.into(),
            password,
        }
    }
}
