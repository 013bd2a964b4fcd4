//! How people make accounts for themselves, where the host wants that.

use std::fmt;

use async_trait::async_trait;

use crate::store::EnrollmentId;
use crate::token::RecordTokens;
use crate::{Administrator, AuthError, Login, Password, Registration, RequestContext};

/// Use cases of people who are not users yet, next to [`AuthService`](crate::AuthService).
///
/// Which of them are allowed is a [mode](RegistrationMode) of the service; the others are refused
/// with [`AuthError::RegistrationClosed`].
///
/// ```
/// use auth_core::{
///     AuthError, EngineBuilder, Enrollment, Password, Registration, RegistrationMode,
///     RequestContext, TakenNames,
/// };
///
/// /// Lets everybody sign up.
/// fn open(builder: EngineBuilder) -> EngineBuilder {
///     let taken_names = TakenNames::Told;
///     builder.with_registration(RegistrationMode::Open { taken_names })
/// }
///
/// async fn sign_up(enrollment: &dyn Enrollment, password: Password) -> Result<(), AuthError> {
///     let alice = Registration::new("alice", password, "alice@example.org");
///     enrollment.sign_up(alice, &RequestContext::default()).await
/// }
/// ```
#[async_trait]
pub trait Enrollment: fmt::Debug + Send + Sync + 'static {
    /// Who may make an account.
    fn registration_mode(&self) -> RegistrationMode;

    /// Records a sign-up, and mails a link to its address, with which
    /// [`complete_sign_up`](Self::complete_sign_up) makes the user. Until then there is no user.
    ///
    /// Several people may sign up with one address, and each link belongs to its own sign-up. At
    /// most five are pending, one for each client; a newer one of the same client replaces the
    /// earlier one.
    ///
    /// If the address belongs to a user, that user gets a notice instead; the answer and its cost
    /// are the same. At most three such mails an hour go to an address for each client, and ten in
    /// all.
    ///
    /// # Errors
    ///
    /// - [`AuthError::Validation`] if a field breaks the rules;
    /// - [`AuthError::UsernameTaken`], unless names are [hidden](TakenNames::Hidden);
    /// - [`AuthError::RegistrationClosed`], [`AuthError::Overloaded`], [`AuthError::Storage`].
    async fn sign_up(&self, user: Registration, context: &RequestContext) -> Result<(), AuthError>;

    /// Makes the user who signed up, with the token of the link and the password of the sign-up, and
    /// ends all other sign-ups of the address: only a client that knows the mailbox and the password
    /// gets the account.
    ///
    /// Wrong passwords are [counted](crate::LoginThrottle) as wrong passwords at logins are.
    ///
    /// # Errors
    ///
    /// - [`AuthError::LinkInvalid`], [`AuthError::LinkExpired`], [`AuthError::LinkUsed`];
    /// - [`AuthError::InvalidCredentials`] if it is not the password of this sign-up: the link stays
    ///   good;
    /// - [`AuthError::TooManyAttempts`] after too many of those;
    /// - [`AuthError::UsernameTaken`], [`AuthError::EmailTaken`] if a user has taken it since the
    ///   sign-up;
    /// - [`AuthError::RegistrationClosed`], [`AuthError::Overloaded`], [`AuthError::Storage`].
    async fn complete_sign_up(
        &self,
        token: &str,
        password: Password,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Whether a link with this token completes a sign-up, so that a page must ask for its password.
    ///
    /// It looks only at the form of the token, and does not say whether the link is good.
    fn is_sign_up_link(&self, token: &str) -> bool {
        token.starts_with(RecordTokens::SIGN_UP)
    }

    /// Mails an invitation to an address, in place of an earlier one.
    ///
    /// # Errors
    ///
    /// - [`AuthError::Validation`] if it is no address;
    /// - [`AuthError::EmailTaken`] if a user has it;
    /// - [`AuthError::RegistrationClosed`], [`AuthError::Storage`].
    async fn invite(
        &self,
        by: Administrator,
        email: &str,
        context: &RequestContext,
    ) -> Result<EnrollmentId, AuthError>;

    /// Makes the user who was invited with this link, with a name and a password to log in with from
    /// now on. The address counts as verified: the link was mailed to it.
    ///
    /// # Errors
    ///
    /// - [`AuthError::LinkInvalid`], [`AuthError::LinkExpired`], [`AuthError::LinkUsed`];
    /// - [`AuthError::Validation`], [`AuthError::UsernameTaken`]: the link stays good;
    /// - [`AuthError::EmailTaken`] if a user has the address by now;
    /// - [`AuthError::RegistrationClosed`], [`AuthError::Overloaded`], [`AuthError::Storage`].
    async fn accept_invitation(
        &self,
        token: &str,
        login: Login,
        context: &RequestContext,
    ) -> Result<(), AuthError>;
}

/// Who may make an account.
///
/// [Administrators](crate::Administration::create_user) may in every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistrationMode {
    /// Superusers [register](crate::AuthService::register) users.
    #[default]
    Superuser,
    /// They do, and everybody may sign up.
    Open {
        /// What who signs up is told of a name that is taken.
        taken_names: TakenNames,
    },
    /// They do, and invite addresses.
    Invitation,
    /// Nobody registers anybody, superusers neither.
    Closed,
}

/// What who signs up is told of a name that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TakenNames {
    /// That it is taken.
    #[default]
    Told,
    /// Nothing but by mail: then only who reads mail at the address learns it.
    Hidden,
}
