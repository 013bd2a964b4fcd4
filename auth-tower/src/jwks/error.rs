use auth_core::JwksError;
use http::StatusCode;

/// Why the keys cannot be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksClientError {
    /// The URL is none of `https`, nor one of `http` on this machine.
    #[error("the URL of a JWK Set must begin with https://, or http:// and this machine")]
    Url,
    /// The issuer cannot be asked, or did not answer in time.
    #[error("the issuer's keys cannot be fetched")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The issuer answered something else.
    #[error("the issuer answered {0} where its keys should be")]
    Status(StatusCode),
    /// The answer is too long.
    #[error("the issuer's keys are longer than 256 KiB")]
    TooLong,
    /// The answer has no keys that can be used.
    #[error("the issuer's keys cannot be used")]
    Keys(#[from] JwksError),
}

impl From<reqwest::Error> for JwksClientError {
    fn from(error: reqwest::Error) -> Self {
        // Without its URL, which the operator knows and which may hold a password.
        Self::Unreachable(Box::new(error.without_url()))
    }
}
