//! What of a request's body is read, and when it is refused.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::support::{self, Scripted, answer, api, error, json, post, request, send, with};
use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

const LOGOUT: &str = "/api/auth/logout/";
const TOKEN: &str = r#"{"refresh_token": "art_old"}"#;

fn loggedout() -> String {
    json(200, &[], r#"{"message":"Successfully logged out."}"#)
}

fn too_large() -> String {
    error(413, &[], "payload_too_large", "the body is too large")
}

fn malformed() -> String {
    error(
        400,
        &[],
        "malformed_json",
        "the body is not a valid JSON object",
    )
}

/// JSON with this number of bytes.
fn padded(length: usize) -> String {
    format!("{TOKEN}{}", " ".repeat(length - TOKEN.len()))
}

#[tokio::test]
async fn s10_4_only_json_is_read() {
    let refused = error(
        415,
        &[],
        "unsupported_media_type",
        "the body has an unsupported media type",
    );
    let service = Arc::default();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
    ] {
        let mut request = with(request("POST", LOGOUT), "content-type", content_type);
        *request.body_mut() = Full::from(TOKEN);
        assert_eq!(
            send(api(&service), request).await,
            refused,
            "{content_type}"
        );
    }
    assert_eq!(send(api(&service), request("POST", LOGOUT)).await, refused);
    let compressed = with(post(LOGOUT, TOKEN), "content-encoding", "gzip");
    assert_eq!(send(api(&service), compressed).await, refused);
    assert!(service.calls().is_empty());
}

#[tokio::test]
async fn s11_1_a_body_up_to_the_limit_is_read() {
    assert_eq!(answer(post(LOGOUT, &padded(16 * 1024))).await, loggedout());
    assert_eq!(
        answer(post(LOGOUT, &padded(16 * 1024 + 1))).await,
        too_large()
    );
    let small = api(&Arc::default()).with_max_body(100);
    assert_eq!(
        send(small.clone(), post(LOGOUT, &padded(100))).await,
        loggedout()
    );
    assert_eq!(send(small, post(LOGOUT, &padded(101))).await, too_large());
}

#[tokio::test]
async fn s11_1_a_body_that_declares_to_be_too_large_is_not_read() {
    struct Unread;

    impl Body for Unread {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            panic!("the body was read");
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::default()
        }
    }

    let request = post(LOGOUT, "").map(|_| Unread);
    let request = with(request, "content-length", "16385");
    assert_eq!(send(api(&Arc::default()), request).await, too_large());
}

/// A body in pieces, whose length nobody knows, and which may break off.
struct Pieces(Vec<Result<&'static [u8], io::ErrorKind>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = (!self.0.is_empty()).then(|| self.0.remove(0));
        let frame = |bytes| Frame::data(Bytes::from_static(bytes));
        Poll::Ready(piece.map(|piece| piece.map(frame).map_err(io::Error::from)))
    }
}

fn in_pieces(pieces: Vec<Result<&'static [u8], io::ErrorKind>>) -> Request<Pieces> {
    post(LOGOUT, "").map(|_| Pieces(pieces))
}

#[tokio::test]
async fn a_body_may_come_in_pieces() {
    let service = Arc::default();
    let pieces = vec![
        Ok(&b"{\"refresh_"[..]),
        Ok(&b""[..]),
        Ok(&b"token\": \"art_old\"}"[..]),
    ];
    assert_eq!(send(api(&service), in_pieces(pieces)).await, loggedout());
    assert_eq!(service.calls(), ["log_out art_old"]);
}

#[tokio::test]
async fn s11_1_a_body_of_undeclared_length_is_read_up_to_the_limit() {
    static KIB: [u8; 1024] = [b' '; 1024];
    let pieces = std::iter::repeat_n(Ok(&KIB[..]), 17);
    // An error beyond the limit shows that nothing is read there.
    let pieces = pieces.chain([Err(io::ErrorKind::TimedOut)]).collect();
    assert_eq!(
        send(api(&Arc::default()), in_pieces(pieces)).await,
        too_large()
    );
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_a_timeout() {
    let pieces = vec![Ok(&b"{"[..]), Err(io::ErrorKind::TimedOut)];
    assert_eq!(
        send(api(&Arc::default()), in_pieces(pieces)).await,
        error(
            408,
            &[],
            "request_timeout",
            "the request did not arrive in time"
        )
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_is_malformed() {
    let pieces = vec![Ok(TOKEN.as_bytes()), Err(io::ErrorKind::InvalidData)];
    assert_eq!(
        send(api(&Arc::default()), in_pieces(pieces)).await,
        malformed()
    );
}

#[tokio::test]
async fn s11_2_malformed_json_reaches_no_use_case() {
    let deep = "[".repeat(10_000);
    let bodies = [
        "",
        "null",
        "[]",
        "{",
        "{\"refresh_token\": \"\\ud800\"}",
        deep.as_str(),
    ];
    let service = Arc::default();
    let endpoints = [
        "/api/auth/token/",
        "/api/auth/token/refresh/",
        LOGOUT,
        "/api/register/resend/",
        "/api/register/verify/",
    ];
    for path in endpoints {
        for body in bodies {
            assert_eq!(
                send(api(&service), post(path, body)).await,
                malformed(),
                "{path}"
            );
        }
    }
    assert!(service.calls().is_empty());
}

#[tokio::test]
async fn s11_3_every_missing_or_mistyped_field_is_named() {
    let service: Arc<Scripted> = Arc::default();
    let body = r#"{"password": null, "email": ["x"], "username": {"$ne": ""}}"#;
    let request = with(
        post("/api/register/", body),
        "authorization",
        &support::GOOD,
    );
    let expected = concat!(
        r#"{"is_error":1,"code":"validation_failed","message":"the input is not valid","#,
        r#""errors":{"email":["must be a string"],"password":["must not be null"],"#,
        r#""username":["must be a string"]}}"#
    );
    assert_eq!(send(api(&service), request).await, json(400, &[], expected));
    assert_eq!(service.calls(), ["require_superuser"]);

    let expected = concat!(
        r#"{"is_error":1,"code":"validation_failed","message":"the input is not valid","#,
        r#""errors":{"password":["is required"],"username":["is required"]}}"#
    );
    assert_eq!(
        answer(post("/api/auth/token/", "{}")).await,
        json(400, &[], expected)
    );
}
