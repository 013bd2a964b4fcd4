//! Why a password could not be hashed.

use std::time::Duration;

use super::Password;
use crate::{AuthError, FieldErrors};

/// Why a password was not hashed or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// More hashing is waiting than can be done in time.
    #[error("too many passwords are waiting to be hashed")]
    #[non_exhaustive]
    Overloaded {
        /// When to try again, at least a second.
        retry_after: Duration,
    },
    /// The password is longer than [`Password::MAX_BYTES`]; its policy would have refused it.
    #[error("the password is too long to be hashed")]
    TooLong,
    /// The machine failed: no random numbers, no memory, or a bug.
    #[error("the password could not be hashed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl HashError {
    pub(super) fn overloaded(wait: Duration) -> Self {
        Self::Overloaded {
            retry_after: wait.max(Duration::from_secs(1)),
        }
    }

    pub(super) fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(cause.into())
    }
}

impl From<HashError> for AuthError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded { retry_after } => Self::overloaded(retry_after),
            HashError::TooLong => {
                let mut errors = FieldErrors::default();
                let message = format!("must have at most {} bytes", Password::MAX_BYTES);
                errors.add("password", message);
                Self::Validation(errors)
            }
            HashError::Failed(_) => Self::Internal(Box::new(error)),
        }
    }
}

/// Why a hasher could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HasherSetupError {
    /// Two peppers have one id.
    #[error("two peppers have the id {0}")]
    PepperIdRepeated(String),
    /// No password could ever be hashed.
    #[error("the longest wait for a password hash must not be zero")]
    MaxWaitZero,
    /// The operating system gave no thread.
    #[error("a thread for password hashing could not be started")]
    Thread(#[source] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s12_1_an_overload_tells_when_to_try_again() {
        let error = HashError::overloaded(Duration::from_millis(3));
        let AuthError::Overloaded { retry_after, .. } = error.into() else {
            panic!("an overload stays one");
        };
        assert_eq!(retry_after, Duration::from_secs(1));
    }

    #[test]
    fn s14_1_a_failure_is_internal_and_keeps_its_cause_for_the_log() {
        let error = AuthError::from(HashError::failed("no entropy"));
        assert_eq!(error.code(), "internal_error");
        assert_eq!(error.to_string(), "internal error");
        let hashing = std::error::Error::source(&error).unwrap();
        assert_eq!(hashing.source().unwrap().to_string(), "no entropy");
    }

    #[test]
    fn s2_2_an_over_long_password_is_an_error_of_its_field() {
        assert_eq!(
            AuthError::from(HashError::TooLong).code(),
            "validation_failed"
        );
    }
}
