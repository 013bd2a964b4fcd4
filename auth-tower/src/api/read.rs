//! Reading a request's body: its type, its length, its bytes.

use std::error::Error;
use std::io;
use std::pin::pin;

use bytes::Buf;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Request};
use http_body::Body;
use http_body_util::BodyExt;
use zeroize::Zeroizing;

use crate::error::ApiError;

pub(super) const JSON: &str = "application/json";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// How much memory is set aside for a body that does not declare its length.
const UNDECLARED: usize = 16 * 1024;

/// Reads a whole body of the type into memory that is wiped afterwards: it may hold a password.
pub(super) async fn body<B>(
    request: Request<B>,
    essence: &str,
    max: usize,
) -> Result<Zeroizing<Vec<u8>>, ApiError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    demand(&parts.headers, essence)?;
    bytes(&parts.headers, body, max).await
}

/// Reads a whole body of the type, if there is one: without a byte there is none, whatever the
/// headers say, since not every client and not every layer in front can tell beforehand.
pub(super) async fn optional_body<B>(
    request: Request<B>,
    essence: &str,
    max: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, ApiError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let bytes = bytes(&parts.headers, body, max).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    demand(&parts.headers, essence)?;
    Ok(Some(bytes))
}

fn demand(headers: &HeaderMap, essence: &str) -> Result<(), ApiError> {
    if is_of_type(headers, essence) && !headers.contains_key(CONTENT_ENCODING) {
        Ok(())
    } else {
        Err(ApiError::UnsupportedMediaType)
    }
}

async fn bytes<B>(headers: &HeaderMap, body: B, max: usize) -> Result<Zeroizing<Vec<u8>>, ApiError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let declared = declared_length(headers, &body);
    if declared.is_some_and(|length| length > max as u64) {
        return Err(ApiError::PayloadTooLarge);
    }
    // All at once, because a buffer that grows leaves copies behind.
    let capacity = declared.map_or(UNDECLARED, |length| length as usize);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity.min(max)));
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(error.into().as_ref()))?;
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        if data.remaining() > max.saturating_sub(bytes.len()) {
            return Err(ApiError::PayloadTooLarge);
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            bytes.extend_from_slice(chunk);
            data.advance(chunk.len());
        }
    }
    Ok(bytes)
}

/// Whether there is exactly one content type, this one, and no charset but UTF-8.
pub(super) fn is_of_type(headers: &HeaderMap, essence: &str) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let is_essence = parts
        .next()
        .is_some_and(|found| found.eq_ignore_ascii_case(essence));
    is_essence && parts.all(|parameter| !names_other_charset(parameter))
}

fn names_other_charset(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset")
            && !value.trim_matches([' ', '"']).eq_ignore_ascii_case("utf-8")
    })
}

fn declared_length(headers: &HeaderMap, body: &impl Body) -> Option<u64> {
    let header = headers.get(CONTENT_LENGTH);
    let header = header.and_then(|value| value.to_str().ok()?.parse().ok());
    header.max(body.size_hint().exact())
}

/// A body that broke off: too slow, if whoever limits the time says so, else not well-formed.
fn unreadable(error: &(dyn Error + Send + Sync + 'static)) -> ApiError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return ApiError::RequestTimeout;
        }
        cause = error.source();
    }
    ApiError::MalformedJson
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_json(values: &[&str]) -> bool {
        let headers = values
            .iter()
            .map(|value| (CONTENT_TYPE, HeaderValue::from_str(value).unwrap()))
            .collect();
        is_of_type(&headers, JSON)
    }

    #[test]
    fn s10_4_json_may_have_parameters_but_no_charset_but_utf_8() {
        for value in [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json; charset=UTF-8",
            "application/json; charset=\"utf-8\"",
            "application/json; profile=x; charset=utf-8",
            "application/json;",
        ] {
            assert!(is_json(&[value]), "{value}");
        }
    }

    #[test]
    fn s10_4_other_types_and_charsets_are_not_json() {
        for value in [
            "",
            "text/plain",
            "text/plain; a=application/json",
            "application/jsonp",
            "application/ld+json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json; charset=utf-16",
            "application/json; charset=latin1",
            "application/json; charset=",
            "application/json, text/plain",
        ] {
            assert!(!is_json(&[value]), "{value}");
        }
        assert!(!is_json(&[]));
        assert!(!is_json(&["application/json", "application/json"]));
    }
}
