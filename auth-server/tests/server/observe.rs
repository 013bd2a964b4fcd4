//! Health and metrics at an address of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{Embedded, PASSWORD, Server};
use reqwest::{Client, Method, Response};
use serde_json::json;

const OBSERVED: [(&str, &str); 1] = [("AUTH_OBSERVE_BIND", "127.0.0.1:0")];

async fn ask(server: &Server, method: Method, path: &str) -> Response {
    let url = server.observe_url(path).unwrap();
    Client::new().request(method, url).send().await.unwrap()
}

async fn metrics(server: &Server) -> String {
    ask(server, Method::GET, "/metrics")
        .await
        .text()
        .await
        .unwrap()
}

#[tokio::test]
async fn s14_5_health_and_metrics_have_an_address_of_their_own() {
    let server = Server::start(&OBSERVED);
    for path in ["/livez", "/readyz", "/livez/"] {
        let healthy = ask(&server, Method::GET, path).await;
        assert_eq!(healthy.status().as_u16(), 200, "{path}");
        assert_eq!(healthy.text().await.unwrap(), r#"{"status":"ok"}"#);
    }
    let page = ask(&server, Method::GET, "/metrics").await;
    assert_eq!(page.status().as_u16(), 200);
    assert_eq!(
        page.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert_eq!(page.headers()["cache-control"], "no-store");
    let refused = ask(&server, Method::POST, "/metrics").await;
    assert_eq!(refused.status().as_u16(), 405);
    for path in ["/", "/metrics/x", "/.well-known/jwks.json"] {
        let nothing = ask(&server, Method::GET, path).await;
        assert_eq!(nothing.status().as_u16(), 404, "{path}");
    }
    let login = ask(&server, Method::POST, "/api/auth/token/").await;
    assert_eq!(login.status().as_u16(), 404);
}

#[tokio::test]
async fn s14_5_the_main_address_has_no_metrics() {
    for variables in [&OBSERVED[..], &[]] {
        let server = Server::start(variables);
        server.get("/metrics").await.is_error(404, "not_found");
        assert_eq!(server.get("/readyz").await.status.as_u16(), 200);
        let is_observed = server.observe_url("/metrics").is_some();
        assert_eq!(is_observed, !variables.is_empty());
    }
}

#[tokio::test]
async fn s14_5_metrics_count_by_route_and_name_nobody() {
    let embedded = Embedded::start(&OBSERVED);
    let bearer = embedded.superuser_token().await;
    let server = &embedded.server;
    let registered = server.register(&bearer, "canary").await;
    assert_eq!(registered.status.as_u16(), 201);
    server.log_in("canary", "a wrong canary").await;
    server.log_in("nobody-canary", PASSWORD).await;
    server.get("/canary-path").await;
    server.get("/api/register/verify/?token=canary").await;
    let invented = Method::from_bytes(b"CANARY").unwrap();
    server
        .request(invented, "/livez", Some("canary"), Some(json!({})))
        .await;

    let page = metrics(server).await;
    let shown = page.to_lowercase();
    for hidden in [
        "canary",
        "admin",
        "127.0.0.1",
        "example.org",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(!shown.contains(hidden), "{hidden} in {page}");
    }
    for (labels, count) in [
        (r#"method="POST",route="/api/register",status="201""#, 1),
        (r#"method="POST",route="/api/auth/token",status="200""#, 1),
        (r#"method="POST",route="/api/auth/token",status="401""#, 2),
        (r#"method="GET",route="none",status="404""#, 1),
        (r#"method="other",route="/livez",status="405""#, 1),
    ] {
        let line = format!("auth_http_requests_total{{{labels}}} {count}");
        assert!(page.lines().any(|it| it == line), "{line} in {page}");
    }
    let login = r#"auth_http_request_seconds_count{route="/api/auth/token"} 3"#;
    assert!(page.lines().any(|line| line == login), "{page}");
    for line in [
        "auth_hash_queue_length 0",
        "auth_node_info{database=\"sqlite\"} 1",
        "auth_revocation_feed_healthy 1",
    ] {
        assert!(page.lines().any(|it| it == line), "{line} in {page}");
    }
}
