//! What administrators can do to accounts and sessions.

use std::fmt;

use async_trait::async_trait;

use crate::audit::AuditEvent;
use crate::store::{EventFilter, UserFilter};
use crate::{
    AuthError, Password, Registration, RequestContext, Roles, SessionId, Superuser, Timestamp,
    User, UserId,
};

/// Use cases of administrators, beside [`AuthService`](crate::AuthService).
///
/// Each takes effect on every node at once: sessions end in the store, and the access tokens that
/// they had are refused by every verifier that follows the
/// [revocations](crate::revocation). Each that changes something is told to the audit trail,
/// also when it is refused.
///
/// ```
/// use auth_core::store::UserFilter;
/// use auth_core::{Administration, Administrator, AuthError, RequestContext, Roles};
///
/// /// Takes every user's roles away.
/// async fn clear_roles(administration: &dyn Administration) -> Result<(), AuthError> {
///     let (by, context) = (Administrator::Operator, RequestContext::default());
///     let mut filter = UserFilter::default();
///     loop {
///         let page = administration.list_users(by, &filter).await?;
///         for user in &page {
///             administration.set_roles(by, user.id, &Roles::default(), &context).await?;
///         }
///         let Some(last) = page.last() else { return Ok(()) };
///         filter = filter.following(last);
///     }
/// }
/// ```
#[async_trait]
pub trait Administration: fmt::Debug + Send + Sync + 'static {
    /// Lists users, a page at a time: the next one is that of
    /// [`filter.following(last)`](UserFilter::following).
    ///
    /// # Errors
    ///
    /// [`AuthError::Storage`] if the store cannot answer.
    async fn list_users(
        &self,
        by: Administrator,
        filter: &UserFilter,
    ) -> Result<Vec<User>, AuthError>;

    /// Tells what is known of the user.
    ///
    /// # Errors
    ///
    /// [`AuthError::NotFound`], [`AuthError::Storage`].
    async fn read_user(&self, by: Administrator, user: UserId) -> Result<User, AuthError>;

    /// Creates a user without privileges. The operator may choose names that are reserved.
    ///
    /// # Errors
    ///
    /// - [`AuthError::Validation`] names the fields that break the rules;
    /// - [`AuthError::UsernameTaken`], [`AuthError::EmailTaken`];
    /// - [`AuthError::Overloaded`], [`AuthError::Storage`].
    async fn create_user(
        &self,
        by: Administrator,
        user: Registration,
        proof: EmailProof,
        context: &RequestContext,
    ) -> Result<User, AuthError>;

    /// Changes the user as asked, and tells what the user is then.
    ///
    /// A password is checked and hashed before anything is done. Then all is done at once, or nothing
    /// is: each part has its event and its consequences as in the method of this trait that does it
    /// alone, what takes rights away told first. What is refused or fails has changed nothing.
    ///
    /// # Errors
    ///
    /// - [`AuthError::Validation`] if the password breaks the rules;
    /// - [`AuthError::NotFound`], [`AuthError::LastSuperuser`];
    /// - [`AuthError::Overloaded`], [`AuthError::Storage`].
    async fn change_user(
        &self,
        by: Administrator,
        user: UserId,
        changes: UserChanges,
        context: &RequestContext,
    ) -> Result<User, AuthError>;

    /// Shuts the user out: no login, no refresh, and all sessions end.
    ///
    /// # Errors
    ///
    /// - [`AuthError::NotFound`] if there is no such user;
    /// - [`AuthError::LastSuperuser`] if nobody could administer any more;
    /// - [`AuthError::Storage`] if the store cannot answer.
    async fn deactivate_user(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Lets the user log in again; the sessions of before stay ended.
    ///
    /// # Errors
    ///
    /// [`AuthError::NotFound`], [`AuthError::Storage`].
    async fn activate_user(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Deletes the user with all sessions; the audit trail stays.
    ///
    /// # Errors
    ///
    /// [`AuthError::NotFound`], [`AuthError::LastSuperuser`], [`AuthError::Storage`].
    async fn delete_user(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Makes the user a superuser; tokens say so from the next refresh on.
    ///
    /// # Errors
    ///
    /// [`AuthError::NotFound`], [`AuthError::Storage`].
    async fn grant_superuser(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Takes the superuser's rights away, and ends the access tokens that carry them; the sessions
    /// go on.
    ///
    /// # Errors
    ///
    /// [`AuthError::NotFound`], [`AuthError::LastSuperuser`], [`AuthError::Storage`].
    async fn revoke_superuser(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Gives the user these roles and no others, and ends the access tokens issued until now; the
    /// sessions go on, and the next refresh gives a token with the new roles.
    ///
    /// # Errors
    ///
    /// [`AuthError::NotFound`], [`AuthError::Storage`].
    async fn set_roles(
        &self,
        by: Administrator,
        user: UserId,
        roles: &Roles,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Replaces the user's password, and ends all sessions.
    ///
    /// # Errors
    ///
    /// - [`AuthError::Validation`] if the password breaks the rules;
    /// - [`AuthError::NotFound`], [`AuthError::Overloaded`], [`AuthError::Storage`].
    async fn set_password(
        &self,
        by: Administrator,
        user: UserId,
        password: Password,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// [`AuthError::NotFound`] if there is no such live session; [`AuthError::Storage`].
    async fn end_session(
        &self,
        by: Administrator,
        session: SessionId,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Ends all sessions of the user; returns how many there were.
    ///
    /// # Errors
    ///
    /// [`AuthError::Storage`] if the store cannot answer.
    async fn end_user_sessions(
        &self,
        by: Administrator,
        user: UserId,
        context: &RequestContext,
    ) -> Result<u64, AuthError>;

    /// Ends every session of every user, such as after a database was restored from a backup;
    /// returns how many there were.
    ///
    /// # Errors
    ///
    /// [`AuthError::Storage`] if the store cannot answer.
    async fn end_all_sessions(
        &self,
        by: Administrator,
        context: &RequestContext,
    ) -> Result<u64, AuthError>;

    /// Ends every session that began before a time, such as the moment at which a database was
    /// restored from a backup; returns how many of them were live. Sessions that began since go
    /// on, and refresh their access tokens once.
    ///
    /// # Errors
    ///
    /// [`AuthError::Storage`] if the store cannot answer.
    async fn end_sessions_begun_before(
        &self,
        by: Administrator,
        begun_before: Timestamp,
        context: &RequestContext,
    ) -> Result<u64, AuthError>;

    /// Reads the audit trail, the latest event first, a page at a time: the next one is that of
    /// [`filter.following(last)`](EventFilter::following).
    ///
    /// # Errors
    ///
    /// [`AuthError::Storage`] if the store cannot answer.
    async fn list_events(
        &self,
        by: Administrator,
        filter: &EventFilter,
    ) -> Result<Vec<AuditEvent>, AuthError>;
}

/// What to change of a user; by default nothing.
///
/// ```
/// use auth_core::{RoleError, Roles, UserChanges};
///
/// let mut changes = UserChanges::default();
/// changes.is_active = Some(true);
/// changes.roles = Some(Roles::parse(["editor"])?);
/// # Ok::<(), RoleError>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct UserChanges {
    /// Whether the user may log in.
    pub is_active: Option<bool>,
    /// Whether the user is a superuser.
    pub is_superuser: Option<bool>,
    /// The user's roles, and no others.
    pub roles: Option<Roles>,
    /// The user's password.
    pub password: Option<Password>,
}

/// On whose authority something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Administrator {
    /// A superuser, who was one a moment ago.
    Superuser(Superuser),
    /// Whoever runs the process: the command line, or the host application.
    Operator,
}

/// How a new user's e-mail address is proved to be the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmailProof {
    /// The user gets a mail with a link to confirm it.
    ByMail,
    /// The administrator vouches for it: it counts as verified, and no mail is sent.
    Vouched,
}
