//! What the connections ask for. Each script checks status and shape of every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, Response};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;

use crate::Outcome;
use crate::generator::Script;

const ACCESS_TOKEN: &str = r#"{"access_token":""#;

fn request(method: Method, path: &str, bearer: Option<&str>, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost");
    if let Some(bearer) = bearer {
        request = request.header(AUTHORIZATION, bearer);
    }
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    request
        .body(Full::new(body))
        .expect("method, path and headers are well-formed")
}

fn post(path: &str, body: &serde_json::Value) -> Request<Full<Bytes>> {
    request(Method::POST, path, None, body.to_string().into())
}

fn expect(answer: &Response<Bytes>, status: u16, start: &str) -> Outcome<()> {
    if answer.status().as_u16() == status && answer.body().starts_with(start.as_bytes()) {
        return Ok(());
    }
    Err(wrong(answer))
}

fn wrong(answer: &Response<Bytes>) -> Box<dyn std::error::Error + Send + Sync> {
    let body = String::from_utf8_lossy(answer.body());
    format!("unexpected answer {}: {body}", answer.status()).into()
}

/// Takes one after the other of what several connections share.
#[derive(Clone, Debug)]
pub(crate) struct Supply<T> {
    items: Arc<[T]>,
    next: Arc<AtomicUsize>,
}

impl<T: Clone> Supply<T> {
    pub(crate) fn new(items: impl Into<Arc<[T]>>) -> Self {
        Self {
            items: items.into(),
            next: Arc::default(),
        }
    }

    /// The next item, once.
    fn take(&self) -> Option<T> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.items.get(next).cloned()
    }

    /// The next item, again from the start after the last.
    fn cycle(&self) -> Option<T> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.items.get(next % self.items.len().max(1)).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// So many items, from this one on.
    pub(crate) fn part(&self, start: usize, count: usize) -> Vec<T> {
        self.items.iter().skip(start).take(count).cloned().collect()
    }
}

/// Logs in, as one user after the other.
#[derive(Clone)]
pub(crate) struct LogIn {
    pub(crate) usernames: Supply<String>,
    pub(crate) password: &'static str,
}

impl Script for LogIn {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        let username = self.usernames.cycle()?;
        let body = json!({"username": username, "password": self.password});
        Some(post("/api/auth/token/", &body))
    }

    fn check(&mut self, answer: &Response<Bytes>) -> Outcome<()> {
        expect(answer, 200, ACCESS_TOKEN)
    }
}

/// Logs in, and takes a 503 for an answer; then it waits, as it was told, but not for as long.
pub(crate) struct Flood {
    pub(crate) log_in: LogIn,
    pub(crate) served: Arc<AtomicUsize>,
    pub(crate) shed: Arc<AtomicUsize>,
}

impl Script for Flood {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        self.log_in.next()
    }

    fn check(&mut self, answer: &Response<Bytes>) -> Outcome<()> {
        if answer.status() == 503 && answer.headers().contains_key("retry-after") {
            self.shed.fetch_add(1, Ordering::Relaxed);
            return expect(answer, 503, r#"{"is_error":1,"code":"overloaded""#);
        }
        self.served.fetch_add(1, Ordering::Relaxed);
        self.log_in.check(answer)
    }
}

/// Refreshes, with one token after the other.
#[derive(Clone)]
pub(crate) struct Refresh {
    pub(crate) tokens: Supply<String>,
}

impl Script for Refresh {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        let body = json!({"refresh_token": self.tokens.cycle()?});
        Some(post("/api/auth/token/refresh/", &body))
    }

    fn check(&mut self, answer: &Response<Bytes>) -> Outcome<()> {
        expect(answer, 200, ACCESS_TOKEN)
    }
}

/// Refreshes with rotation: each of the connection's sessions in turn, with the token got last.
pub(crate) struct Rotate {
    tokens: Vec<String>,
    current: usize,
}

#[derive(Deserialize)]
struct Rotated {
    #[serde(rename = "access_token")]
    _access_token: String,
    refresh_token: String,
}

impl Rotate {
    pub(crate) fn new(tokens: Vec<String>) -> Self {
        Self { tokens, current: 0 }
    }
}

