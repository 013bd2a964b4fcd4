//! What the fuzz targets of `auth-core` do with their input: S11.4.
//!
//! The programs in `fuzz_targets` call them, and `auth-core/tests/fuzz_corpus.rs` replays the kept
//! corpus through them. A target fails by a panic: the parser's own, or that of a check here.
#![expect(
    clippy::indexing_slicing,
    reason = "a check that fails by a panic is what a target is for"
)]

use std::sync::{Arc, LazyLock};

use auth_core::audit::{AuditEvent, EventReport};
use auth_core::signature::Algorithm;
use auth_core::{
    AccessTokenVerifier, AuthError, Clock, EmailAddress, IdempotencyKey, JwtKeys, RequestId, Role,
    Roles, SecretKey, SecretKeys, SessionId, Timestamp, UserId, Username, VerifyingKeys, fuzzing,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// A target, by the name of its program and of the folder of its corpus.
type Target = (&'static str, fn(&[u8]));

/// The targets.
pub const TARGETS: [Target; 9] = [
    ("access_token", access_token),
    ("signed_claims", signed_claims),
    ("opaque_token", opaque_token),
    ("jwks", jwks),
    ("stored_hash", stored_hash),
    ("email", email),
    ("names", names),
    ("audit_event", audit_event),
    ("notification", notification),
];

const SECRET: &str = "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0";
const ISSUER: &str = "https://auth.example.org";
/// When the tokens of the corpus are good.
const NOW: i64 = 1_800_000_000;

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(NOW)
    }
}

static VERIFIER: LazyLock<AccessTokenVerifier> = LazyLock::new(|| {
    let keys = JwtKeys::hs256(SecretKey::parse(SECRET).expect("the secret is strong"));
    AccessTokenVerifier::new(&keys, ISSUER, ISSUER, Arc::new(Stopped))
});

static SECRET_KEYS: LazyLock<SecretKeys> =
    LazyLock::new(|| SecretKeys::new(SecretKey::parse(SECRET).expect("the secret is strong")));

/// A token as it comes in: nobody without the key makes one that is accepted.
pub fn access_token(data: &[u8]) {
    if let Ok(token) = str::from_utf8(data)
        && VERIFIER.verify(token).is_ok()
    {
        let signed = token.rsplit_once('.').map(|(signed, _)| signed);
        assert_eq!(signed.map(sign).as_deref(), Some(token), "it is not signed");
    }
}

/// A header and claims, a line each, that bear a good signature: what is accepted, another reader
/// of JSON finds to be for us and in its time.
pub fn signed_claims(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (Some(header), Some(claims)) = (parts.next(), parts.next()) else {
        return;
    };
    let encode = |part| URL_SAFE_NO_PAD.encode(part);
    let token = sign(&format!("{}.{}", encode(header), encode(claims)));
    match VERIFIER.verify(&token) {
        Ok(caller) => {
            assert!(str::from_utf8(header).is_ok() && str::from_utf8(claims).is_ok());
            // What is wrong with members that nobody reads (1e400, half a surrogate) may stay there.
            let value = |json| serde_json::from_slice::<Value>(json);
            let (Ok(header), Ok(claims)) = (value(header), value(claims)) else {
                return;
            };
            assert_eq!(header["alg"], "HS256");
            assert_eq!(claims["iss"], ISSUER);
            let audience = &claims["aud"];
            let several = audience.as_array().into_iter().flatten();
            assert!(audience == ISSUER || several.into_iter().any(|one| one == ISSUER));
            assert!(claims["exp"].as_f64().expect("a number") > (NOW - 6) as f64);
            assert!(claims["iat"].as_f64().expect("a number") < (NOW + 6) as f64);
            let user: UserId = claims["sub"]
                .as_str()
                .expect("a string")
                .parse()
                .expect("an id");
            assert_eq!(caller.user_id, user);
            let _ = caller.claims::<serde_json::Map<String, Value>>();
        }
        Err(error) => assert!(matches!(
            error,
            AuthError::TokenInvalid | AuthError::TokenExpired
        )),
    }
}

fn sign(signed: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length will do");
    let mac = mac.chain_update(signed).finalize().into_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
}

