//! Nothing secret is written where it does not belong.

use crate::support::mail::from_folder;
use crate::support::raw::{exchange, status};
use crate::support::{Embedded, SECRETS, Server};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn s14_2_the_most_talkative_log_holds_no_secret() {
    let mut variables = SECRETS.to_vec();
    variables.extend([
        ("AUTH_LOG", "trace"),
        ("AUTH_REFRESH_ROTATION", "on"),
        ("AUTH_ENDPOINTS", "admin"),
    ]);
    let Embedded { server, password } = Embedded::start(&variables);
    let admin = server.log_in("admin", &password).await;
    let canary = "canary-Pa55phrase-never-logged";
    let registration =
        json!({"username": "alice", "password": canary, "email": "alice@example.org"});
    let bearer = admin.text("access_token");
    let register = |body| server.request(Method::POST, "/api/register/", Some(&bearer), Some(body));
    assert_eq!(register(registration).await.status.as_u16(), 201);
    register(json!({"username": "bob", "password": "short-canary\u{0}", "email": "x"})).await;
    let mail = from_folder(&server.path("auth-data/outbox"));
    server
        .get(&format!("/api/register/verify/?token={}", mail.token))
        .await;
    server.verify(&mail.token).await;
    server
        .log_in("alice", "wrong-canary-guess")
        .await
        .is_error(401, "invalid_credentials");
    // Users type passwords into the wrong field.
    server
        .log_in("misplaced-canary", "x")
        .await
        .is_error(401, "invalid_credentials");
    let alice = server.log_in("alice", canary).await;
    let refreshed = server.refresh(&alice.text("refresh_token")).await;
    server.log_out(&refreshed.text("refresh_token")).await;
    server.refresh("art_forged-canary").await;
    let administer = |method, path, body| server.request(method, path, Some(&bearer), body);
    let users = "/api/admin/users/?search=canary";
    let carol = json!({
        "username": "carol", "password": canary, "email": "c@example.org", "verified": true,
    });
    let carol = administer(Method::POST, users, Some(carol))
        .await
        .text("id");
    let carol = format!("/api/admin/users/{carol}/");
    for (password, expected) in [("another-canary-Pa55", 200), ("canary\u{0}", 400)] {
        let change = json!({"password": password, "roles": ["editor"]});
        let changed = administer(Method::PATCH, &carol, Some(change)).await;
        assert_eq!(changed.status.as_u16(), expected, "{changed:?}");
    }
    administer(Method::GET, users, None).await;
    server
        .request(
            Method::GET,
            "/api/auth/token/?token=canary-in-query",
            Some("canary.in.bearer"),
            None,
        )
        .await;
    let http_2 = reqwest::Client::builder().http2_prior_knowledge().build();
    let login = json!({"username": "alice", "password": canary, "canary-member": 1});
    let request = http_2.unwrap().post(server.url("/api/auth/token/?canary"));
    let request = request.bearer_auth("canary.in.http2").json(&login);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);

    // Beside the runtime, where the client of HTTP/2 takes leave.
    let stopped = tokio::task::spawn_blocking(|| server.stop());
    let (status, stdout, log) = stopped.await.unwrap();
    assert!(status.success());
    assert!(log.contains("logged_out"), "the log is there: {log}");
    let secrets = [
        "canary".to_owned(),
        password,
        mail.token,
        bearer,
        alice.text("access_token"),
        alice.text("refresh_token"),
        refreshed.text("refresh_token"),
        "$argon2id$".to_owned(),
    ];
    let keys = SECRETS.map(|(_, secret)| secret.to_owned());
    for secret in secrets.iter().chain(&keys) {
        for (place, text) in [("log", &log), ("output", &stdout)] {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{secret} in the {place}: {line:?}");
        }
    }
}

#[test]
fn s17_3_the_effective_settings_are_logged_without_secrets() {
    let mut variables = SECRETS.to_vec();
    variables.extend([
        ("AUTH_ACCESS_TTL", "7m"),
        ("AUTH_MAIL", "smtps://mailer:hunter2@127.0.0.1:1"),
    ]);
    let (_, _, log) = Server::start(&variables).stop();
    let settings = log.lines().find(|line| line.contains("\"settings\""));
    let settings = settings.expect("the settings are logged");
    for shown in ["AUTH_ACCESS_TTL", "7m", "smtps://127.0.0.1:1"] {
        assert!(settings.contains(shown), "{shown} in {settings}");
    }
    for (_, secret) in SECRETS {
        assert!(!log.contains(secret));
    }
    assert!(!log.contains("hunter2") && !log.contains("mailer"), "{log}");
}

#[tokio::test]
async fn s14_3_one_event_is_one_line_of_json_whatever_the_client_sends() {
    let server = Server::start(&[("AUTH_LOG", "debug")]);
    for path in ["/%0A%0D%1B[31m", "/a%E2%80%A8b", "/%E2%80%AEx"] {
        server.get(path).await.is_error(404, "not_found");
    }
    // Bytes that are no ASCII may stand in a path as they are.
    let raw = "GET /\u{202e}\u{2028}\u{9b}31m HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = exchange(server.socket_address(), raw.as_bytes());
    assert_eq!(status(&answer), "404");
    server
        .log_in("a\r\nb\u{1b}\u{2028}\u{202e}", "x\r\n")
        .await
        .is_error(401, "invalid_credentials");
    let (_, _, log) = server.stop();
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(event.get("level").is_some(), "{line}");
        let misleading = ['\u{9b}', '\u{202e}', '\u{2028}'];
        assert!(!line.contains(misleading), "{line:?}");
    }
}

#[cfg(unix)]
#[test]
fn s13_2_s15_3_the_data_folder_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let server = Server::start(&[]);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let data = server.path("auth-data");
    assert_eq!(mode(&data), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    for expected in ["auth.sqlite3", "jwt_secret_key", "outbox", "secret_key"] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
}
