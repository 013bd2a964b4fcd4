//! Pages of other origins.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{Server, run};
use reqwest::{Client, Method, Response};

const APP: &str = "https://app.example.org";

async fn send(server: &Server, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Client::new().request(method, server.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

/// The headers that tell a browser what a page may do.
fn cors(answer: &Response) -> Vec<(&str, &str)> {
    let headers = answer.headers().iter();
    let headers = headers.filter(|(name, _)| name.as_str().starts_with("access-control-"));
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    headers.sort_unstable();
    headers
}

#[tokio::test]
async fn s10_5_pages_of_listed_origins_read_every_answer_and_others_none() {
    let server = Server::start(&[("AUTH_CORS_ORIGINS", APP)]);
    let preflight = |origin| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
        ]
    };
    let answer = send(
        &server,
        Method::OPTIONS,
        "/api/auth/token/",
        &preflight(APP),
    )
    .await;
    assert_eq!(answer.status(), 204);
    assert_eq!(
        cors(&answer),
        [
            (
                "access-control-allow-headers",
                "authorization,content-type,idempotency-key"
            ),
            ("access-control-allow-methods", "GET,POST,PATCH,DELETE"),
            ("access-control-allow-origin", APP),
            ("access-control-max-age", "7200"),
        ]
    );
    let long = "a".repeat(5_000);
    // What the endpoints refuse, and what the server does before them.
    for (path, status) in [
        ("/api/auth/token/", 415),
        ("/nowhere", 404),
        (&format!("/{long}"), 414),
    ] {
        let answer = send(&server, Method::POST, path, &[("origin", APP)]).await;
        assert_eq!(answer.status(), status);
        let expected = [
            ("access-control-allow-origin", APP),
            (
                "access-control-expose-headers",
                "www-authenticate,retry-after",
            ),
        ];
        assert_eq!(cors(&answer), expected, "{path}");
        assert_eq!(answer.headers()["vary"], "origin");
        let other = [("origin", "https://evil.example")];
        let answer = send(&server, Method::POST, path, &other).await;
        assert_eq!((answer.status().as_u16(), cors(&answer)), (status, vec![]));
        assert_eq!(answer.headers()["vary"], "origin");
    }
    for origin in ["https://evil.example", "null"] {
        let headers = preflight(origin);
        let answer = send(&server, Method::OPTIONS, "/api/auth/token/", &headers).await;
        assert_eq!((answer.status().as_u16(), cors(&answer)), (405, vec![]));
    }
}

#[tokio::test]
async fn s10_5_by_default_no_other_origin_is_told_anything() {
    let server = Server::start(&[]);
    let preflight = [("origin", APP), ("access-control-request-method", "POST")];
    let answer = send(&server, Method::OPTIONS, "/api/auth/token/", &preflight).await;
    assert_eq!((answer.status().as_u16(), cors(&answer)), (405, vec![]));
    assert!(!answer.headers().contains_key("vary"));
}

#[test]
fn s10_5_the_start_refuses_any_and_null() {
    let folder = tempfile::tempdir().unwrap();
    for origins in ["*", "null", "https://app.example.org,*"] {
        let variables = [("AUTH_CORS_ORIGINS", origins), ("AUTH_BIND", "127.0.0.1:0")];
        let started = run(folder.path(), &[], &variables);
        let error = String::from_utf8(started.stderr).unwrap();
        assert!(!started.status.success(), "{origins}");
        assert!(error.contains("AUTH_CORS_ORIGINS"), "{error}");
    }
}
