//! The parsers of the endpoints, for the fuzz targets.

use auth_core::FieldErrors;
use auth_core::store::{EventFilter, UserFilter};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::Full;
use zeroize::Zeroizing;

use super::admin::pages;
use super::json::Object;
use super::link::the_field;
use super::read;
use crate::ApiError;

/// Reads a JSON object with these members, which must be strings.
///
/// # Errors
///
/// [`ApiError`] says what is wrong with it.
pub fn strings<const N: usize>(
    body: &[u8],
    names: [&'static str; N],
) -> Result<[Zeroizing<String>; N], ApiError> {
    Object::parse(body, &names)?.strings(names)
}

/// Reads a whole body of JSON.
///
/// # Errors
///
/// [`ApiError`] says what is wrong with the headers or the length.
pub async fn body(
    request: Request<Full<Bytes>>,
    max: usize,
) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    read::body(request, read::JSON, max).await
}

/// Whether the headers call the body JSON.
#[must_use]
pub fn is_json(headers: &HeaderMap) -> bool {
    read::is_of_type(headers, read::JSON)
}

/// The one field of this name in a form.
#[must_use]
pub fn form_field(pairs: &[u8], name: &str) -> Option<String> {
    the_field(pairs, name).map(|value| value.into_owned())
}

/// Which users a query asks for.
///
/// # Errors
///
/// [`FieldErrors`] names the parameters that are wrong.
pub fn user_filter(uri: &Uri) -> Result<UserFilter, FieldErrors> {
    pages::user_filter(uri)
}

/// Which events a query asks for.
///
/// # Errors
///
/// [`FieldErrors`] names the parameters that are wrong.
pub fn event_filter(uri: &Uri) -> Result<EventFilter, FieldErrors> {
    pages::event_filter(uri)
}
