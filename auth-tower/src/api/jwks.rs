//! The public keys that verify access tokens (RFC 7517).

use auth_core::AccessTokenVerifier;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::body::ApiBody;
use crate::response;

/// As long as an access token lives: a key must have been published for that time before it
/// signs anything.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// Answers with the keys, or only that they are those which the asking cache has (RFC 9110 section
/// 13.1.2).
pub(super) fn document(verifier: &AccessTokenVerifier, asked: &HeaderMap) -> Response<ApiBody> {
    let jwks = verifier.jwks();
    let tag = format!("\"{}\"", jwks.digest);
    let known = asked.get_all(IF_NONE_MATCH).iter();
    let is_known = known
        .filter_map(|tags| tags.to_str().ok())
        .flat_map(|tags| tags.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag);
    let mut response = if is_known {
        response::bare(StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        response::json(StatusCode::OK, jwks.document.to_string())
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, CACHE);
    if let Ok(tag) = tag.parse() {
        headers.insert(ETAG, tag);
    }
    response
}

#[cfg(feature = "openapi")]
pub(super) mod described {
    use serde_json::{Map, Value, json};
    use utoipa::ToSchema;

    use crate::api::openapi::Described;

    /// A set of public keys (RFC 7517).
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the set is made elsewhere")]
    struct Jwks {
        /// The keys, as RFC 7517 and RFC 7518 define them; none with HS256.
        keys: Vec<Map<String, Value>>,
    }

    pub(in crate::api) fn keys() -> Described {
        Described::fixed(
            "readKeys",
            "The public keys that verify access tokens",
            "For services that verify tokens by themselves. May be cached for five minutes.",
        )
        .header("If-None-Match", "The `ETag` of the keys that a cache has.")
        .answers::<Jwks>(200, "The keys.", json!({"keys": []}))
        .answers_nothing(304, "The keys are those that the cache has.")
    }
}
