//! Verifying an access token, beside `jsonwebtoken::decode` and the bare MAC of the same bytes.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::hint::black_box;
use std::sync::Arc;

use auth_core::{AccessTokenVerifier, JwtKeys, SecretKey, SystemClock};
use criterion::{Criterion, criterion_group, criterion_main};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0";
const ISSUER: &str = "https://auth.example.org";

fn token() -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some("at+jwt".to_owned());
    let claims = json!({
        "iss": ISSUER, "sub": "0190b1d0-0000-7000-8000-000000000001", "aud": ISSUER,
        "client_id": "auth", "iat": 1_700_000_000, "exp": 9_000_000_000_u64,
        "jti": "AAAAAAAAAAAAAAAAAAAAAA", "sid": "6b0f9f0a-0000-4000-8000-000000000002",
        "roles": ["superuser"],
    });
    encode(
        &header,
        &claims,
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )
    .unwrap()
}

fn verify(c: &mut Criterion) {
    let token = token();
    let mut group = c.benchmark_group("verify HS256");

    let keys = JwtKeys::hs256(SecretKey::parse(SECRET).unwrap());
    let verifier = AccessTokenVerifier::new(&keys, ISSUER, ISSUER, Arc::new(SystemClock));
    group.bench_function("ours", |b| {
        b.iter(|| verifier.verify(black_box(&token)).unwrap())
    });

    let key = DecodingKey::from_secret(SECRET.as_bytes());
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[ISSUER]);
    group.bench_function("jsonwebtoken::decode", |b| {
        b.iter(|| decode::<Value>(black_box(&token), &key, &validation).unwrap());
    });

    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let signed = token.rsplit_once('.').unwrap().0;
    group.bench_function("bare HMAC-SHA-256", |b| {
        b.iter(|| mac.clone().chain_update(black_box(signed)).finalize());
    });
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
