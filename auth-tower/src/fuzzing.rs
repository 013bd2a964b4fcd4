//! Parsers without a public path of their own, for the fuzz targets in `auth-tower/fuzz`.
//!
//! There with the feature `fuzzing` only, which is for this repository and promises nothing.

use std::net::IpAddr;

use auth_core::AuthError;
use http::HeaderMap;

pub use crate::api::fuzzing::{body, event_filter, form_field, is_json, strings, user_filter};

/// The bearer token, if there is one.
///
/// # Errors
///
/// [`AuthError::TokenInvalid`] if the credentials are malformed.
pub fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    crate::bearer::token(headers)
}

/// The client that a trusted peer names.
pub fn forwarded_client(headers: &HeaderMap, trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    crate::identify::forwarded_client(headers, trusted)
}
