//! Requests that two readers of one stream could read differently are refused (RFC 9112).

use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{Request, StatusCode, Version};

/// Tells with which status to refuse a request and to close its connection, if it must be.
pub(super) fn refusal<B>(request: &Request<B>, max_uri_bytes: usize) -> Option<StatusCode> {
    let uri = request.uri();
    if uri
        .path_and_query()
        .is_some_and(|path| path.as_str().len() > max_uri_bytes)
    {
        return Some(StatusCode::URI_TOO_LONG);
    }
    let coded = request.headers().contains_key(TRANSFER_ENCODING);
    let unambiguous = match request.version() {
        Version::HTTP_11 => has_one_host(request) && !uri_names_another_host(request),
        // RFC 9112 section 6.1: a message of HTTP/1.0 with a transfer coding is faulty.
        Version::HTTP_10 | Version::HTTP_09 => !coded && hosts(request) <= 1,
        _ => true,
    };
    (!unambiguous).then_some(StatusCode::BAD_REQUEST)
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
