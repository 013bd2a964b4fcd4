//! What users do with their own accounts, over sockets.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use crate::support::{Answer, Embedded, PASSWORD, Server};
use reqwest::Method;
use serde_json::{Value, json};

const OTHER_PASSWORD: &str = "battery horse correct";

const OPEN: [(&str, &str); 2] = [
    ("AUTH_ENDPOINTS", "account"),
    ("AUTH_REQUIRE_VERIFIED_EMAIL", "no"),
];

struct Session {
    access_token: String,
    refresh_token: String,
}

async fn log_in(server: &Server, password: &str) -> Session {
    let pair = server.log_in("alice", password).await;
    Session {
        access_token: pair.text("access_token"),
        refresh_token: pair.text("refresh_token"),
    }
}

/// A server with the group on, and its user alice.
async fn server() -> Server {
    let embedded = Embedded::start(&OPEN);
    let token = embedded.superuser_token().await;
    let registered = embedded.server.register(&token, "alice").await;
    assert_eq!(registered.status.as_u16(), 201);
    embedded.server
}

async fn ask(
    server: &Server,
    session: &Session,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let bearer = Some(session.access_token.as_str());
    server.request(method, path, bearer, body).await
}

async fn sessions(server: &Server, session: &Session) -> Vec<Value> {
    let listed = ask(server, session, Method::GET, "/api/auth/sessions/", None).await;
    listed.json()["sessions"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_group_is_off_until_it_is_named() {
    let embedded = Embedded::start(&[]);
    for path in [
        "/api/auth/me/",
        "/api/auth/sessions/",
        "/api/auth/sessions/x/",
    ] {
        embedded.server.get(path).await.is_error(404, "not_found");
    }
    for path in ["/api/auth/logout/all/", "/api/auth/password/change/"] {
        let refused = embedded.server.post(path, json!({})).await;
        refused.is_error(404, "not_found");
    }
}

#[tokio::test]
async fn users_see_themselves_and_their_sessions() {
    let server = server().await;
    let there = log_in(&server, PASSWORD).await;
    let here = log_in(&server, PASSWORD).await;
    let me = ask(&server, &here, Method::GET, "/api/auth/me/", None).await;
    let id = me.text("id");
    me.is(
        200,
        &format!(
            r#"{{"id":"{id}","username":"alice","email":"alice@example.org","verified":false,"roles":[]}}"#
        ),
    );
    assert_eq!(me.headers["cache-control"], "no-store");

    let listed = sessions(&server, &here).await;
    let current: Vec<_> = listed.iter().map(|one| one["current"] == true).collect();
    assert_eq!(current, [true, false]);
    for session in &listed {
        assert_eq!(session["client"], "127.0.0.1");
        let created = session["created_at"].as_str().unwrap();
        assert!(created.ends_with('Z') && created.len() == 20, "{created}");
    }
    let there_id = listed[1]["id"].as_str().unwrap();
    let path = format!("/api/auth/sessions/{there_id}/");
    let ended = ask(&server, &here, Method::DELETE, &path, None).await;
    ended.is(204, "");
    let refused = server.refresh(&there.refresh_token).await;
    refused.is_error(401, "token_revoked");
    let refused = ask(&server, &there, Method::GET, "/api/auth/me/", None).await;
    refused.is_error(401, "token_revoked");
    let challenge = &refused.headers["www-authenticate"];
    assert_eq!(challenge, "Bearer error=\"invalid_token\"");
    for unknown in [path.as_str(), "/api/auth/sessions/nothing/"] {
        let refused = ask(&server, &here, Method::DELETE, unknown, None).await;
        refused.is_error(404, "not_found");
    }
}

#[tokio::test]
async fn s9_1_nothing_is_told_or_done_without_a_token() {
    let server = server().await;
    let me = server.get("/api/auth/me/").await;
    me.is_error(401, "authentication_required");
    assert_eq!(me.headers["www-authenticate"], "Bearer");
    for path in ["/api/auth/logout/all/", "/api/auth/password/change/"] {
        let refused = server.post(path, json!({})).await;
        refused.is_error(401, "authentication_required");
    }
    let wrong = server
        .request(Method::PUT, "/api/auth/me/", None, None)
        .await;
    wrong.is_error(405, "method_not_allowed");
    assert_eq!(wrong.headers["allow"], "GET, HEAD");
}

#[tokio::test]
async fn s7_10_users_log_out_elsewhere_and_everywhere() {
    let server = server().await;
    let there = log_in(&server, PASSWORD).await;
    let here = log_in(&server, PASSWORD).await;
    let path = "/api/auth/logout/all/";
    let odd = Some(json!({"keep_current": "yes"}));
    let refused = ask(&server, &here, Method::POST, path, odd).await;
    refused.is_error(400, "validation_failed");
    let keep = Some(json!({"keep_current": true}));
    let ended = ask(&server, &here, Method::POST, path, keep).await;
    ended.is(204, "");
    let refused = server.refresh(&there.refresh_token).await;
    refused.is_error(401, "token_revoked");
    assert_eq!(sessions(&server, &here).await.len(), 1);

    let ended = ask(&server, &here, Method::POST, path, Some(json!({}))).await;
    ended.is(204, "");
    let refused = server.refresh(&here.refresh_token).await;
    refused.is_error(401, "token_revoked");
}

#[tokio::test]
async fn s7_10_a_new_password_ends_the_other_sessions() {
    let server = server().await;
    let there = log_in(&server, PASSWORD).await;
    let here = log_in(&server, PASSWORD).await;
    let path = "/api/auth/password/change/";
    let change = |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        ask(&server, &here, Method::POST, path, Some(body))
    };
    let wrong = change("a wrong password", OTHER_PASSWORD).await;
    wrong.is_error(401, "invalid_credentials");
    let weak = change(PASSWORD, "alice").await;
    weak.is_error(400, "validation_failed");
    assert!(weak.json()["errors"]["new_password"].is_array(), "{weak:?}");
    change(PASSWORD, OTHER_PASSWORD).await.is(204, "");

    let refused = server.refresh(&there.refresh_token).await;
    refused.is_error(401, "token_revoked");
    let kept = server.refresh(&here.refresh_token).await;
    assert_eq!(kept.status.as_u16(), 200);
    let refused = server.log_in("alice", PASSWORD).await;
    refused.is_error(401, "invalid_credentials");
    log_in(&server, OTHER_PASSWORD).await;
}
