//! The server as a process, and a client to talk to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

#[path = "../../../auth-tower/tests/support/described.rs"]
mod described;
pub mod gate;
pub mod mail;
pub mod raw;

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use auth_core::testing::postgres::TemporaryDatabase;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const PASSWORD: &str = "correct horse battery";
pub const SECRETS: [(&str, &str); 2] = [
    ("SECRET_KEY", "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0"),
    ("JWT_SECRET_KEY", "Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg"),
];

/// A command of the server, with no environment but the given one.
pub fn command(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auth-server"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command(folder, arguments, variables).output().unwrap()
}

/// A running server, killed when dropped.
pub struct Server {
    child: Child,
    folder: Arc<TempDir>,
    address: String,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<()>>,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server in a fresh folder.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), variables)
    }

    /// Starts a server in a folder, and waits until it listens.
    pub fn start_in(folder: Arc<TempDir>, variables: &[(&str, &str)]) -> Self {
        let mut all = vec![("AUTH_BIND", "127.0.0.1:0"), ("AUTH_THROTTLE", "off")];
        all.extend(variables);
        let mut child = command(folder.path(), &[], &all).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let address = loop {
            let Some(line) = stderr.next() else {
                panic!("the server did not start:\n{log}")
            };
            let line = line.unwrap();
            if let Some(address) = line.strip_prefix("listening on ") {
                break address.to_owned();
            }
            log.push_str(&line);
            log.push('\n');
        };
        let log = Arc::new(Mutex::new(log));
        let rest = Arc::clone(&log);
        let stderr = std::thread::spawn(move || {
            for line in stderr {
                let mut log = rest.lock().unwrap();
                log.push_str(&line.unwrap());
                log.push('\n');
            }
        });
        let mut stdout = child.stdout.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut said = String::new();
            stdout.read_to_string(&mut said).unwrap();
            said
        });
        Self {
            child,
            folder,
            address,
            stdout: Some(stdout),
            stderr: Some(stderr),
            log,
        }
    }

    pub fn folder(&self) -> Arc<TempDir> {
        Arc::clone(&self.folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Where health and metrics are, if the server tells.
    pub fn observe_url(&self, path: &str) -> Option<String> {
        let log = self.log();
        let mut lines = log.lines();
        let address = lines.find_map(|line| line.strip_prefix("observing on "))?;
        Some(format!("{address}{path}"))
    }

    pub fn socket_address(&self) -> &str {
        self.address.split_once("://").unwrap().1
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process at once, as a power failure would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the process to stop; gives how it ended, and what it wrote to output and log.
    pub fn stop(mut self) -> (ExitStatus, String, String) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let status = self.child.wait().unwrap();
        let stdout = self.stdout.take().unwrap().join().unwrap();
        self.stderr.take().unwrap().join().unwrap();
        let log = self.log.lock().unwrap().clone();
        (status, stdout, log)
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request(Method::POST, path, None, Some(body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, None, None).await
    }

    pub async fn request(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let asked = method.clone();
        let mut request = Client::new().request(method, self.url(path));
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        answer.is_described(asked.as_str(), path);
        answer
    }

    /// Presses the button of a page, as a browser does.
    pub async fn press(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = Client::new()
            .post(self.url(path))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap())
    }

    pub async fn log_in(&self, username: &str, password: &str) -> Answer {
        self.post(
            "/api/auth/token/",
            json!({"username": username, "password": password}),
        )
        .await
    }

    pub async fn register(&self, bearer: &str, username: &str) -> Answer {
        let body = json!({
            "username": username, "password": PASSWORD, "email": format!("{username}@example.org"),
        });
        self.request(Method::POST, "/api/register/", Some(bearer), Some(body))
            .await
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.post("/api/auth/token/refresh/", json!({"refresh_token": token}))
            .await
    }

    pub async fn log_out(&self, token: &str) -> Answer {
        self.post("/api/auth/logout/", json!({"refresh_token": token}))
            .await
    }

    pub async fn verify(&self, token: &str) -> Answer {
        self.post("/api/register/verify/", json!({"token": token}))
            .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    /// Fails unless `docs/openapi.json` knows answers like this to requests like that.
    #[track_caller]
    pub fn is_described(&self, method: &str, path: &str) {
        let content_type = self.headers.get("content-type");
        let content_type = content_type.map_or("", |value| value.to_str().unwrap());
        described::check(method, path, self.status.as_u16(), content_type, &self.body);
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The text of a member of the body.
    #[track_caller]
    pub fn text(&self, member: &str) -> String {
        let body = self.json();
        body.get(member)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no {member} in {self:?}"))
            .to_owned()
    }

    #[track_caller]
    pub fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status.as_u16(), self.body.as_str()), (status, body));
    }

    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status.as_u16(), self.text("code").as_str()),
            (status, code),
            "{self:?}"
        );
    }
}

/// A server on an empty embedded database, with the password that the first start printed.
pub struct Embedded {
    pub server: Server,
    pub password: String,
}

impl Embedded {
    /// Starts twice: the first start's output is read when it ends.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        let first = Server::start(variables);
        let folder = first.folder();
        let (status, stdout, log) = first.stop();
        assert!(status.success(), "{log}");
        let password = stdout
            .lines()
            .find_map(|line| line.strip_prefix("superuser: admin password: "))
            .unwrap_or_else(|| panic!("no password in {stdout}"))
            .to_owned();
        Self {
            server: Server::start_in(folder, variables),
            password,
        }
    }

    pub async fn superuser_token(&self) -> String {
        self.server
            .log_in("admin", &self.password)
            .await
            .text("access_token")
    }
}

/// A server on a PostgreSQL of its own, with the superuser `op` and mails in the folder `outbox`.
pub struct Production {
    pub server: Server,
    pub database: TemporaryDatabase,
    /// What it was started with.
    pub variables: Vec<(String, String)>,
}

impl Production {
    /// Migrates the database and makes the superuser, by the commands of the server.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let database = TemporaryDatabase::create().await;
        let mut all = vec![
            ("DATABASE_URL", database.url()),
            ("AUTH_MAIL", "folder:outbox"),
            ("AUTH_SUPERUSER_PASSWORD", PASSWORD),
        ];
        all.extend(SECRETS);
        all.extend(variables);
        let folder = tempfile::tempdir().unwrap();
        let create = "createsuperuser --username op --email op@example.org --noinput";
        for arguments in ["migrate", create] {
            let arguments: Vec<_> = arguments.split(' ').collect();
            assert!(run(folder.path(), &arguments, &all).status.success());
        }
        let server = Server::start_in(Arc::new(folder), &all);
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            server,
            variables: all.into_iter().map(owned).collect(),
            database,
        }
    }
}

/// Makes a test of each case for each database, with the `Case` of the test program.
#[allow(unused_macros, reason = "each test program uses its part")]
macro_rules! on_each_database {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(super::Case::sqlite().await).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(super::Case::postgres().await).await;
                }
            )*
        }
    };
}

#[allow(unused_imports, reason = "each test program uses its part")]
pub(crate) use on_each_database;