/// A refresh token or what a link in a mail carries: it opens as one kind at most.
pub fn opaque_token(data: &[u8]) {
    if let Ok(token) = str::from_utf8(data) {
        let kinds = fuzzing::opens_as(&SECRET_KEYS, token);
        assert!(
            kinds.len() <= 1,
            "it is good for several purposes: {kinds:?}"
        );
    }
}

/// The keys of another issuer, as its server answers.
pub fn jwks(data: &[u8]) {
    for algorithm in [
        Algorithm::Hs256,
        Algorithm::EdDsa,
        Algorithm::Es256,
        Algorithm::Rs256,
    ] {
        let keys = VerifyingKeys::for_algorithm(algorithm);
        if keys.replace_with_jwks(data).is_ok() {
            assert!(serde_json::from_slice::<Value>(data).is_ok_and(|keys| keys.is_object()));
            let _ = keys.verify_jws("eyJhbGciOiJFUzI1NiJ9.e30.AAAA");
            let _ = keys.jwks();
        }
    }
}

/// A stored password hash: one of ours is written again as one that reads the same.
pub fn stored_hash(data: &[u8]) {
    if let Ok(stored) = str::from_utf8(data)
        && let Ok(Some(written)) = fuzzing::stored_hash(stored)
    {
        let again = fuzzing::stored_hash(&written).expect("what we write can be read");
        assert_eq!(again.as_deref(), Some(&*written));
    }
}

/// An address: its key is lower-case and the key of itself, and can be written into a header of a mail.
pub fn email(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data)
        && let Ok(address) = text.parse::<EmailAddress>()
    {
        let key = address.key();
        assert!(key.len() <= EmailAddress::MAX_BYTES && !key.contains(char::is_control));
        assert!(!key.contains(char::is_whitespace), "{key:?}");
        // `İ` becomes `i` and a dot above, which no address has.
        if let Ok(again) = key.parse::<EmailAddress>() {
            assert_eq!(again.key(), key);
        }
        assert_eq!(key.to_lowercase(), key);
    }
}

/// Names of users, of requests, of roles, and passwords: what is accepted can be stored and found.
pub fn names(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Some(found) = Username::for_lookup(text) {
        assert!(!found.canonical().contains(char::is_control));
        let again = Username::for_lookup(found.canonical()).expect("a canonical name is a name");
        assert_eq!(again.canonical(), found.canonical());
    }
    if let Ok(name) = text.parse::<Username>() {
        let found = Username::for_lookup(text).expect("a good name can be looked up");
        assert_eq!(found.canonical(), name.canonical());
    }
    for id in [
        RequestId::parse(text).map(|id| id.as_str().to_owned()),
        IdempotencyKey::parse(text).map(|key| key.as_str().to_owned()),
    ] {
        assert!(id.is_none_or(|id| id == text && id.bytes().all(|byte| byte.is_ascii_graphic())));
    }
    if let Ok(role) = text.parse::<Role>() {
        assert_eq!(role.as_str(), text);
    }
    if let Ok(roles) = Roles::parse(text.split(',')) {
        assert_eq!(Roles::from_stored(&roles.to_string()), roles);
    }
    let _ = text.parse::<UserId>();
    let _ = text.parse::<SessionId>();
    let _ = SecretKey::parse(text);
}

/// An audit event as a database keeps it: it is written again as it was read, and can be shown.
pub fn audit_event(data: &[u8]) {
    if let Ok(event) = serde_json::from_slice::<AuditEvent>(data) {
        let written = serde_json::to_string(&event).expect("an event can be written");
        let again: AuditEvent = serde_json::from_str(&written).expect("what we write can be read");
        assert_eq!(again, event);
        let report = serde_json::to_string(&EventReport::of(&event));
        assert!(report.is_ok_and(|report| !report.contains('\n')));
    }
}

/// What PostgreSQL says was notified: a revocation is sent again as one that reads the same.
pub fn notification(data: &[u8]) {
    if let Ok(payload) = str::from_utf8(data)
        && let Some(written) = fuzzing::notification(payload)
    {
        assert_eq!(fuzzing::notification(&written), Some(written));
    }
}
