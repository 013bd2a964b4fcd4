//! Requests that two readers of one stream could read differently are refused (RFC 9112).

use auth_tower::ApiError;
use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{Request, Uri, Version};

/// Tells with which answer to refuse a request and to close its connection, if it must be.
pub(super) fn refusal<B>(request: &Request<B>, max_uri_bytes: usize) -> Option<ApiError> {
    if bytes(request.uri()) > max_uri_bytes {
        return Some(ApiError::UriTooLong);
    }
    let coded = request.headers().contains_key(TRANSFER_ENCODING);
    let unambiguous = match request.version() {
        Version::HTTP_11 => {
            has_one_host(request)
                && !uri_names_another_host(request)
                && (!coded || is_chunked_once(request))
        }
        // RFC 9112 section 6.1: a message of HTTP/1.0 with a transfer coding is faulty.
        Version::HTTP_10 | Version::HTTP_09 => !coded && hosts(request) <= 1,
        _ => hosts(request) <= 1,
    };
    (!unambiguous).then_some(ApiError::MalformedRequest)
}

fn bytes(uri: &Uri) -> usize {
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    authority + path
}

/// RFC 9112 section 6.1: hyper would accept codings before `chunked` that nobody undoes, and
/// `chunked` twice.
fn is_chunked_once<B>(request: &Request<B>) -> bool {
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let first = codings.next().map(http::HeaderValue::as_bytes);
    first.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) && codings.next().is_none()
}

fn hosts<B>(request: &Request<B>) -> usize {
    request.headers().get_all(HOST).iter().count()
}

/// RFC 9112 section 3.2: exactly one, and well-formed.
fn has_one_host<B>(request: &Request<B>) -> bool {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    hosts(request) == 1
        && host.is_some_and(|host| {
            !host.contains('@')
                && host
                    .parse::<Authority>()
                    .is_ok_and(|it| !it.host().is_empty())
        })
}

fn uri_names_another_host<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(HOST).map(http::HeaderValue::as_bytes);
    request.uri().authority().is_some_and(|authority| {
        host.is_none_or(|host| !authority.as_str().as_bytes().eq_ignore_ascii_case(host))
    })
}
