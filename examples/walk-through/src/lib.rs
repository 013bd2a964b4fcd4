//! Boots an example as a process and uses it as its users do, over HTTP.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::path::Path;
use std::process::Stdio;

use auth_core::testing::MailedLink;
use mail_parser::MessageParser;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What a caller of the protected part of an example gets.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests compare whole answers")]
pub enum Answer {
    /// The answer is for a caller who is known.
    Welcome(String),
    /// The caller has to log in first.
    Unauthenticated,
}

/// An example that runs in a folder of its own, until this value is dropped.
#[derive(Debug)]
pub struct App {
    /// Where it listens.
    pub url: String,
    admin_password: String,
    folder: TempDir,
    // Killed when it is dropped.
    _process: Child,
}

impl App {
    /// Starts the program, and waits until it listens.
    pub async fn boot(program: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(program)
            .current_dir(folder.path())
            .env("BIND", "127.0.0.1:0")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let admin = lines.next_line().await.unwrap().unwrap();
        let listening = lines.next_line().await.unwrap().unwrap();
        let after = |line: &str, start| line.strip_prefix(start).unwrap().to_owned();
        Self {
            url: after(&listening, "listening on "),
            admin_password: after(&admin, "superuser: admin password: "),
            folder,
            _process: process,
        }
    }

    /// Asks for a page.
    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let request = Client::new().get(format!("{}{path}", self.url));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.unwrap();
        match response.status().as_u16() {
            200 => Answer::Welcome(response.text().await.unwrap()),
            401 => Answer::Unauthenticated,
            other => panic!("{path}: {other}"),
        }
    }

    /// Registers a user, who verifies the address, logs in, refreshes and logs out; between these
    /// steps `protected` asks for what only users get, with the access token of the moment.
    pub async fn walk_through(&self, protected: impl AsyncFn(Option<&str>) -> Answer) {
        assert_eq!(protected(None).await, Answer::Unauthenticated);
        assert_eq!(protected(Some("forged")).await, Answer::Unauthenticated);

        let admin = self.log_in("admin", &self.admin_password).await;
        let admin = text(&admin.1, "access_token");
        let alice = json!({
            "username": "alice", "password": "correct horse battery", "email": "alice@example.org",
        });
        let register = self.post("/api/register/", &alice).bearer_auth(admin);
        let registered = json!({"is_error": 0, "message": "success"});
        assert_eq!(answer(register).await, (201, registered.clone()));
        let too_early = self.log_in("alice", "correct horse battery").await;
        assert_eq!(text(&too_early.1, "code"), "email_not_verified");

        let link = self.mailed_link().await;
        assert!(link.url.starts_with(&self.url), "{}", link.url);
        let page = self.get(&link.path_and_query, None).await;
        assert!(matches!(&page, Answer::Welcome(page) if page.contains(&link.token)));
        let verify = self.post("/api/register/verify/", &json!({"token": link.token}));
        assert_eq!(answer(verify).await, (200, registered));

        let (_, tokens) = self.log_in("alice", "correct horse battery").await;
        let access_token = text(&tokens, "access_token");
        assert_ne!(protected(Some(access_token)).await, Answer::Unauthenticated);

        let refresh_token = json!({"refresh_token": text(&tokens, "refresh_token")});
        let refresh = || answer(self.post("/api/auth/token/refresh/", &refresh_token));
        let (_, refreshed) = refresh().await;
        let refreshed = text(&refreshed, "access_token");
        assert_ne!(protected(Some(refreshed)).await, Answer::Unauthenticated);

        let log_out = self.post("/api/auth/logout/", &refresh_token);
        let logged_out = json!({"message": "Successfully logged out."});
        assert_eq!(answer(log_out).await, (200, logged_out));
        let (status, refused) = refresh().await;
        assert_eq!((status, text(&refused, "code")), (401, "token_revoked"));
        assert_eq!(protected(Some(refreshed)).await, Answer::Unauthenticated);
    }

    async fn log_in(&self, username: &str, password: &str) -> (u16, Value) {
        let body = json!({"username": username, "password": password});
        answer(self.post("/api/auth/token/", &body)).await
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        Client::new().post(format!("{}{path}", self.url)).json(body)
    }

    /// The link in the first mail, once there is one.
    async fn mailed_link(&self) -> MailedLink {
        let outbox = self.folder.path().join("auth-data/outbox");
        let mail = loop {
            match mail_in(&outbox) {
                Some(mail) => break mail,
                None => tokio::task::yield_now().await,
            }
        };
        let mail = MessageParser::default().parse(&mail).unwrap();
        MailedLink::find(&mail.body_text(0).unwrap()).unwrap()
    }
}

fn mail_in(outbox: &Path) -> Option<Vec<u8>> {
    let mut files = fs::read_dir(outbox)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mail = files.find(|file| file.extension().is_some_and(|it| it == "eml"));
    mail.map(|mail| fs::read(mail).unwrap())
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap()
}
