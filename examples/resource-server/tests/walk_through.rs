//! Boots the service beside an issuer and uses both as their users do.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use auth_core::signature::{Algorithm, PrivateKey};
use auth_core::store::SqliteStore;
use auth_core::{Bootstrap, Engine, JwtKeys, Password, Registration, SecretKey, SecretKeys};
use auth_tower::AuthApi;
use axum::Router;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

const PASSWORD: &str = "correct horse battery";

/// The login server, which signs with a private key.
struct Issuer {
    engine: Engine,
    url: String,
}

impl Issuer {
    async fn start(folder: &Path, key: PrivateKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let store = SqliteStore::open(folder.join("auth.sqlite3"))
            .await
            .unwrap();
        store.migrate().await.unwrap();
        let secrets = SecretKeys::new(SecretKey::generate().unwrap());
        let engine = Engine::builder(Arc::new(store), secrets, JwtKeys::asymmetric(key));
        let engine = engine.with_public_url(&url).build().unwrap();
        let admin = Registration::new("admin", Password::new(PASSWORD), "admin@example.org");
        let created = engine.create_superuser(admin, Bootstrap::FirstSuperuser);
        created.await.unwrap().unwrap();
        let api = AuthApi::new(Arc::new(engine.clone()), engine.access_token_verifier());
        let routes = Router::new().fallback_service(api);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { engine, url }
    }

    async fn log_in(&self) -> String {
        let body = json!({"username": "admin", "password": PASSWORD});
        let request = Client::new().post(format!("{}/api/auth/token/", self.url));
        let answer: Value = request
            .json(&body)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let token = answer.get("access_token").unwrap();
        token.as_str().unwrap().to_owned()
    }
}

/// The service, which is killed when the test ends.
struct Service {
    _process: Child,
    url: String,
    said: Vec<String>,
}

impl Service {
    async fn boot(issuer: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_example-resource-server"))
            .env("BIND", "127.0.0.1:0")
            .env("ISSUER", issuer)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let url = loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some(url) = line.strip_prefix("listening on ") {
                break url.to_owned();
            }
            said.push(line);
        };
        Self {
            _process: process,
            url,
            said,
        }
    }

    async fn get(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let mut request = Client::new().get(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::EdDsa).unwrap()
}

#[tokio::test]
async fn the_issuers_tokens_are_good_at_a_service_that_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::start(folder.path(), key()).await;
    let service = Service::boot(&issuer.url).await;
    assert!(service.said.is_empty(), "{:?}", service.said);

    let (status, text) = service.get("/", None).await;
    assert_eq!((status, text.as_str()), (200, "Hello, everybody.\n"));
    let (status, text) = service.get("/me", None).await;
    assert!(
        status == 401 && text.contains("authentication_required"),
        "{text}"
    );

    let token = issuer.log_in().await;
    let (status, text) = service.get("/me", Some(&token)).await;
    assert!(status == 200 && text.starts_with("Hello, user "), "{text}");
    let (status, text) = service.get("/reports", Some(&token)).await;
    assert_eq!((status, text.as_str()), (200, "All reports.\n"));

    // Signed by a key that the issuer never published.
    issuer.engine.replace_jwt_keys(&JwtKeys::asymmetric(key()));
    let stolen = issuer.log_in().await;
    let (status, text) = service.get("/me", Some(&stolen)).await;
    assert!(status == 401 && text.contains("token_invalid"), "{text}");
}

#[tokio::test]
async fn the_service_starts_without_its_issuer_and_refuses_everybody() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let service = Service::boot(&url).await;
    assert!(
        service.said.concat().contains("no keys yet"),
        "{:?}",
        service.said
    );
    assert_eq!(service.get("/", None).await.0, 200);
    assert_eq!(service.get("/me", Some("a.b.c")).await.0, 401);
}
