//! Verifying an access token, beside `jsonwebtoken::decode` and the bare primitive over the same bytes:
//! the MAC, or the signature checked by aws-lc under a key that is parsed already. Then verifying it
//! again with a cache, beside a MAC over what is signed.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;

use auth_core::revocation::{Revocations, StalePolicy};
use auth_core::signature::{Algorithm, PrivateKey};
use auth_core::{AccessTokenVerifier, JwtKeys, SecretKey, SystemClock};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use der::Encode as _;
use der::asn1::UintRef;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Header, Validation, decode};
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0";
const ISSUER: &str = "https://auth.example.org";

/// Signs the usual claims under a header of this algorithm.
fn token(algorithm: Algorithm, key_id: Option<&str>, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    // Written as our issuer writes it.
    let mut header = Header::new(algorithm.as_str().parse().unwrap());
    header.typ = Some("at+jwt".to_owned());
    header.kid = key_id.map(str::to_owned);
    let header = serde_json::to_string(&header).unwrap();
    let claims = json!({
        "iss": ISSUER, "sub": "0190b1d0-0000-7000-8000-000000000001", "aud": ISSUER,
        "client_id": "auth", "iat": 1_700_000_000, "exp": 9_000_000_000_u64,
        "jti": "AAAAAAAAAAAAAAAAAAAAAA", "sid": "6b0f9f0a-0000-4000-8000-000000000002",
        "roles": ["superuser"],
    });
    let part = |json: String| URL_SAFE_NO_PAD.encode(json);
    let signed = format!("{}.{}", part(header), part(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn mac() -> Hmac<Sha256> {
    Hmac::new_from_slice(SECRET.as_bytes()).unwrap()
}

/// Ours beside `jsonwebtoken::decode` and the bare primitive.
fn compare(
    c: &mut Criterion,
    keys: &JwtKeys,
    token: &str,
    decoding_key: &DecodingKey,
    bare: impl Fn(&[u8], &[u8]) -> bool,
) {
    let name = keys.algorithm().as_str();
    let mut group = c.benchmark_group(format!("verify {name}"));
    let verifier = AccessTokenVerifier::new(keys, ISSUER, ISSUER, Arc::new(SystemClock));
    group.bench_function("ours", |b| {
        b.iter(|| verifier.verify(black_box(token)).unwrap());
    });
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(bare(signed.as_bytes(), &signature));
    group.bench_function("bare", |b| {
        b.iter(|| bare(black_box(signed.as_bytes()), black_box(&signature)));
    });
    // As an engine's: nothing is revoked.
    let revocations = Revocations::new(StalePolicy::Accept, Arc::new(SystemClock));
    let cached = verifier
        .with_revocations(revocations)
        .with_token_cache(NonZeroUsize::new(10_000).unwrap());
    group.bench_function("cached", |b| {
        b.iter(|| cached.verify(black_box(token)).unwrap());
    });
    let mac = mac();
    group.bench_function("bare HMAC-SHA-256 of the same bytes", |b| {
        b.iter(|| mac.clone().chain_update(black_box(signed)).finalize());
    });
    let mut validation = Validation::new(name.parse().unwrap());
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[ISSUER]);
    group.bench_function("jsonwebtoken::decode", |b| {
        b.iter(|| decode::<Value>(black_box(token), decoding_key, &validation).unwrap());
    });
    group.finish();
}

fn hs256(c: &mut Criterion) {
    let mac = mac();
    let sign = |message: &[u8]| mac.clone().chain_update(message).finalize();
    let token = token(Algorithm::Hs256, None, |message| {
        sign(message).into_bytes().to_vec()
    });
    let keys = JwtKeys::hs256(SecretKey::parse(SECRET).unwrap());
    let decoding_key = DecodingKey::from_secret(SECRET.as_bytes());
    compare(c, &keys, &token, &decoding_key, |message, signature| {
        sign(message).into_bytes().as_slice() == signature
    });
}

fn asymmetric(c: &mut Criterion, key: PrivateKey) {
    let public = key.public_key().clone();
    let token = token(public.algorithm(), Some(public.id()), |message| {
        key.sign(message).unwrap()
    });
    let jwk = public.to_jwk();
    let (algorithm, bytes) = parts(&serde_json::from_str(&jwk).unwrap());
    let parsed = ParsedPublicKey::new(algorithm, bytes).unwrap();
    let jwk: Jwk = serde_json::from_str(&jwk).unwrap();
    let decoding_key = DecodingKey::from_jwk(&jwk).unwrap();
    let keys = JwtKeys::asymmetric(key);
    compare(c, &keys, &token, &decoding_key, |message, signature| {
        parsed.verify_sig(message, signature).is_ok()
    });
}

/// The key as aws-lc takes it.
fn parts(jwk: &Value) -> (&'static dyn VerificationAlgorithm, Vec<u8>) {
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    match jwk["kty"].as_str().unwrap() {
        "OKP" => (&ED25519, part("x")),
        "EC" => (
            &ECDSA_P256_SHA256_FIXED,
            [vec![4], part("x"), part("y")].concat(),
        ),
        _ => {
            let (n, e) = (part("n"), part("e"));
            let key = pkcs1::RsaPublicKey {
                modulus: UintRef::new(&n).unwrap(),
                public_exponent: UintRef::new(&e).unwrap(),
            };
            (&RSA_PKCS1_2048_8192_SHA256, key.to_der().unwrap())
        }
    }
}

fn verify(c: &mut Criterion) {
    hs256(c);
    asymmetric(c, PrivateKey::generate(Algorithm::EdDsa).unwrap());
    asymmetric(c, PrivateKey::generate(Algorithm::Es256).unwrap());
    let rsa = include_str!("../src/signature/test_keys/rsa.pem");
    asymmetric(c, PrivateKey::from_pem(rsa).unwrap());
}

criterion_group!(benches, verify);
criterion_main!(benches);
