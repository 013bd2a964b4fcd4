//! The errors of the use cases.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::claims::ClaimsError;
use crate::store::StoreError;

/// Why a use case was refused.
///
/// Each variant has a stable machine-readable [`code`](Self::code). The messages are written for
/// the caller and say nothing about the database; what a log needs is in the error's source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The input breaks the rules; the fields are named.
    #[error("the input is not valid")]
    Validation(#[from] FieldErrors),
    /// The verification link is not one of ours, or a newer one has replaced it.
    #[error("the link is not valid")]
    LinkInvalid,
    /// The verification link is too old.
    #[error("the link has expired")]
    LinkExpired,
    /// The verification link has done its work already.
    #[error("the link has already been used")]
    LinkUsed,
    /// No active user has this name and password.
    #[error("no active account matches these credentials")]
    InvalidCredentials,
    /// The token is not one of ours.
    #[error("the token is not valid")]
    TokenInvalid,
    /// The token is too old.
    #[error("the token has expired")]
    TokenExpired,
    /// The token's session has ended.
    #[error("the session has ended")]
    TokenRevoked,
    /// Another client has just used the refresh token; asked again with the token that the client
    /// holds by now, the refresh may succeed.
    #[error("another client has just refreshed this session, try again")]
    RefreshContested,
    /// The caller may not do this.
    #[error("you do not have permission to do this")]
    PermissionDenied,
    /// The password is right, but the user has not verified the e-mail address.
    #[error("verify your e-mail address first")]
    EmailNotVerified,
    /// Nobody can make an account in this way here.
    #[error("registration is closed")]
    RegistrationClosed,
    /// Another user has this name.
    #[error("this username is taken")]
    UsernameTaken,
    /// Another user has this address.
    #[error("this e-mail address is taken")]
    EmailTaken,
    /// There is no such user, or no such session.
    #[error("there is no such thing")]
    NotFound,
    /// Nobody could administer any more.
    #[error("this is the last active superuser")]
    LastSuperuser,
    /// The host's own data needs the user.
    #[error("other data refers to this user")]
    UserInUse(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// More password hashing is waiting than the machine can do in time.
    #[error("the service is busy, try again shortly")]
    #[non_exhaustive]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many tries have failed: the account or the client address has to wait.
    #[error("too many attempts, try again later")]
    #[non_exhaustive]
    TooManyAttempts {
        /// When to try again.
        retry_after: Duration,
    },
    /// The storage could not be used.
    #[error("the storage is not available")]
    Storage(#[source] StoreError),
    /// The host's claims for the token could not be had.
    #[error("the claims of the token are not available")]
    Claims(#[from] ClaimsError),
    /// What was revoked lately at other nodes is not known here.
    #[error("the revocation feed is stale")]
    RevocationsStale,
    /// The clocks of this node and of the database are more than 5 seconds apart.
    #[error("the clock is more than 5 seconds away from the database's")]
    ClocksApart,
    /// Something else failed; the source says what, for the log.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl AuthError {
    /// Makes the refusal of a service that has more to do than it can, with the time after which
    /// to try again.
    #[must_use]
    pub const fn overloaded(retry_after: Duration) -> Self {
        Self::Overloaded { retry_after }
    }

    /// Makes the refusal of a caller who has tried too often, with the time after which to try
    /// again.
    #[must_use]
    pub const fn too_many_attempts(retry_after: Duration) -> Self {
        Self::TooManyAttempts { retry_after }
    }

    /// The stable machine-readable code, as `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Validation(_) => "validation_failed",
            Self::LinkInvalid => "link_invalid",
            Self::LinkExpired => "link_expired",
            Self::LinkUsed => "link_used",
            Self::InvalidCredentials => "invalid_credentials",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::TokenRevoked => "token_revoked",
            Self::RefreshContested => "refresh_contested",
            Self::PermissionDenied => "permission_denied",
            Self::EmailNotVerified => "email_not_verified",
            Self::RegistrationClosed => "registration_closed",
            Self::UsernameTaken => "username_taken",
            Self::EmailTaken => "email_taken",
            Self::NotFound => "not_found",
            Self::LastSuperuser => "last_superuser",
            Self::UserInUse(_) => "user_in_use",
            Self::Overloaded { .. } => "overloaded",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::Storage(StoreError::Unavailable(_))
            | Self::Claims(ClaimsError::Unavailable(_))
            | Self::RevocationsStale
            | Self::ClocksApart => "storage_unavailable",
            Self::Storage(_) | Self::Claims(_) | Self::Internal(_) => "internal_error",
        }
    }
}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::UsernameTaken => Self::UsernameTaken,
            StoreError::EmailTaken => Self::EmailTaken,
            StoreError::LastSuperuser => Self::LastSuperuser,
            StoreError::UserInUse(table) => Self::UserInUse(table),
            other => Self::Storage(other),
        }
    }
}

/// What is wrong with each field of an input, by the field's name on the wire.
///
/// ```
/// use auth_core::FieldErrors;
///
/// let mut errors = FieldErrors::default();
/// errors.add("password", "must have at least 8 characters");
/// assert!(errors.into_result().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("invalid fields: {}", self.0.keys().copied().collect::<Vec<_>>().join(", "))]
pub struct FieldErrors(BTreeMap<&'static str, Vec<String>>);

impl FieldErrors {
    /// Adds a message to a field.
    pub fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.entry(field).or_default().push(message.into());
    }

    /// The fields with their messages, in the order of the fields' names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        self.0
            .iter()
            .map(|(field, messages)| (*field, messages.as_slice()))
    }

    /// Fails if there is any error.
    ///
    /// # Errors
    ///
    /// These errors themselves, when there is at least one.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}
