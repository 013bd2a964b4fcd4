//! Boots the application and uses it as its users do.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::Stdio;

use auth_core::testing::link_token;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

struct App {
    // Killed when the test ends.
    _process: Child,
    url: String,
    admin_password: String,
}

async fn boot(folder: &Path) -> App {
    let mut process = Command::new(env!("CARGO_BIN_EXE_example-axum"))
        .current_dir(folder)
        .env("BIND", "127.0.0.1:0")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let admin = lines.next_line().await.unwrap().unwrap();
    let listening = lines.next_line().await.unwrap().unwrap();
    App {
        _process: process,
        url: listening.strip_prefix("listening on ").unwrap().to_owned(),
        admin_password: admin
            .strip_prefix("superuser: admin password: ")
            .unwrap()
            .to_owned(),
    }
}

impl App {
    async fn get(&self, path: &str, token: &str) -> Response {
        let request = Client::new().get(format!("{}{path}", self.url));
        request.bearer_auth(token).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        let request = Client::new().post(format!("{}{path}", self.url));
        request.json(body).send().await.unwrap()
    }

    async fn log_in(&self, username: &str, password: &str) -> Response {
        let body = json!({"username": username, "password": password});
        self.post("/api/auth/token/", &body).await
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap()
}

/// The token of the first mail in the folder, once there is one.
async fn mailed_token(folder: &Path) -> String {
    loop {
        let mails = std::fs::read_dir(folder.join("outbox")).unwrap();
        let mut mails = mails.map(|entry| entry.unwrap().path());
        if let Some(mail) = mails.find(|path| path.extension().is_some_and(|e| e == "eml")) {
            let mail = std::fs::read_to_string(mail).unwrap();
            // Undoes the soft line breaks and the one escape that a link needs.
            let mail = mail.replace("=\r\n", "").replace("=3D", "=");
            return link_token(&mail).unwrap().to_owned();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_user_is_registered_verifies_logs_in_and_logs_out() {
    let folder = tempfile::tempdir().unwrap();
    let app = boot(folder.path()).await;

    let everybody = Client::new().get(&app.url).send().await.unwrap();
    assert_eq!(everybody.text().await.unwrap(), "Hello, everybody.\n");
    let stranger = Client::new().get(format!("{}/me", app.url)).send().await;
    assert_eq!(stranger.unwrap().status(), 401);
    assert_eq!(app.get("/me", "forged").await.status(), 401);

    let admin: Value = app
        .log_in("admin", &app.admin_password)
        .await
        .json()
        .await
        .unwrap();
    let user = json!({
        "username": "alice",
        "password": "correct horse battery",
        "email": "alice@example.org",
    });
    let registered = Client::new()
        .post(format!("{}/api/register/", app.url))
        .bearer_auth(text(&admin, "access_token"))
        .json(&user)
        .send()
        .await
        .unwrap();
    assert_eq!(registered.status(), 201);
    assert_eq!(
        registered.text().await.unwrap(),
        r#"{"is_error":0,"message":"success"}"#
    );

    let unverified = app.log_in("alice", "correct horse battery").await;
    assert_eq!(unverified.status(), 403);
    let token = mailed_token(folder.path()).await;
    let page = Client::new().get(format!("{}/api/register/verify/?token={token}", app.url));
    assert!(
        page.send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains(&token)
    );
    let verified = app
        .post("/api/register/verify/", &json!({"token": token}))
        .await;
    assert_eq!(verified.status(), 200);

    let alice: Value = app
        .log_in("alice", "correct horse battery")
        .await
        .json()
        .await
        .unwrap();
    let me = app.get("/me", text(&alice, "access_token")).await;
    assert_eq!(me.status(), 200);
    assert!(me.text().await.unwrap().starts_with("Hello, user "));

    let refresh = json!({"refresh_token": text(&alice, "refresh_token")});
    let refreshed: Value = app
        .post("/api/auth/token/refresh/", &refresh)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        app.get("/me", text(&refreshed, "access_token"))
            .await
            .status(),
        200
    );
    let logged_out = app.post("/api/auth/logout/", &refresh).await;
    assert_eq!(
        logged_out.text().await.unwrap(),
        r#"{"message":"Successfully logged out."}"#
    );
    let revoked = app.post("/api/auth/token/refresh/", &refresh).await;
    assert_eq!(revoked.status(), 401);
    let revoked: Value = revoked.json().await.unwrap();
    assert_eq!(text(&revoked, "code"), "token_revoked");
}
