//! The public keys that verify access tokens (RFC 7517).

use auth_core::AccessTokenVerifier;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};

use crate::body::ApiBody;
use crate::response;

pub(super) fn document(verifier: &AccessTokenVerifier) -> Response<ApiBody> {
    let mut response = response::json(StatusCode::OK, verifier.jwks().to_owned());
    // As long as an access token lives: a key must have been published for that time before it
    // signs anything.
    response.headers_mut().insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    response
}
