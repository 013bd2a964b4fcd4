//! Health and metrics, on an address of their own.

mod support;

use support::{Embedded, PASSWORD};

#[tokio::test]
async fn s14_5_health_and_metrics_have_an_address_of_their_own_and_tell_of_no_user() {
    let Embedded { server, password } = Embedded::start(&[("AUTH_OBSERVE_BIND", "127.0.0.1:0")]);
    server.log_in("admin", &password).await;
    server.log_in("nobody@example.org", PASSWORD).await;
    server
        .get("/api/secret-path/nobody")
        .await
        .is_error(404, "not_found");
    server.get("/metrics").await.is_error(404, "not_found");
    server.get("/livez").await.is(200, r#"{"status":"ok"}"#);

    let log = server.log();
    let address = log
        .lines()
        .find_map(|line| line.strip_prefix("observing on "));
    let address = address
        .unwrap_or_else(|| panic!("no address in {log}"))
        .to_owned();
    let get = async |path: &str| {
        let answer = reqwest::get(format!("{address}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(path).await, (200, r#"{"status":"ok"}"#.to_owned()));
    }
    assert_eq!(
        get("/api/auth/token/").await.0,
        404,
        "only health and metrics"
    );
    let (status, metrics) = get("/metrics").await;
    assert_eq!(status, 200);
    for expected in [
        "auth_http_requests_total",
        "/api/auth/token",
        "auth_revocation_entries",
    ] {
        assert!(metrics.contains(expected), "{expected} in {metrics}");
    }
    for secret in [
        "admin",
        "nobody",
        "secret-path",
        PASSWORD,
        &password,
        "127.0.0.1",
    ] {
        assert!(!metrics.contains(secret), "{secret} in {metrics}");
    }
}
