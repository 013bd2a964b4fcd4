//! The page behind the link in the mail.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;

use crate::support::{Scripted, api, error, json, post, request, send, with};
use auth_core::AuthError;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

const PATHS: [&str; 2] = ["/api/register/verify/", "/api/register/verify"];

const HEADERS: &str = "cache-control: no-store
content-security-policy: default-src 'none'; \
    style-src 'sha256-+AEmsPQA9gKV4MyghF8oxWWA9udrpOryxe1Oj2xFfOg='; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'
content-type: text/html; charset=utf-8
referrer-policy: no-referrer
";

type Outcome = fn() -> Result<(), AuthError>;

fn form(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    let request = request("POST", path).map(|_| Full::from(body));
    with(request, "content-type", "application/x-www-form-urlencoded")
}

fn page(answer: &str) -> (&str, &str, &str) {
    let (status, rest) = answer.split_once('\n').unwrap();
    let (headers, body) = rest.split_once("\n\n").unwrap();
    (status, headers, body)
}

#[tokio::test]
async fn s8_2_opening_the_link_shows_a_page_and_changes_nothing() {
    let service: Arc<Scripted> = Arc::default();
    for path in PATHS {
        for method in ["GET", "HEAD", "GET"] {
            let request = request(method, &format!("{path}?token=avt_a-b_c"));
            let answer = send(api(&service), request).await;
            let (status, headers, body) = page(&answer);
            assert_eq!(status, "200");
            let headers = format!("{headers}\n");
            let mut lines: Vec<_> = headers.lines().collect();
            lines.retain(|line| !line.starts_with("content-length: "));
            assert_eq!(
                lines.join("\n"),
                format!("{HEADERS}x-content-type-options: nosniff")
            );
            if method == "GET" {
                assert!(body.contains(r#"<html lang="en">"#));
                assert!(body.contains(r#"<form method="post" action="?">"#));
                assert!(body.contains(r#"<input type="hidden" name="token" value="avt_a-b_c">"#));
                assert!(body.contains(r#"<button type="submit">"#));
                for loading in ["<script", "src=", "href=", "url(", "http"] {
                    assert!(!body.contains(loading), "{loading}");
                }
            }
        }
    }
    assert!(service.calls().is_empty());
}

#[tokio::test]
async fn s8_2_whatever_stands_in_the_link_is_escaped() {
    let token = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%26%27";
    let request = request("GET", &format!("/api/register/verify/?token={token}"));
    let answer = send(api(&Arc::default()), request).await;
    assert!(!answer.contains("<script"), "{answer}");
    assert!(answer.contains("&quot;&gt;&lt;script&gt;"), "{answer}");
}

#[tokio::test]
async fn a_link_without_one_token_shows_that_it_is_not_valid() {
    for query in ["", "?token=", "?token=a&token=b", "?other=a"] {
        let request = request("GET", &format!("/api/register/verify/{query}"));
        let answer = send(api(&Arc::default()), request).await;
        let (status, headers, body) = page(&answer);
        assert_eq!(status, "400", "{query}");
        assert_eq!(
            format!("{headers}\n"),
            format!("{HEADERS}x-content-type-options: nosniff\n")
        );
        assert!(body.contains("<h1>This link is not valid</h1>"));
        assert!(!body.contains("<form"));
    }
}

#[tokio::test]
async fn the_button_verifies_and_says_so_on_a_page() {
    for path in PATHS {
        let service: Arc<Scripted> = Arc::default();
        let answer = send(api(&service), form(path, "token=avt_a%2Db&x=y")).await;
        let (status, headers, body) = page(&answer);
        assert_eq!(status, "200");
        assert_eq!(
            format!("{headers}\n"),
            format!("{HEADERS}x-content-type-options: nosniff\n")
        );
        assert!(body.contains("<h1>Your e-mail address is confirmed</h1>"));
        assert!(!body.contains("<form"));
        assert_eq!(service.calls(), ["verify_email avt_a-b"]);
    }
}

#[tokio::test]
async fn a_refused_link_is_explained_on_a_page() {
    let cases: [(Outcome, &str, &str); 5] = [
        (
            || Err(AuthError::LinkInvalid),
            "400",
            "This link is not valid",
        ),
        (
            || Err(AuthError::LinkExpired),
            "400",
            "This link has expired",
        ),
        (
            || Err(AuthError::LinkUsed),
            "400",
            "This link has already been used",
        ),
        (
            || Err(AuthError::Internal("secret".into())),
            "500",
            "That did not work",
        ),
        (
            || Err(AuthError::overloaded(std::time::Duration::from_secs(7))),
            "503",
            "That did not work",
        ),
    ];
    for (outcome, status, title) in cases {
        let service = Arc::new(Scripted::ending(outcome));
        let answer = send(api(&service), form(PATHS[0], "token=avt_ab")).await;
        assert_eq!(page(&answer).0, status);
        assert!(answer.contains(&format!("<h1>{title}</h1>")), "{answer}");
        assert!(!answer.contains("secret"));
        assert_eq!(answer.contains("retry-after: 7"), status == "503");
    }
}

#[tokio::test]
async fn a_form_is_limited_like_every_other_body() {
    let request = form(PATHS[0], "token=avt_ab");
    let answer = send(api(&Arc::default()).with_max_body(5), request).await;
    assert_eq!(page(&answer).0, "413");
    let request = with(form(PATHS[0], "token=avt_ab"), "content-encoding", "gzip");
    let answer = send(api(&Arc::default()), request).await;
    assert_eq!(page(&answer).0, "415");
}

#[tokio::test]
async fn a_program_verifies_with_json() {
    for path in PATHS {
        let service: Arc<Scripted> = Arc::default();
        assert_eq!(
            send(api(&service), post(path, r#"{"token": "avt_ab"}"#)).await,
            json(200, &[], r#"{"is_error":0,"message":"success"}"#)
        );
        assert_eq!(service.calls(), ["verify_email avt_ab"]);
    }
    let service = Arc::new(Scripted::ending(|| Err(AuthError::LinkUsed)));
    assert_eq!(
        send(api(&service), post(PATHS[0], r#"{"token": "avt_ab"}"#)).await,
        error(400, &[], "link_used", "the link has already been used")
    );
}

#[tokio::test]
async fn s7_11_a_token_in_the_url_of_a_post_does_nothing() {
    let service: Arc<Scripted> = Arc::default();
    let answer = send(
        api(&service),
        form("/api/register/verify/?token=avt_ab", ""),
    )
    .await;
    assert_eq!(page(&answer).0, "400");
    assert!(service.calls().is_empty());
}
