//! Issuing an access token, and checking a refresh token, beside the bare primitive of the same
//! bytes.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::hint::black_box;

use auth_core::testing::{TokenMint, principal};
use auth_core::{Generation, JwtKeys, SecretKey, SecretKeys, SessionId};
use criterion::{Criterion, criterion_group, criterion_main};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const SECRET: &str = "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0";
const ISSUER: &str = "https://auth.example.org";

/// The version, the session, its generation.
const REFRESH_PAYLOAD: [u8; 21] = [7; 21];

fn mint(secret: &str) -> TokenMint {
    let secret_keys = SecretKeys::new(SecretKey::parse(secret).unwrap());
    let jwt_keys = JwtKeys::hs256(SecretKey::generate().unwrap());
    TokenMint::new(&secret_keys, &jwt_keys, ISSUER)
}

fn mac() -> Hmac<Sha256> {
    Hmac::new_from_slice(SECRET.as_bytes()).unwrap()
}

fn access_token(c: &mut Criterion) {
    let mut group = c.benchmark_group("issue HS256");
    let mint = mint(SECRET);
    let caller = principal().with_roles(["superuser"]);
    let issue = || mint.access_token(&caller).unwrap();
    group.bench_function("ours", |b| b.iter(issue));
    let token = issue();
    let signed = token.expose().rsplit_once('.').unwrap().0;
    let mac = mac();
    group.bench_function("bare HMAC-SHA-256", |b| {
        b.iter(|| mac.clone().chain_update(black_box(signed)).finalize());
    });
    group.finish();
}

fn refresh_token(c: &mut Criterion) {
    let mut group = c.benchmark_group("refresh token");
    let ours = mint(SECRET);
    let session = SessionId::generate();
    let token = ours.refresh_token(session, Generation::FIRST);
    let token = token.expose();
    group.bench_function("opened", |b| {
        b.iter(|| ours.open_refresh_token(black_box(token)).unwrap());
    });
    let forged = mint("Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg").refresh_token(session, Generation::FIRST);
    let forged = forged.expose();
    group.bench_function("forged, refused", |b| {
        b.iter(|| assert!(ours.open_refresh_token(black_box(forged)).is_none()));
    });
    group.bench_function("made", |b| {
        b.iter(|| ours.refresh_token(black_box(session), Generation::FIRST));
    });
    let mac = mac();
    group.bench_function("bare HMAC-SHA-256", |b| {
        b.iter(|| {
            mac.clone()
                .chain_update(black_box(REFRESH_PAYLOAD))
                .finalize()
        });
    });
    group.finish();
}

criterion_group!(benches, access_token, refresh_token);
criterion_main!(benches);
