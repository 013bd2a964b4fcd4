//! What the fuzz targets of `auth-tower` do with their input: S11.4.
//!
//! The programs in `fuzz_targets` call them, and `auth-tower/tests/fuzz_corpus.rs` replays the kept
//! corpus through them. A target fails by a panic: the parser's own, or that of a check here.
#![expect(
    clippy::indexing_slicing,
    reason = "a check that fails by a panic is what a target is for"
)]

use std::net::IpAddr;

use auth_tower::fuzzing;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{AUTHORIZATION, FORWARDED};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::Full;
use serde_json::Value;

/// A target, by the name of its program and of the folder of its corpus.
type Target = (&'static str, fn(&[u8]));

/// The targets.
pub const TARGETS: [Target; 6] = [
    ("authorization", authorization),
    ("json_body", json_body),
    ("request_body", request_body),
    ("forwarded", forwarded),
    ("query", query),
    ("form", form),
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const MAX_BODY: usize = 1024;

/// The values of a header, one a line, as far as HTTP allows them.
fn headers(name: &HeaderName, lines: &[u8]) -> HeaderMap {
    let values = lines.split(|byte| *byte == b'\n').take(8);
    let values = values.filter_map(|line| HeaderValue::from_bytes(line).ok());
    values.map(|value| (name.clone(), value)).collect()
}

/// `Authorization`: what is taken for a token is all that stands behind the scheme.
pub fn authorization(data: &[u8]) {
    let headers = headers(&AUTHORIZATION, data);
    if let Ok(Some(token)) = fuzzing::bearer_token(&headers) {
        let value = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let value = value.and_then(|value| str::from_utf8(value).ok());
        let (scheme, rest) = value.and_then(|it| it.split_once(' ')).expect("two words");
        assert!(scheme.eq_ignore_ascii_case("bearer") && headers.len() == 1);
        assert!(
            rest.trim_start_matches(' ') == token
                && !token.is_empty()
                && token.bytes().all(|it| it.is_ascii_graphic())
        );
    }
}

/// A JSON object: what is read from it, another reader finds there, too.
pub fn json_body(data: &[u8]) {
    const NAMES: [&str; 2] = ["username", "password"];
    if let Ok(read) = fuzzing::strings(data, NAMES) {
        let value: Value = serde_json::from_slice(data).expect("it is JSON");
        assert!(depth(&value) <= 16, "deeper than allowed");
        for (name, read) in NAMES.iter().zip(&read) {
            assert_eq!(value[name].as_str(), Some(read.as_str()), "{name}");
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A header a line (`name: value`), an empty line, a body: what is read is the body, within limits.
pub fn request_body(data: &[u8]) {
    let (head, body) = match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&data[..end], &data[end + 2..]),
        None => (data, &[][..]),
    };
    let mut request = Request::new(Full::new(Bytes::copy_from_slice(body)));
    for line in head.split(|byte| *byte == b'\n').take(16) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().and_then(|it| HeaderName::from_bytes(it).ok());
        let value = parts
            .next()
            .and_then(|it| HeaderValue::from_bytes(it.trim_ascii()).ok());
        if let (Some(name), Some(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    let is_json = fuzzing::is_json(request.headers());
    let read = fuzzing::body(request, MAX_BODY).now_or_never();
    if let Ok(read) = read.expect("the whole body is there") {
        assert!(is_json && read.len() <= MAX_BODY && read.as_slice() == body);
    }
}

/// `X-Forwarded-For` and `Forwarded`: whatever a client wrote, its proxy's entry behind it counts.
pub fn forwarded(data: &[u8]) {
    let trusted = |address: IpAddr| matches!(address, IpAddr::V4(it) if it.octets()[0] == 10);
    for (name, entry) in [(X_FORWARDED_FOR, "192.0.2.1"), (FORWARDED, "for=192.0.2.1")] {
        let mut headers = headers(&name, data);
        if let Some(client) = fuzzing::forwarded_client(&headers, trusted) {
            assert_eq!(client, client.to_canonical());
        }
        headers.append(&name, HeaderValue::from_static(entry));
        let client = fuzzing::forwarded_client(&headers, trusted);
        assert_eq!(client, Some([192, 0, 2, 1].into()));
    }
}

/// The query of a list, with its cursor: what is asked for can be looked up in a database.
pub fn query(data: &[u8]) {
    let Ok(uri) = Uri::try_from([b"/?", data].concat()) else {
        return;
    };
    if let Ok(filter) = fuzzing::user_filter(&uri) {
        assert!((1..=200).contains(&filter.limit));
        let after = filter.after.unwrap_or_default();
        assert!(!after.contains(char::is_control), "{after:?}");
    }
    if let Ok(filter) = fuzzing::event_filter(&uri) {
        assert!((1..=200).contains(&filter.limit));
        let kind = filter.kind.unwrap_or_default();
        assert!(
            kind.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        );
    }
}

/// The form of a page, or the query of a link: a field that stands twice is none.
pub fn form(data: &[u8]) {
    let field = fuzzing::form_field(data, "token");
    let all = form_urlencoded::parse(data).filter(|(name, _)| name == "token");
    assert!(field.is_none() || all.count() == 1);
}
