//! The JWKS client against an issuer over sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::signature::{Algorithm, PrivateKey};
use auth_core::{AccessTokenVerifier, JwtKeys, SystemClock, VerifyingKeys};
use auth_tower::jwks::{JwksClient, JwksClientError};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpListener;
use tokio::sync::watch;

const HOUR: Duration = Duration::from_secs(3600);

/// An issuer that answers what it is told to, and counts how often it is asked.
#[derive(Clone)]
struct Issuer {
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: watch::Sender<u32>,
    unmodified: Arc<AtomicU32>,
    url: Arc<str>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let issuer = Self {
            answer: Arc::new(Mutex::new((StatusCode::OK, String::new()))),
            asked: watch::Sender::new(0),
            unmodified: Arc::default(),
            url: url.into(),
        };
        let routes = Router::new().route("/jwks.json", get(jwks));
        let routes = routes.with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        issuer
    }

    fn answers(&self, status: u16, body: impl Into<String>) {
        let status = StatusCode::from_u16(status).unwrap();
        *self.answer.lock().unwrap() = (status, body.into());
    }

    fn publishes(&self, keys: &[&PrivateKey]) {
        self.answers(200, document(keys));
    }

    fn client(&self) -> JwksClient {
        JwksClient::new(&self.url, Algorithm::EdDsa).unwrap()
    }

    async fn was_asked(&self, times: u32) {
        let mut asked = self.asked.subscribe();
        asked.wait_for(|asked| *asked >= times).await.unwrap();
    }
}

async fn jwks(State(issuer): State<Issuer>, headers: HeaderMap) -> Response {
    let (status, body) = issuer.answer.lock().unwrap().clone();
    issuer.asked.send_modify(|asked| *asked += 1);
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("\"{}\"", hasher.finish());
    let known = headers.get(header::IF_NONE_MATCH);
    if status == StatusCode::OK && known.is_some_and(|known| known == &tag) {
        issuer.unmodified.fetch_add(1, Ordering::Relaxed);
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let location = [
        (header::ETAG, tag),
        (header::LOCATION, "/jwks.json".to_owned()),
    ];
    (status, location, body).into_response()
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::EdDsa).unwrap()
}

fn document(keys: &[&PrivateKey]) -> String {
    let (first, rest) = keys.split_first().unwrap();
    let ring = rest
        .iter()
        .fold(JwtKeys::asymmetric((*first).clone()), |ring, key| {
            ring.add_public_key(key.public_key().clone()).unwrap()
        });
    VerifyingKeys::from(&ring).jwks().document.to_string()
}

/// A token that names a key, and is signed by nobody.
fn forged(key_id: &str) -> String {
    let header = format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{key_id}"}}"#);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(&header), part("{}"), part("signature"))
}

fn verifier(client: &JwksClient) -> AccessTokenVerifier {
    AccessTokenVerifier::new(client.keys(), "issuer", "audience", Arc::new(SystemClock))
}

#[tokio::test]
async fn keys_are_fetched_and_not_again_where_they_are_the_same() {
    let (issuer, one, two) = (Issuer::start().await, key(), key());
    let client = issuer.client();
    assert!(client.keys().key_ids().is_empty());
    issuer.publishes(&[&one]);
    client.fetch().await.unwrap();
    assert_eq!(issuer.unmodified.load(Ordering::Relaxed), 0);
    client.fetch().await.unwrap();
    assert_eq!(issuer.unmodified.load(Ordering::Relaxed), 1);
    assert_eq!(client.keys().key_ids(), [one.public_key().id()]);
    issuer.publishes(&[&two, &one]);
    client.fetch().await.unwrap();
    let ids = [two.public_key().id(), one.public_key().id()];
    assert_eq!(client.keys().key_ids(), ids);
}

