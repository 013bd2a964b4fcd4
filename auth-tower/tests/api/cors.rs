//! What pages of other origins may do.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;

use crate::support::{api, post, request, text, with, written};
use auth_tower::CorsLayer;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::{Layer, ServiceExt};

const APP: &str = "https://app.example.org";
const OTHER: &str = "http://localhost:5173";

/// The answer to a request where these two origins are listed.
async fn answer(request: Request<Full<Bytes>>) -> String {
    let origins = [APP, OTHER].map(|origin| origin.parse().unwrap());
    let service = CorsLayer::new(origins).layer(api(&Arc::default()));
    text(service.oneshot(request).await.unwrap()).await
}

fn preflight(origin: &str, path: &str) -> Request<Full<Bytes>> {
    let request = request("OPTIONS", path);
    let request = with(request, "access-control-request-method", "POST");
    let wanted = "authorization,content-type";
    let request = with(request, "access-control-request-headers", wanted);
    with(request, "origin", origin)
}

fn logout() -> Request<Full<Bytes>> {
    post("/api/auth/logout/", r#"{"refresh_token": "art_old"}"#)
}

#[tokio::test]
async fn s10_5_a_preflight_of_a_listed_origin_is_told_what_is_allowed() {
    for origin in [APP, OTHER] {
        for path in ["/api/auth/token/", "/api/admin/users/", "/nowhere"] {
            let headers = [
                (
                    "access-control-allow-headers",
                    "authorization,content-type,idempotency-key",
                ),
                ("access-control-allow-methods", "GET,POST,PATCH,DELETE"),
                ("access-control-allow-origin", origin),
                ("access-control-max-age", "7200"),
                ("vary", "origin"),
            ];
            let expected = written(204, headers.into_iter(), "");
            assert_eq!(answer(preflight(origin, path)).await, expected);
        }
    }
}

#[tokio::test]
async fn s10_5_a_page_of_a_listed_origin_reads_every_answer() {
    let requests = [
        logout(),
        post("/api/auth/logout/", "{"),
        post("/nowhere", "{}"),
        request("GET", "/api/auth/logout/"),
        request("GET", "/livez"),
        with(post("/api/register/", "{}"), "authorization", "Bearer bad"),
    ];
    for request in requests {
        let answer = answer(with(request, "origin", APP)).await;
        for header in [
            "access-control-allow-origin: https://app.example.org\n",
            "access-control-expose-headers: www-authenticate,retry-after\n",
            "vary: origin\n",
        ] {
            assert!(answer.contains(&format!("\n{header}")), "{answer}");
        }
        assert!(!answer.contains("access-control-allow-credentials"));
    }
}

#[tokio::test]
async fn s10_5_no_other_origin_is_told_anything() {
    for origin in [
        "https://evil.example",
        "null",
        "*",
        "",
        "https://app.example.org.evil.example",
        "https://app.example.org:443",
        "https://app.example.org/",
        "HTTPS://app.example.org",
        "http://app.example.org",
        "https://app.example.org, http://localhost:5173",
    ] {
        let refused = answer(preflight(origin, "/api/auth/token/")).await;
        assert!(refused.starts_with("405\n"), "{refused}");
        let answered = answer(with(logout(), "origin", origin)).await;
        assert!(answered.starts_with("200\n"), "{answered}");
        for answer in [refused, answered] {
            assert!(!answer.contains("access-control-"), "{answer}");
            assert!(answer.contains("\nvary: origin\n"), "{answer}");
        }
    }
    // Two origins, of which one is listed.
    let two = with(
        with(logout(), "origin", APP),
        "origin",
        "https://evil.example",
    );
    assert!(!answer(two).await.contains("access-control-"));
    let without = answer(logout()).await;
    assert!(!without.contains("access-control-"), "{without}");
    assert!(without.contains("\nvary: origin\n"), "{without}");
}

#[tokio::test]
async fn s10_3_options_are_refused_unless_they_are_a_preflight() {
    let options = with(request("OPTIONS", "/api/auth/token/"), "origin", APP);
    let refused = answer(options).await;
    assert!(refused.starts_with("405\n"), "{refused}");
    assert!(refused.contains("\nallow: POST\n"), "{refused}");
}
