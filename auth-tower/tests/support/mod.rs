//! A service that does what the test says, and whole answers as text.
#![allow(dead_code, reason = "each test binary uses its part")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod described;

use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use auth_core::{
    AccessToken, AccessTokenVerifier, AuthError, AuthService, JwtKeys, Login, Principal,
    RefreshToken, Refreshed, Registration, RequestContext, SecretKey, SessionId, Superuser,
    SystemClock, Timestamp, TokenPair, UserId,
};
use auth_tower::AuthApi;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;
use uuid::Uuid;

/// The headers that every answer of ours has, in the order of their names.
pub(crate) const COMMON: [(&str, &str); 4] = [
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

/// Answers with what it is told to, and remembers what it was asked.
#[derive(Debug)]
pub(crate) struct Scripted {
    /// What asking for a superuser gives.
    pub(crate) superuser: fn() -> Result<(), AuthError>,
    /// What every other use case gives.
    pub(crate) outcome: fn() -> Result<(), AuthError>,
    /// Whether only a restart would help.
    pub(crate) is_lost: bool,
    /// The token that a refresh answers with, if rotation is on.
    pub(crate) next_refresh_token: Option<&'static str>,
    /// What it was asked, in order.
    pub(crate) calls: Mutex<Vec<String>>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            superuser: || Ok(()),
            outcome: || Ok(()),
            is_lost: false,
            next_refresh_token: None,
            calls: Mutex::default(),
        }
    }
}

impl Scripted {
    /// A service whose use cases all end like this.
    pub(crate) fn ending(outcome: fn() -> Result<(), AuthError>) -> Self {
        Self {
            outcome,
            ..Self::default()
        }
    }

    /// What it was asked, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn called(&self, call: impl Into<String>) {
        self.calls.lock().unwrap().push(call.into());
    }
}

#[async_trait]
impl AuthService for Scripted {
    async fn require_superuser(
        &self,
        caller: &Principal,
        _: &RequestContext,
    ) -> Result<Superuser, AuthError> {
        self.called("require_superuser");
        (self.superuser)()?;
        Ok(Superuser::assume(caller.user_id))
    }

    async fn register(
        &self,
        _: Superuser,
        user: Registration,
        _: &RequestContext,
    ) -> Result<UserId, AuthError> {
        let (name, password, email) = (user.username, user.password, user.email);
        self.called(format!("register {name} {} {email}", password.expose()));
        (self.outcome)()?;
        Ok(UserId::generate())
    }

    async fn verify_email(&self, token: &str, _: &RequestContext) -> Result<(), AuthError> {
        self.called(format!("verify_email {token}"));
        (self.outcome)()
    }

    async fn resend_verification(&self, email: &str, _: &RequestContext) -> Result<(), AuthError> {
        self.called(format!("resend_verification {email}"));
        (self.outcome)()
    }

    async fn log_in(&self, login: Login, _: &RequestContext) -> Result<TokenPair, AuthError> {
        let (name, password) = (login.username, login.password);
        self.called(format!("log_in {name} {}", password.expose()));
        (self.outcome)()?;
        Ok(TokenPair::new(
            AccessToken::new("new.access.token"),
            RefreshToken::new("art_new"),
        ))
    }

    async fn refresh(
        &self,
        refresh_token: &str,
        context: &RequestContext,
    ) -> Result<Refreshed, AuthError> {
        let key = context.idempotency_key.as_ref().map(|key| key.as_str());
        let key = key.map(|key| format!(" under {key}")).unwrap_or_default();
        self.called(format!("refresh {refresh_token}{key}"));
        (self.outcome)()?;
        Ok(Refreshed::new(
            AccessToken::new("new.access.token"),
            self.next_refresh_token.map(RefreshToken::new),
        ))
    }

    async fn log_out(&self, refresh_token: &str, _: &RequestContext) -> Result<(), AuthError> {
        self.called(format!("log_out {refresh_token}"));
        (self.outcome)()
    }

    fn note_throttled(&self, budget: &'static str, context: &RequestContext) {
        self.called(format!("note_throttled {budget} {:?}", context.client));
    }

