//! Every row of the table of errors, as a whole answer.

use std::time::Duration;

use crate::support::{error, json, text};
use auth_core::claims::ClaimsError;
use auth_core::store::StoreError;
use auth_core::{AuthError, FieldErrors};
use auth_tower::ApiError;

const BEARER: (&str, &str) = ("www-authenticate", "Bearer");
const INVALID_TOKEN: (&str, &str) = ("www-authenticate", "Bearer error=\"invalid_token\"");

/// Stands for what a driver might say.
const CAUSE: &str = "SELECT password FROM auth_users at /srv/db, driver 9.9.9";

async fn refused(error: impl Into<ApiError>) -> String {
    text(error.into().into_response()).await
}

#[tokio::test]
async fn s14_1_the_errors_of_http_itself_are_json() {
    let rows = [
        (
            ApiError::MalformedJson,
            400,
            "malformed_json",
            "the body is not a valid JSON object",
        ),
        (
            ApiError::MalformedRequest,
            400,
            "malformed_request",
            "the request is malformed",
        ),
        (
            ApiError::UriTooLong,
            414,
            "uri_too_long",
            "the URI is too long",
        ),
        (ApiError::Panicked, 500, "internal_error", "internal error"),
        (
            ApiError::NotFound,
            404,
            "not_found",
            "there is nothing at this path",
        ),
        (
            ApiError::RequestTimeout,
            408,
            "request_timeout",
            "the request did not arrive in time",
        ),
        (
            ApiError::PayloadTooLarge,
            413,
            "payload_too_large",
            "the body is too large",
        ),
        (
            ApiError::UnsupportedMediaType,
            415,
            "unsupported_media_type",
            "the body has an unsupported media type",
        ),
    ];
    for (row, status, code, message) in rows {
        assert_eq!(refused(row).await, error(status, &[], code, message));
    }
}

#[tokio::test]
async fn s10_3_a_method_that_is_not_allowed_is_answered_with_those_that_are() {
    assert_eq!(
        refused(ApiError::method_not_allowed("GET, HEAD")).await,
        error(
            405,
            &[("allow", "GET, HEAD")],
            "method_not_allowed",
            "this method is not allowed here"
        )
    );
}

#[tokio::test]
async fn invalid_input_is_told_field_by_field() {
    let mut fields = FieldErrors::default();
    fields.add("username", "is required");
    fields.add("password", "is \"common\"");
    fields.add("password", "is too short");
    let body = concat!(
        r#"{"is_error":1,"code":"validation_failed","message":"the input is not valid","#,
        r#""errors":{"password":["is \"common\"","is too short"],"username":["is required"]}}"#
    );
    assert_eq!(refused(fields).await, json(400, &[], body));
}

#[tokio::test]
async fn links_are_refused_as_bad_requests() {
    let rows = [
        (
            AuthError::LinkInvalid,
            "link_invalid",
            "the link is not valid",
        ),
        (
            AuthError::LinkExpired,
            "link_expired",
            "the link has expired",
        ),
        (
            AuthError::LinkUsed,
            "link_used",
            "the link has already been used",
        ),
    ];
    for (row, code, message) in rows {
        assert_eq!(refused(row).await, error(400, &[], code, message));
    }
}

#[tokio::test]
async fn s6_17_a_missing_or_wrong_credential_is_challenged_without_parameters() {
    let rows = [
        (
            ApiError::AuthenticationRequired,
            "authentication_required",
            "authentication is required",
        ),
        (
            AuthError::InvalidCredentials.into(),
            "invalid_credentials",
            "no active account matches these credentials",
        ),
        (
            AuthError::TokenInvalid.into(),
            "token_invalid",
            "the token is not valid",
        ),
        (
            AuthError::TokenExpired.into(),
            "token_expired",
            "the token has expired",
        ),
        (
            AuthError::TokenRevoked.into(),
            "token_revoked",
            "the session has ended",
        ),
    ];
    for (row, code, message) in rows {
        assert_eq!(refused(row).await, error(401, &[BEARER], code, message));
    }
}

#[tokio::test]
async fn s6_17_a_bearer_token_that_was_presented_is_challenged_with_the_error() {
    let rows = [
        (
            AuthError::TokenInvalid,
            "token_invalid",
            "the token is not valid",
        ),
        (
            AuthError::TokenExpired,
            "token_expired",
            "the token has expired",
        ),
        (
            AuthError::TokenRevoked,
            "token_revoked",
            "the session has ended",
        ),
    ];
    for (row, code, message) in rows {
        assert_eq!(
            refused(ApiError::Bearer(row)).await,
            error(401, &[INVALID_TOKEN], code, message)
        );
    }
    assert_eq!(
        refused(ApiError::Bearer(AuthError::PermissionDenied)).await,
        error(
            403,
            &[("www-authenticate", "Bearer error=\"insufficient_scope\"")],
            "permission_denied",
            "you do not have permission to do this"
        )
    );
}

#[tokio::test]
async fn a_login_before_the_verification_is_forbidden_without_a_challenge() {
    assert_eq!(
        refused(AuthError::EmailNotVerified).await,
        error(
            403,
            &[],
            "email_not_verified",
            "verify your e-mail address first"
        )
    );
}

#[tokio::test]
async fn taken_names_and_addresses_are_conflicts() {
    let rows = [
        (
            AuthError::UsernameTaken,
            "username_taken",
            "this username is taken",
        ),
        (
            AuthError::EmailTaken,
            "email_taken",
            "this e-mail address is taken",
        ),
    ];
    for (row, code, message) in rows {
        assert_eq!(refused(row).await, error(409, &[], code, message));
    }
}

#[tokio::test]
async fn who_has_to_wait_is_told_how_long_in_whole_seconds() {
    let waits = [
        (0, "1"),
        (1, "1"),
        (1_000, "1"),
        (1_001, "2"),
        (90_000, "90"),
    ];
    for (millis, seconds) in waits {
        let wait = Duration::from_millis(millis);
        assert_eq!(
            refused(AuthError::too_many_attempts(wait)).await,
            error(
                429,
                &[("retry-after", seconds)],
                "too_many_attempts",
                "too many attempts, try again later"
            )
        );
        assert_eq!(
            refused(AuthError::overloaded(wait)).await,
            error(
                503,
                &[("retry-after", seconds)],
                "overloaded",
                "the service is busy, try again shortly"
            )
        );
    }
}

#[tokio::test]
async fn s14_1_a_failure_of_ours_says_nothing_of_its_cause() {
    let unavailable = AuthError::Storage(StoreError::Unavailable(CAUSE.into()));
    assert_eq!(
        refused(unavailable).await,
        error(
            503,
            &[("retry-after", "5")],
            "storage_unavailable",
            "the storage is not available"
        )
    );
    let unavailable = AuthError::Claims(ClaimsError::unavailable(CAUSE));
    assert_eq!(
        refused(unavailable).await,
        error(
            503,
            &[("retry-after", "5")],
            "storage_unavailable",
            "the claims of the token are not available"
        )
    );
    let failures: [fn() -> AuthError; 4] = [
        || AuthError::Claims(ClaimsError::Reserved(CAUSE.into())),
        || AuthError::Storage(StoreError::Failed(CAUSE.into())),
        || AuthError::Storage(StoreError::UsernameTaken),
        || AuthError::Internal(CAUSE.into()),
    ];
    for failure in failures {
        for row in [ApiError::Auth(failure()), ApiError::Bearer(failure())] {
            assert_eq!(
                refused(row).await,
                error(500, &[], "internal_error", "internal error")
            );
        }
    }
}
