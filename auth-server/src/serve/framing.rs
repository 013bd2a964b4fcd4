//! Requests that two readers of one stream could read differently are refused (RFC 9112).

use std::net::Ipv6Addr;

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
    let one_host = has_one_host(request) && !uri_names_another_host(request);
    let unambiguous = match request.version() {
        Version::HTTP_11 => one_host && (!coded || is_chunked_once(request)),
        // RFC 9112 section 6.1: a message of HTTP/1.0 with a transfer coding is faulty. And HTTP/2
        // has the host in its URI.
        _ => !coded && (one_host || !request.headers().contains_key(HOST)),
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

/// RFC 9112 section 3.2: exactly one, and well-formed.
fn has_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    host.to_str().is_ok_and(is_host)
}

/// Whether this is a name or an address, with or without a port. A comma, which a name could have
/// (RFC 3986 section 3.2.2), looks like a list of two.
fn is_host(host: &str) -> bool {
    let (named, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
            None => return false,
        },
        None => {
            let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
            let is_name = !name.contains(['@', ',']) && name.parse::<Authority>().is_ok();
            (is_name, port)
        }
    };
    named && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_port(port: &str) -> bool {
    port.is_empty() || port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

fn uri_names_another_host<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(HOST).map(http::HeaderValue::as_bytes);
    request.uri().authority().is_some_and(|authority| {
        host.is_none_or(|host| !authority.as_str().as_bytes().eq_ignore_ascii_case(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_6_a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for good in [
            "a",
            "a:",
            "a:0",
            "a:65535",
            "auth.example.org:8000",
            "my_host",
            "xn--bcher-kva.example",
            "192.0.2.7:80",
            "[::1]",
            "[2001:db8::1]:8000",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "",
            ":",
            ":80",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a,b",
            "user@a",
            "a:abc",
            "a:+80",
            "a:65536",
            "a:99999999",
            "a:80:80",
            "a:80,b:80",
            "::1",
            "[]",
            "[zz]",
            "[::1",
            "[::1]80",
            "[::1]:x",
            "[192.0.2.7]",
            "[::1]]",
            "a]",
            "a\\b",
            "\u{e9}",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