impl Script for Rotate {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        self.current = (self.current + 1) % self.tokens.len().max(1);
        let body = json!({"refresh_token": self.tokens.get(self.current)?});
        Some(post("/api/auth/token/refresh/", &body))
    }

    fn check(&mut self, answer: &Response<Bytes>) -> Outcome<()> {
        expect(answer, 200, ACCESS_TOKEN)?;
        let rotated: Rotated = serde_json::from_slice(answer.body())?;
        if let Some(token) = self.tokens.get_mut(self.current) {
            *token = rotated.refresh_token;
        }
        Ok(())
    }
}

/// Refreshes with a token that somebody made up.
#[derive(Clone)]
pub(crate) struct Forged {
    pub(crate) token: String,
}

impl Script for Forged {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        let body = json!({"refresh_token": self.token});
        Some(post("/api/auth/token/refresh/", &body))
    }

    fn check(&mut self, answer: &Response<Bytes>) -> Outcome<()> {
        expect(answer, 401, r#"{"is_error":1,"code":"token_invalid""#)
    }
}

/// Logs out, each token once.
#[derive(Clone)]
pub(crate) struct LogOut {
    pub(crate) tokens: Supply<String>,
}

impl Script for LogOut {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        let body = json!({"refresh_token": self.tokens.take()?});
        Some(post("/api/auth/logout/", &body))
    }

    fn check(&mut self, answer: &Response<Bytes>) -> Outcome<()> {
        expect(answer, 200, r#"{"message":"Successfully logged out."}"#)
    }
}

/// Registers users as a superuser.
#[derive(Clone)]
pub(crate) struct Register {
    pub(crate) bearer: String,
    pub(crate) number: Arc<AtomicUsize>,
    pub(crate) password: &'static str,
}

impl Script for Register {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let body = json!({
            "username": format!("new-{number}"),
            "password": self.password,
            "email": format!("new-{number}@example.org"),
        });
        let body = body.to_string().into();
        Some(request(
            Method::POST,
            "/api/register/",
            Some(&self.bearer),
            body,
        ))
    }

    fn check(&mut self, answer: &Response<Bytes>) -> Outcome<()> {
        expect(answer, 201, r#"{"is_error":0,"message":"success"}"#)
    }
}

/// Fetches something, with a bearer token or without.
#[derive(Clone)]
pub(crate) struct Fetch {
    pub(crate) path: &'static str,
    pub(crate) bearer: Option<String>,
    /// How the answer begins.
    pub(crate) start: &'static str,
}

impl Script for Fetch {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        Some(request(
            Method::GET,
            self.path,
            self.bearer.as_deref(),
            Bytes::new(),
        ))
    }

    fn check(&mut self, answer: &Response<Bytes>) -> Outcome<()> {
        expect(answer, 200, self.start)
    }
}

/// Does what another script does, as often as all connections together are to.
pub(crate) struct Counted<S> {
    script: S,
    left: Supply<()>,
}

impl<S> Counted<S> {
    pub(crate) fn new(script: S, left: Supply<()>) -> Self {
        Self { script, left }
    }
}

impl<S: Script> Script for Counted<S> {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        self.left.take().and_then(|()| self.script.next())
    }

    fn check(&mut self, answer: &Response<Bytes>) -> Outcome<()> {
        self.script.check(answer)
    }
}

/// Of a thousand requests: 850 of the caller's account, 140 refreshes, 5 logins, 5 logouts.
pub(crate) struct Mix {
    pub(crate) account: Fetch,
    pub(crate) refresh: Refresh,
    pub(crate) log_in: LogIn,
    pub(crate) log_out: LogOut,
    pub(crate) turn: usize,
}

impl Mix {
    /// A part is spread over the thousand, and does not come in a row.
    fn part(&mut self) -> &mut dyn Script {
        match (self.turn * 617) % 1000 {
            0..850 => &mut self.account,
            850..990 => &mut self.refresh,
            990..995 => &mut self.log_in,
            _ => &mut self.log_out,
        }
    }
}

impl Script for Mix {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        self.turn += 1;
        self.part().next()
    }

    fn check(&mut self, answer: &Response<Bytes>) -> Outcome<()> {
        self.part().check(answer)
    }
}
