//! How our answers are built: what every one of them carries.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::body::ApiBody;

/// Makes an answer with the headers that all of ours have; it may not be stored by any cache.
pub(crate) fn bare(status: StatusCode, body: impl Into<Bytes>) -> Response<ApiBody> {
    let mut response = Response::new(ApiBody::from(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Makes an answer of a JSON document.
pub(crate) fn json(status: StatusCode, document: impl Into<Bytes>) -> Response<ApiBody> {
    let mut response = bare(status, document);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Makes an answer of a value.
pub(crate) fn serialized(status: StatusCode, value: &impl Serialize) -> Response<ApiBody> {
    // Only maps with keys that are no strings and failing `Serialize` implementations fail, and
    // our answers are structs of strings.
    let document = serde_json::to_vec(value).expect("a struct of strings has a JSON form");
    json(status, document)
}
