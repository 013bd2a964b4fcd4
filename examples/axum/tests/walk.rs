//! Boots the application and walks through it, as its users do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use auth_core::testing::link_token;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

struct Application {
    child: Child,
    url: String,
}

impl Application {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_example-axum"))
            .arg(folder)
            .env("ADMIN_PASSWORD", PASSWORD)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let url = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .find_map(|line| {
                line.unwrap()
                    .strip_prefix("listening on ")
                    .map(str::to_owned)
            })
            .unwrap();
        Self { child, url }
    }

    async fn post(&self, path: &str, bearer: &str, body: Value) -> (u16, Value) {
        let request = Client::new()
            .post(format!("{}{path}", self.url))
            .json(&body);
        answer(request, bearer).await
    }

    async fn notes(&self, bearer: &str) -> (u16, String) {
        let mut request = Client::new().get(format!("{}/notes", self.url));
        if !bearer.is_empty() {
            request = request.bearer_auth(bearer);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn log_in(&self, username: &str) -> (u16, Value) {
        let body = json!({"username": username, "password": PASSWORD});
        self.post("/api/auth/token/", "", body).await
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn answer(mut request: RequestBuilder, bearer: &str) -> (u16, Value) {
    if !bearer.is_empty() {
        request = request.bearer_auth(bearer);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Waits for the only mail.
fn mailed_token(outbox: &Path) -> String {
    loop {
        let mails = std::fs::read_dir(outbox).into_iter().flatten();
        let mut mails = mails.map(|entry| entry.unwrap().path());
        if let Some(mail) = mails.find(|path| path.extension().is_some_and(|e| e == "eml")) {
            let text = std::fs::read_to_string(mail).unwrap();
            // Undoes quoted-printable as far as the link goes.
            let text = text.replace("=\r\n", "").replace("=3D", "=");
            return link_token(&text).unwrap().to_owned();
        }
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_user_is_registered_logs_in_and_reads_the_notes() {
    let folder = tempfile::tempdir().unwrap();
    let application = Application::start(folder.path());
    let (status, refusal) = application.notes("").await;
    assert_eq!(status, 401);
    assert!(refusal.contains("authentication_required"), "{refusal}");

    let (_, admin) = application.log_in("admin").await;
    let access_token = admin["access_token"].as_str().unwrap();
    let (status, notes) = application.notes(access_token).await;
    assert_eq!(status, 200);
    assert!(notes.ends_with("here are all notes"), "{notes}");

    let alice = json!({"username": "alice", "password": PASSWORD, "email": "alice@example.org"});
    let (status, answer) = application
        .post("/api/register/", access_token, alice)
        .await;
    assert_eq!(
        (status, answer),
        (201, json!({"is_error": 0, "message": "success"}))
    );
    let token = mailed_token(&folder.path().join("outbox"));
    let (status, _) = application
        .post("/api/register/verify/", "", json!({"token": token}))
        .await;
    assert_eq!(status, 200);

    let (_, alice) = application.log_in("alice").await;
    let (_, notes) = application
        .notes(alice["access_token"].as_str().unwrap())
        .await;
    assert!(notes.ends_with("here are your own notes"), "{notes}");
    let (status, refusal) = application.notes("not.a.token").await;
    assert_eq!(status, 401);
    assert!(refusal.contains("token_invalid"), "{refusal}");
}