#[tokio::test]
async fn keys_stay_while_the_issuer_is_away_or_answers_nonsense() {
    let (issuer, one, other) = (Issuer::start().await, key(), key());
    let client = issuer.client();
    issuer.publishes(&[&one]);
    client.fetch().await.unwrap();
    let good = document(&[&other]);
    let long = format!("{}{good}", " ".repeat(256 * 1024));
    for (status, body) in [
        (500, good.as_str()),
        (204, ""),
        (302, &good),
        (200, ""),
        (200, "{}"),
        (200, r#"{"keys":[]}"#),
        (200, &long),
    ] {
        issuer.answers(status, body);
        assert!(client.fetch().await.is_err(), "{status} {body}");
        assert_eq!(client.keys().key_ids(), [one.public_key().id()]);
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", nobody.local_addr().unwrap());
    drop(nobody);
    let client = JwksClient::new(&url, Algorithm::EdDsa).unwrap();
    let error = client.fetch().await.unwrap_err();
    assert!(matches!(error, JwksClientError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn an_unknown_key_is_fetched() {
    let (issuer, one, two) = (Issuer::start().await, key(), key());
    issuer.publishes(&[&one]);
    let client = issuer
        .client()
        .with_min_interval(Duration::ZERO)
        .with_interval(HOUR);
    let (verifier, keys) = (verifier(&client), client.keys().clone());
    let running = tokio::spawn(client.run(std::future::pending()));
    issuer.was_asked(1).await;
    issuer.publishes(&[&one, &two]);
    // Asked for as long as it takes: the first answer may not have been read yet.
    while keys.key_ids().len() < 2 {
        assert!(verifier.verify(&forged(two.public_key().id())).is_err());
        tokio::task::yield_now().await;
    }
    running.abort();
}

#[tokio::test]
async fn made_up_key_ids_do_not_press_the_issuer() {
    let (issuer, one) = (Issuer::start().await, key());
    issuer.publishes(&[&one]);
    let client = issuer
        .client()
        .with_min_interval(HOUR)
        .with_interval(2 * HOUR);
    let (verifier, keys) = (verifier(&client), client.keys().clone());
    let running = tokio::spawn(client.run(std::future::pending()));
    while keys.key_ids().is_empty() {
        tokio::task::yield_now().await;
    }
    for number in 0..1_000 {
        assert!(verifier.verify(&forged(&number.to_string())).is_err());
        tokio::task::yield_now().await;
    }
    // Another fetch comes and goes, and still nobody else has asked.
    issuer.client().fetch().await.unwrap();
    assert_eq!(*issuer.asked.borrow(), 2);
    running.abort();
}

#[tokio::test]
async fn an_issuer_that_comes_late_is_found() {
    let (issuer, one) = (Issuer::start().await, key());
    issuer.answers(503, "");
    let client = issuer
        .client()
        .with_min_interval(Duration::ZERO)
        .with_interval(HOUR);
    let keys = client.keys().clone();
    let running = tokio::spawn(client.run(std::future::pending()));
    issuer.was_asked(3).await;
    issuer.publishes(&[&one]);
    while keys.key_ids().is_empty() {
        tokio::task::yield_now().await;
    }
    running.abort();
}

#[test]
fn keys_come_over_tls_or_from_this_machine() {
    let new = |url: &str| JwksClient::new(url, Algorithm::EdDsa);
    for url in [
        "https://auth.example.org/.well-known/jwks.json",
        "http://127.0.0.1:8000/jwks",
        "http://127.9.9.9/jwks",
        "http://[::1]:8000/jwks",
        "http://localhost:8000/jwks",
    ] {
        assert!(new(url).is_ok(), "{url}");
    }
    for url in [
        "",
        "auth.example.org",
        "http://auth.example.org/jwks",
        "http://127.0.0.1.example.org/jwks",
        "http://localhost.example.org/jwks",
        "http://10.0.0.1/jwks",
        "ftp://127.0.0.1/jwks",
        "file:///etc/passwd",
    ] {
        assert!(matches!(new(url), Err(JwksClientError::Url)), "{url}");
    }
    let shown = format!(
        "{:?}",
        new("https://user:hunter2@auth.example.org/").unwrap()
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}
