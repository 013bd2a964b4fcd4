//! What a caller can ask for.

use std::fmt;

use async_trait::async_trait;

use crate::{
    AccessToken, AuthError, Password, Principal, RefreshToken, RequestContext, Superuser, UserId,
};

/// The documented use cases: register, verify the e-mail address, log in, refresh, log out.
///
/// Object-safe, so that a host writes `Arc<dyn AuthService>` and no type parameters. The
/// [`Engine`](crate::Engine) implements it over any [`Store`](crate::store::Store).
///
/// Every method is safe to retry and safe to drop half-way: what it does to the store is one
/// transaction, durable before the method returns.
#[async_trait]
pub trait AuthService: fmt::Debug + Send + Sync + 'static {
    /// Asks the store whether the caller is a superuser now.
    ///
    /// # Errors
    ///
    /// - [`AuthError::TokenRevoked`] if the session has ended or the user is not active;
    /// - [`AuthError::PermissionDenied`] if the user is not a superuser;
    /// - [`AuthError::Storage`] if the store cannot answer.
    async fn require_superuser(
        &self,
        caller: &Principal,
        context: &RequestContext,
    ) -> Result<Superuser, AuthError>;

    /// Registers a user, who gets a verification mail.
    ///
    /// # Errors
    ///
    /// - [`AuthError::Validation`] if a field breaks the rules;
    /// - [`AuthError::UsernameTaken`], [`AuthError::EmailTaken`];
    /// - [`AuthError::RegistrationClosed`] in [that mode](crate::RegistrationMode::Closed);
    /// - [`AuthError::Overloaded`] if too many passwords wait to be hashed;
    /// - [`AuthError::Storage`] if the store cannot answer.
    async fn register(
        &self,
        by: Superuser,
        user: Registration,
        context: &RequestContext,
    ) -> Result<UserId, AuthError>;

    /// Marks the e-mail address as verified with the token of a verification link. The link of a
    /// sign-up is for [`complete_sign_up`](crate::Enrollment::complete_sign_up).
    ///
    /// # Errors
    ///
    /// - [`AuthError::LinkInvalid`], [`AuthError::LinkExpired`], [`AuthError::LinkUsed`];
    /// - [`AuthError::Validation`], of the field `password`, for the link of a sign-up;
    /// - [`AuthError::Storage`] if the store cannot answer.
    async fn verify_email(&self, token: &str, context: &RequestContext) -> Result<(), AuthError>;

    /// Sends another verification mail, if an unverified user has the address, or has signed up with
    /// it.
    ///
    /// The answer and its cost are the same whether or not somebody has it.
    ///
    /// # Errors
    ///
    /// - [`AuthError::Validation`] if this is no e-mail address;
    /// - [`AuthError::Storage`] if the store cannot answer.
    async fn resend_verification(
        &self,
        email: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError>;

    /// Begins a session.
    ///
    /// # Errors
    ///
    /// - [`AuthError::InvalidCredentials`], one answer and one cost for an unknown user, a wrong
    ///   password and a user who is not active;
    /// - [`AuthError::EmailNotVerified`], only after the right password;
    /// - [`AuthError::Overloaded`] if too many passwords wait to be hashed;
    /// - [`AuthError::Storage`] if the store cannot answer.
    async fn log_in(&self, login: Login, context: &RequestContext) -> Result<TokenPair, AuthError>;

    /// Issues another access token, and with rotation on the next refresh token.
    ///
    /// A client that got no answer tries again with the same token, and with the same idempotency
    /// key if it sent one: it gets the same next token.
    ///
    /// # Errors
    ///
    /// - [`AuthError::TokenInvalid`] if we never issued this token, or have just replaced it for a
    ///   client that sent another [idempotency key](RequestContext::idempotency_key);
    /// - [`AuthError::TokenExpired`] if the session has reached its end, or was not used for too
    ///   long;
    /// - [`AuthError::TokenRevoked`] if the session was ended, or ends now because the token had
    ///   been replaced long ago;
    /// - [`AuthError::Storage`] if the store cannot answer.
    async fn refresh(
        &self,
        refresh_token: &str,
        context: &RequestContext,
    ) -> Result<Refreshed, AuthError>;

    /// Ends the session of a refresh token; ending it again changes nothing and succeeds.
    ///
    /// # Errors
    ///
    /// - [`AuthError::TokenInvalid`] if we never issued this token;
    /// - [`AuthError::Storage`] if the store cannot answer.
    async fn log_out(&self, refresh_token: &str, context: &RequestContext)
    -> Result<(), AuthError>;

    /// Tells the audit trail that a request was refused because its client makes too many; `budget`
    /// names the kind of request.
    fn note_throttled(&self, budget: &'static str, context: &RequestContext);

    /// Tells whether the service can do its work.
    ///
    /// # Errors
    ///
    /// - [`AuthError::Storage`] if the store cannot answer;
    /// - [`AuthError::RevocationsStale`] if a
    ///   [follower](crate::revocation::RevocationFollower) was started and has fallen behind;
    /// - [`AuthError::ClocksApart`] if the node's clock is more than 5 seconds away from the
    ///   database's.
    async fn check(&self) -> Result<(), AuthError>;

    /// Whether the process can still work by itself: one that cannot is to be restarted. A storage
    /// that is away is no reason.
    fn is_alive(&self) -> bool {
        true
    }
}

/// What a new user is registered with, as it came in.
#[derive(Debug)]
#[non_exhaustive]
pub struct Registration {
    /// The name to log in with.
    pub username: String,
    /// The password.
    pub password: Password,
    /// The address the verification mail goes to.
    pub email: String,
}

impl Registration {
    /// Puts the three fields together.
    #[must_use]
    pub fn new(username: impl Into<String>, password: Password, email: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            password,
            email: email.into(),
        }
    }
}

/// What a user logs in with, as it came in.
#[derive(Debug)]
#[non_exhaustive]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Password,
}

impl Login {
    /// Puts name and password together.
    #[must_use]
    pub fn new(username: impl Into<String>, password: Password) -> Self {
        Self {
            username: username.into(),
            password,
        }
    }
}

/// The tokens of a new session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenPair {
    /// For the requests of the next minutes.
    pub access_token: AccessToken,
    /// For the next access token.
    pub refresh_token: RefreshToken,
}

impl TokenPair {
    /// Puts the two tokens together.
    #[must_use]
    pub const fn new(access_token: AccessToken, refresh_token: RefreshToken) -> Self {
        Self {
            access_token,
            refresh_token,
        }
    }
}

/// What a refresh gives.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refreshed {
    /// For the requests of the next minutes.
    pub access_token: AccessToken,
    /// The token that replaces the presented one, if rotation is on.
    pub refresh_token: Option<RefreshToken>,
}

impl Refreshed {
    /// Makes the answer of a refresh.
    #[must_use]
    pub const fn new(access_token: AccessToken, refresh_token: Option<RefreshToken>) -> Self {
        Self {
            access_token,
            refresh_token,
        }
    }
}
