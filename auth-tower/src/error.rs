//! The one table of errors: which status, code and headers each of them has.

use std::borrow::Cow;
use std::time::Duration;

use auth_core::claims::ClaimsError;
use auth_core::store::StoreError;
use auth_core::{AuthError, FieldErrors};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Serialize, Serializer};

use crate::body::ApiBody;
use crate::response;

/// After how many seconds to try again when the storage is not available.
const STORAGE_RETRY: Duration = Duration::from_secs(5);

/// After how many seconds to try again when another client has just refreshed the session.
const CONTESTED_RETRY: Duration = Duration::from_secs(1);

/// What a `grpc-message` must encode besides control characters and what is not ASCII.
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// Why a request was refused, as HTTP tells it.
///
/// Endpoints and layers refuse with this and nothing else; a host may answer with it too. Every
/// answer has the JSON body
/// `{"is_error": 1, "code": "...", "message": "...", "errors": {"field": ["..."]}}`, where
/// `errors` stands only with `validation_failed`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// No bearer token was presented where one is needed.
    #[error("authentication is required")]
    AuthenticationRequired,
    /// The presented bearer token, or the rights that come with it, did not suffice.
    #[error(transparent)]
    Bearer(AuthError),
    /// The use case was refused.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The body is no JSON object, or one that two parsers could read differently.
    #[error("the body is not a valid JSON object")]
    MalformedJson,
    /// The body has another type than the one the endpoint reads, or is compressed.
    #[error("the body has an unsupported media type")]
    UnsupportedMediaType,
    /// The body is larger than the limit.
    #[error("the body is too large")]
    PayloadTooLarge,
    /// The body did not arrive in time.
    #[error("the request did not arrive in time")]
    RequestTimeout,
    /// Two readers of the request's headers could read them differently (RFC 9112), so nobody
    /// should.
    #[error("the request is malformed")]
    MalformedRequest,
    /// The URI is longer than the limit.
    #[error("the URI is too long")]
    UriTooLong,
    /// A panic was caught, which the process's panic hook has logged.
    #[error("a panic was caught")]
    Panicked,
    /// Nothing is served at this path.
    #[error("there is nothing at this path")]
    NotFound,
    /// The path does not take this method.
    #[error("this method is not allowed here")]
    #[non_exhaustive]
    MethodNotAllowed {
        /// The methods the path takes, as the `Allow` header lists them.
        allow: &'static str,
    },
}

impl ApiError {
    /// Makes the refusal of a method at a path that takes only the methods of `allow`, which is
    /// a list like `GET, HEAD`.
    #[must_use]
    pub const fn method_not_allowed(allow: &'static str) -> Self {
        Self::MethodNotAllowed { allow }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::AuthenticationRequired => StatusCode::UNAUTHORIZED,
            Self::MalformedJson | Self::MalformedRequest => StatusCode::BAD_REQUEST,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Bearer(error) | Self::Auth(error) => match error {
                AuthError::Validation(_)
                | AuthError::LinkInvalid
                | AuthError::LinkExpired
                | AuthError::LinkUsed => StatusCode::BAD_REQUEST,
                AuthError::InvalidCredentials
                | AuthError::TokenInvalid
                | AuthError::TokenExpired
                | AuthError::TokenRevoked => StatusCode::UNAUTHORIZED,
                AuthError::PermissionDenied
                | AuthError::EmailNotVerified
                | AuthError::RegistrationClosed => StatusCode::FORBIDDEN,
                AuthError::UsernameTaken
                | AuthError::EmailTaken
                | AuthError::LastSuperuser
                | AuthError::UserInUse(_)
                | AuthError::RefreshContested => StatusCode::CONFLICT,
                AuthError::NotFound => StatusCode::NOT_FOUND,
                AuthError::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
                AuthError::Overloaded { .. }
                | AuthError::RevocationsStale
                | AuthError::ClocksApart
                | AuthError::Claims(ClaimsError::Unavailable(_))
                | AuthError::Storage(StoreError::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// The stable machine-readable code of the answer.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::AuthenticationRequired => "authentication_required",
            Self::MalformedJson => "malformed_json",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::MalformedRequest => "malformed_request",
            Self::UriTooLong => "uri_too_long",
            Self::Panicked => "internal_error",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Bearer(_) | Self::Auth(_) if self.is_internal() => "internal_error",
            Self::Bearer(error) | Self::Auth(error) => error.code(),
        }
    }

    /// Makes the answer, and writes to the log what the client must not learn.
    #[must_use]
    pub fn into_response(self) -> Response<ApiBody> {
        self.response()
    }

    pub(crate) fn response(&self) -> Response<ApiBody> {
        self.log();
        let mut response = response::serialized(self.status(), &self.body());
        self.add_headers(response.headers_mut());
        response
    }

    /// What the client reads.
    pub(crate) fn body(&self) -> ErrorBody<'_> {
        ErrorBody {
            is_error: 1,
            code: self.code(),
            message: self.message(),
            errors: self.fields(),
        }
    }

    /// Makes the answer that the client of this request reads: to gRPC a status in the headers
    /// ("trailers only"), to all others JSON.
    pub(crate) fn into_response_for(self, dialect: Dialect) -> Response<ApiBody> {
        match dialect {
            Dialect::Http => self.into_response(),
            Dialect::Grpc => self.into_grpc_response(),
        }
    }