    fn is_alive(&self) -> bool {
        !self.is_lost
    }

    async fn check(&self) -> Result<(), AuthError> {
        self.called("check");
        (self.outcome)()
    }
}

/// The caller of every request with a good token.
pub(crate) fn alice() -> Principal {
    Principal::new(
        UserId::from_uuid(Uuid::from_u128(0xa11ce)),
        SessionId::from_uuid(Uuid::from_u128(0x5e5510)),
        Timestamp::UNIX_EPOCH,
        Timestamp::from_unix_seconds(4_000_000_000),
    )
}

/// The `Authorization` of a request of Alice's.
pub(crate) static GOOD: LazyLock<String> = LazyLock::new(|| authorization(4_000_000_000));

/// The same, long ago.
pub(crate) static EXPIRED: LazyLock<String> = LazyLock::new(|| authorization(60));

const SECRET: &str = "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0";
const ISSUER: &str = "https://auth.example.org";

pub(crate) fn verifier() -> AccessTokenVerifier {
    let keys = JwtKeys::hs256(SecretKey::parse(SECRET).unwrap());
    AccessTokenVerifier::new(&keys, ISSUER, ISSUER, Arc::new(SystemClock))
}

fn authorization(expires: i64) -> String {
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.typ = Some("at+jwt".to_owned());
    let claims = serde_json::json!({
        "iss": ISSUER,
        "sub": alice().user_id.as_uuid(),
        "aud": ISSUER,
        "client_id": "auth",
        "iat": 0,
        "exp": expires,
        "jti": "AAAAAAAAAAAAAAAAAAAAAA",
        "sid": alice().session_id.as_uuid(),
        "roles": ["editor"],
    });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    format!(
        "Bearer {}",
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    )
}

/// The endpoints over a service.
pub(crate) fn api(service: &Arc<Scripted>) -> AuthApi {
    let service: Arc<Scripted> = Arc::clone(service);
    AuthApi::new(service, verifier())
}

/// A POST of JSON.
pub(crate) fn post(path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// A request without a body.
pub(crate) fn request(method: &str, path: &str) -> Request<Full<Bytes>> {
    let builder = Request::builder().method(method).uri(path);
    builder.body(Full::default()).unwrap()
}

/// With one more header.
pub(crate) fn with<B>(mut request: Request<B>, name: &'static str, value: &str) -> Request<B> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

/// Sends a request to the endpoints and tells the whole answer, which must be one that is
/// described.
pub(crate) async fn send<B>(api: AuthApi, request: Request<B>) -> String
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let (parts, body) = api.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let content_type = parts.headers.get("content-type");
    described::check(
        method.as_str(),
        uri.path(),
        parts.status.as_u16(),
        content_type.map_or("", |value| value.to_str().unwrap()),
        std::str::from_utf8(&body).unwrap(),
    );
    text(Response::from_parts(parts, Full::new(body))).await
}

/// Sends a request to the endpoints over a service that always succeeds.
pub(crate) async fn answer(request: Request<Full<Bytes>>) -> String {
    send(api(&Arc::default()), request).await
}

/// The whole answer as text, headers in the order of their names.
pub(crate) async fn text<C>(response: Response<C>) -> String
where
    C: Body,
    C::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    written(
        parts.status.as_u16(),
        headers,
        &String::from_utf8_lossy(&body),
    )
}

/// The text of an answer of JSON with these headers besides the common ones.
pub(crate) fn json(status: u16, extra: &[(&str, &str)], body: &str) -> String {
    let content_type = [("content-type", "application/json")];
    let headers = COMMON.iter().chain(&content_type).chain(extra).copied();
    written(status, headers, body)
}

/// The text of an error.
pub(crate) fn error(status: u16, extra: &[(&str, &str)], code: &str, message: &str) -> String {
    let body = format!(r#"{{"is_error":1,"code":"{code}","message":"{message}"}}"#);
    json(status, extra, &body)
}

/// The text of an answer.
pub(crate) fn written<'a>(
    status: u16,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: &str,
) -> String {
    let mut lines: Vec<_> = headers
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    lines.sort();
    format!("{status}\n{}\n\n{body}", lines.join("\n"))
}
