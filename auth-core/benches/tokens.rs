//! Issuing an access token, and checking a refresh token, beside the bare primitive of the same
//! bytes: a MAC, or a signature by the back end that the build has.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::hint::black_box;

use auth_core::signature::{Algorithm, PrivateKey};
use auth_core::testing::{TokenMint, principal};
use auth_core::{Generation, JwtKeys, SecretKey, SecretKeys, SessionId};
use criterion::{Criterion, criterion_group, criterion_main};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const SECRET: &str = "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0";
const ISSUER: &str = "https://auth.example.org";

/// The version, the session, its generation.
const REFRESH_PAYLOAD: [u8; 21] = [7; 21];

fn mint(secret: &str, jwt_keys: &JwtKeys) -> TokenMint {
    let secret_keys = SecretKeys::new(SecretKey::parse(secret).unwrap());
    TokenMint::new(&secret_keys, jwt_keys, ISSUER)
}

fn hs256_keys() -> JwtKeys {
    JwtKeys::hs256(SecretKey::parse(SECRET).unwrap())
}

fn mac() -> Hmac<Sha256> {
    Hmac::new_from_slice(SECRET.as_bytes()).unwrap()
}

/// Issues tokens, and signs what one of them signs.
fn issue<S>(c: &mut Criterion, jwt_keys: &JwtKeys, bare: impl Fn(&[u8]) -> S) {
    let mut group = c.benchmark_group(format!("issue {}", jwt_keys.algorithm().as_str()));
    let mint = mint(SECRET, jwt_keys);
    let caller = principal().with_roles(["superuser"]);
    let issue = || mint.access_token(&caller).unwrap();
    group.bench_function("ours", |b| b.iter(issue));
    let token = issue();
    let signed = token.expose().rsplit_once('.').unwrap().0;
    group.bench_function("bare", |b| b.iter(|| bare(black_box(signed.as_bytes()))));
    group.finish();
}

fn access_token(c: &mut Criterion) {
    let mac = mac();
    issue(c, &hs256_keys(), |message| {
        mac.clone().chain_update(message).finalize()
    });
    let rsa = include_str!("../src/signature/test_keys/rsa.pem");
    for key in [
        PrivateKey::generate(Algorithm::EdDsa).unwrap(),
        PrivateKey::generate(Algorithm::Es256).unwrap(),
        PrivateKey::from_pem(rsa).unwrap(),
    ] {
        issue(c, &JwtKeys::asymmetric(key.clone()), |message| {
            key.sign(message).unwrap()
        });
    }
}

fn refresh_token(c: &mut Criterion) {
    let mut group = c.benchmark_group("refresh token");
    let ours = mint(SECRET, &hs256_keys());
    let session = SessionId::generate();
    let token = ours.refresh_token(session, Generation::FIRST);
    let token = token.expose();
    group.bench_function("opened", |b| {
        b.iter(|| ours.open_refresh_token(black_box(token)).unwrap());
    });
    let theirs = mint("Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg", &hs256_keys());
    let forged = theirs.refresh_token(session, Generation::FIRST);
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