    fn into_grpc_response(self) -> Response<ApiBody> {
        self.log();
        let message = self.message();
        let message = Cow::from(utf8_percent_encode(&message, GRPC_MESSAGE));
        let mut response = response::bare(StatusCode::OK, "");
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(self.grpc_status()));
        if let Ok(message) = HeaderValue::from_str(&message) {
            headers.insert("grpc-message", message);
        }
        response
    }

    /// The codes of <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>.
    pub(crate) fn grpc_status(&self) -> i32 {
        match self.status() {
            StatusCode::UNAUTHORIZED => 16,
            StatusCode::FORBIDDEN => 7,
            StatusCode::TOO_MANY_REQUESTS => 8,
            StatusCode::SERVICE_UNAVAILABLE => 14,
            status if status.is_client_error() => 3,
            _ => 13,
        }
    }

    /// Adds the headers that stand with this error, to whatever body.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(wait) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if let Self::MethodNotAllowed { allow } = self {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
    }

    /// What the client is told: never more than the error's own level.
    pub(crate) fn message(&self) -> String {
        if self.is_internal() {
            // Also an error that this version of the table does not know.
            return "internal error".to_owned();
        }
        self.to_string()
    }

    /// Writes the cause of a failure of ours to the log.
    pub(crate) fn log(&self) {
        match self {
            // It has been logged where it arose.
            Self::Panicked => {}
            // Nothing is broken, and a flood shall not be one of the log as well.
            Self::Bearer(AuthError::Overloaded { .. })
            | Self::Auth(AuthError::Overloaded { .. }) => {
                tracing::debug!(code = self.code(), "a request was refused");
            }
            // The client is not told which table it is.
            Self::Auth(AuthError::UserInUse(_)) => {
                let error: &(dyn std::error::Error + 'static) = self;
                tracing::warn!(code = self.code(), error, "a user was not deleted");
            }
            _ if self.status().is_server_error() => {
                let error: &(dyn std::error::Error + 'static) = self;
                tracing::error!(code = self.code(), error, "a request failed");
            }
            _ => {}
        }
    }

    fn is_internal(&self) -> bool {
        self.status() == StatusCode::INTERNAL_SERVER_ERROR
    }

    /// The challenge: with parameters only where a bearer token was presented (RFC 6750 section
    /// 3), and without the reason, which the code tells where it may be told.
    fn challenge(&self) -> Option<&'static str> {
        match (self, self.status()) {
            (Self::Bearer(_), StatusCode::UNAUTHORIZED) => Some("Bearer error=\"invalid_token\""),
            (Self::Bearer(_), StatusCode::FORBIDDEN) => Some("Bearer error=\"insufficient_scope\""),
            (_, StatusCode::UNAUTHORIZED) => Some("Bearer"),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Bearer(error) | Self::Auth(error) => match error {
                AuthError::Overloaded { retry_after, .. }
                | AuthError::TooManyAttempts { retry_after, .. } => Some(*retry_after),
                AuthError::RefreshContested => Some(CONTESTED_RETRY),
                AuthError::RevocationsStale
                | AuthError::ClocksApart
                | AuthError::Claims(ClaimsError::Unavailable(_))
                | AuthError::Storage(StoreError::Unavailable(_)) => Some(STORAGE_RETRY),
                _ => None,
            },
            _ => None,
        }
    }

    fn fields(&self) -> Option<&FieldErrors> {
        match self {
            Self::Bearer(AuthError::Validation(fields))
            | Self::Auth(AuthError::Validation(fields)) => Some(fields),
            _ => None,
        }
    }
}

impl From<FieldErrors> for ApiError {
    fn from(fields: FieldErrors) -> Self {
        Self::Auth(fields.into())
    }
}

/// How the client of a request reads an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dialect {
    Http,
    Grpc,
}

impl Dialect {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let rest = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"));
        // Not `application/grpc-web`, whose clients read plain HTTP.
        match rest {
            Some([] | [b'+' | b';', ..]) => Self::Grpc,
            _ => Self::Http,
        }
    }
}

/// Why the request was refused.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Error))]
pub(crate) struct ErrorBody<'a> {
    /// Always 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1))]
    is_error: u8,
    /// The stable name of the reason, for programs.
    code: &'static str,
    /// The reason, for people; it may change.
    message: String,
    /// What is wrong with each field; only with `validation_failed`.
    #[serde(serialize_with = "field_messages")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, Vec<String>>, required = false))]
    errors: Option<&'a FieldErrors>,
}

fn field_messages<S: Serializer>(
    fields: &Option<&FieldErrors>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().flat_map(|fields| fields.iter()))
}

/// Rounds up: a client that waits the seconds it was told must not come too early.
fn whole_seconds(wait: Duration) -> u64 {
    let started = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(started).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_is_never_zero() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::from_millis(2_001)), 3);
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn only_grpc_itself_is_answered_as_grpc() {
        let dialect = |content_type: &str| {
            let request = Request::builder()
                .header(CONTENT_TYPE, content_type)
                .body(())
                .unwrap();
            matches!(Dialect::of(&request), Dialect::Grpc)
        };
        assert!(dialect("application/grpc"));
        assert!(dialect("application/grpc+proto"));
        assert!(!dialect("application/grpc-web"));
        assert!(!dialect("application/json"));
    }
}
