#![cfg(feature = "aws-lc")]

use futures_util::FutureExt as _;
use hmac::Mac as _;
use serde_json::{Value, json};

use super::tests::{AUDIENCE, ISSUER, OTHER, SECRET, claims, issue, part, secret, verifier, with};
use super::*;
use crate::JwtKeys;
use crate::signature::{Algorithm, KeyError, PrivateKey, PublicKey};
use crate::token::JwksError;
use crate::token::keys::hmac;

const ASYMMETRIC: [(Algorithm, &str, &str); 3] = [
    (
        Algorithm::EdDsa,
        include_str!("../../signature/test_keys/ed25519.pem"),
        include_str!("../../signature/test_keys/ed25519_public.pem"),
    ),
    (
        Algorithm::Es256,
        include_str!("../../signature/test_keys/p256.pem"),
        include_str!("../../signature/test_keys/p256_public.pem"),
    ),
    (
        Algorithm::Rs256,
        include_str!("../../signature/test_keys/rsa.pem"),
        include_str!("../../signature/test_keys/rsa_public.pem"),
    ),
];

fn key(pem: &str) -> PrivateKey {
    PrivateKey::from_pem(pem).unwrap()
}

fn generated() -> PrivateKey {
    PrivateKey::generate(Algorithm::EdDsa).unwrap()
}

fn following(keys: &VerifyingKeys) -> AccessTokenVerifier {
    let now = super::tests::TestClock::at(super::tests::NOW);
    AccessTokenVerifier::new(keys, ISSUER, AUDIENCE, now)
}

/// Signs whatever it is given, as an attacker with the key could.
fn signed(header: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(&claims()));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[test]
fn s6_1_a_token_of_an_asymmetric_key_names_it() {
    for (algorithm, pem, _) in ASYMMETRIC {
        let ring = JwtKeys::asymmetric(key(pem));
        let (user, _, token) = issue(&ring, &["editor"]);
        let expected = json!({
            "typ": "at+jwt", "alg": algorithm.as_str(), "kid": key(pem).public_key().id(),
        });
        assert_eq!(part(token.expose(), 0), expected);
        let principal = verifier(&ring).verify(token.expose()).unwrap();
        assert_eq!(principal.user_id, user);
    }
}

#[test]
fn s6_3_a_public_key_is_no_secret() {
    for (algorithm, pem, public) in ASYMMETRIC {
        let ring = JwtKeys::asymmetric(key(pem));
        let verifier = verifier(&ring);
        let jwk = key(pem).public_key().to_jwk();
        let members: Value = serde_json::from_str(&jwk).unwrap();
        let (_, der) = der::Document::from_pem(public).unwrap();
        let mut forms: Vec<Vec<u8>> = vec![
            public.into(),
            public.trim_end().into(),
            format!("{}\n\n", public.trim_end()).into(),
            public.replace('\n', "\r\n").into(),
            public
                .lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<String>()
                .into(),
            der.as_bytes().into(),
            jwk.clone().into(),
            members.to_string().into(),
            verifier.jwks().document.as_bytes().into(),
            members["kid"].as_str().unwrap().into(),
            Vec::new(),
        ];
        for member in ["x", "y", "n", "e"] {
            if let Some(text) = members[member].as_str() {
                forms.push(text.into());
                forms.push(URL_SAFE_NO_PAD.decode(text).unwrap());
            }
        }
        for form in forms {
            for alg in ["HS256", "HS384", "HS512", algorithm.as_str(), "none"] {
                let header = json!({"typ": "at+jwt", "alg": alg, "kid": members["kid"]});
                let forged = signed(&header, |message| {
                    hmac(&form)
                        .chain_update(message)
                        .finalize()
                        .into_bytes()
                        .to_vec()
                });
                assert!(verifier.verify(&forged).is_err(), "{alg} {form:?}");
            }
        }
    }
}

#[test]
fn s6_3_a_token_of_one_algorithm_is_refused_by_all_others() {
    let mut rings: Vec<JwtKeys> = vec![JwtKeys::hs256(secret(SECRET))];
    rings.extend(ASYMMETRIC.map(|(_, pem, _)| JwtKeys::asymmetric(key(pem))));
    for (i, issuing) in rings.iter().enumerate() {
        let (_, _, token) = issue(issuing, &[]);
        for (j, ring) in rings.iter().enumerate() {
            let verdict = verifier(ring).verify(token.expose());
            assert_eq!(verdict.is_ok(), i == j, "{issuing:?} {ring:?}");
        }
    }
    let right = key(ASYMMETRIC[0].1);
    let verifier = verifier(&JwtKeys::asymmetric(right.clone()));
    for alg in [
        "none", "NONE", "", "eddsa", "Ed25519", "EdDSA ", "HS256", "ES256", "RS256",
    ] {
        let header = json!({"typ": "at+jwt", "alg": alg, "kid": right.public_key().id()});
        let token = signed(&header, |message| right.sign(message).unwrap());
        assert!(verifier.verify(&token).is_err(), "{alg}");
    }
    let header = json!({"typ": "AT+JWT", "alg": "EdDSA"});
    let token = signed(&header, |message| right.sign(message).unwrap());
    assert!(verifier.verify(&token).is_ok());
}

#[test]
fn s6_4_a_ring_holds_keys_of_one_algorithm() {
    let public = |pem: &str| PublicKey::from_pem(pem).unwrap();
    for (algorithm, pem, _) in ASYMMETRIC {
        let ring = || JwtKeys::asymmetric(key(pem));
        for (other, _, other_pem) in ASYMMETRIC.iter().filter(|other| other.0 != algorithm) {
            let refused = ring().add_public_key(public(other_pem)).unwrap_err();
            let expected = KeyError::OtherAlgorithm {
                found: *other,
                expected: algorithm,
            };
            assert_eq!(refused, expected);
        }
        assert!(ring().add_fallback(secret(OTHER)).is_err());
        let mixed = JwtKeys::hs256(secret(OTHER)).add_public_key(key(pem).public_key().clone());
        assert!(mixed.is_err());
        let twice = ring().add_public_key(key(pem).public_key().clone());
        assert_eq!(twice.unwrap_err(), KeyError::Duplicate);
    }
    let twice = JwtKeys::hs256(secret(OTHER)).add_fallback(secret(OTHER));
    assert_eq!(twice.unwrap_err(), KeyError::Duplicate);
}

#[test]
fn s6_13_each_change_of_an_asymmetric_signature_is_refused() {
    let ring = JwtKeys::asymmetric(generated());
    let (_, _, token) = issue(&ring, &[]);
    let verifier = verifier(&ring);
    for position in 0..token.expose().len() {
        for replacement in ["A", "g", "_", "+", "=", "."] {
            let mut changed = token.expose().to_owned();
            changed.replace_range(position..=position, replacement);
            let same = changed == token.expose();
            assert_eq!(verifier.verify(&changed).is_ok(), same, "{changed}");
        }
    }
}

#[test]
fn s13_4_a_key_is_published_then_signs_then_is_retired_and_no_token_is_refused() {
    let (old, new) = (generated(), generated());
    let alone = |key: &PrivateKey| JwtKeys::asymmetric(key.clone());
    let beside = |key: &PrivateKey, other: &PrivateKey| {
        let ring = alone(key).add_public_key(other.public_key().clone());
        ring.unwrap()
    };
    let keys = VerifyingKeys::from(&alone(&old));
    let verifier = following(&keys);
    let (_, _, first) = issue(&alone(&old), &[]);
    assert!(verifier.verify(first.expose()).is_ok());

    keys.replace(&beside(&old, &new));
    let (_, _, second) = issue(&beside(&old, &new), &[]);
    keys.replace(&beside(&new, &old));
    let (_, _, third) = issue(&beside(&new, &old), &[]);
    for token in [&first, &second, &third] {
        assert!(verifier.verify(token.expose()).is_ok());
    }
    assert_eq!(part(second.expose(), 0)["kid"], old.public_key().id());
    assert_eq!(part(third.expose(), 0)["kid"], new.public_key().id());
    assert_eq!(
        keys.key_ids(),
        [new.public_key().id(), old.public_key().id()]
    );

    keys.replace(&alone(&new));
    assert!(verifier.verify(first.expose()).is_err());
    assert!(verifier.verify(second.expose()).is_err());
    assert!(verifier.verify(third.expose()).is_ok());
}

#[test]
fn a_jwks_gives_the_keys_of_one_algorithm_and_leaves_the_others() {
    let (own, other) = (generated(), key(ASYMMETRIC[1].1));
    let ring = JwtKeys::asymmetric(own.clone());
    let jwk =
        |key: &PrivateKey| -> Value { serde_json::from_str(&key.public_key().to_jwk()).unwrap() };
    let keys = VerifyingKeys::for_algorithm(Algorithm::EdDsa);
    let verifier = following(&keys);
    let (_, _, token) = issue(&ring, &[]);
    assert!(verifier.verify(token.expose()).is_err());

    let strange = [
        json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "1"}),
        json!({"kty": "unheard of"}),
        json!(null),
        json!({}),
        with(jwk(&generated()), "use", json!("enc")),
        with(jwk(&generated()), "d", json!("AA")),
        jwk(&other),
    ];
    let mut all: Vec<Value> = strange.to_vec();
    all.push(jwk(&own));
    keys.replace_with_jwks(json!({ "keys": all, "more": 1 }).to_string().as_bytes())
        .unwrap();
    assert_eq!(keys.key_ids(), [own.public_key().id()]);
    assert!(verifier.verify(token.expose()).is_ok());

    let twice = json!({"keys": [jwk(&own), jwk(&own)]}).to_string();
    let many = json!({"keys": vec![jwk(&own); 65]}).to_string();
    let none = json!({ "keys": strange }).to_string();
    for (document, reason) in [
        ("", JwksError::NotJwks),
        ("[]", JwksError::NotJwks),
        (r#"{"keys":{}}"#, JwksError::NotJwks),
        (r#"{"keys":[]}"#, JwksError::NoKey(Algorithm::EdDsa)),
        (&none, JwksError::NoKey(Algorithm::EdDsa)),
        (&twice, JwksError::DuplicateId),
        (&many, JwksError::TooManyKeys),
    ] {
        assert_eq!(keys.replace_with_jwks(document.as_bytes()), Err(reason));
        // What was there stays.
        assert!(verifier.verify(token.expose()).is_ok());
    }
}

#[test]
fn after_a_jwks_nothing_signs_even_if_it_says_what_was_published() {
    let keys = VerifyingKeys::from(&JwtKeys::asymmetric(generated()));
    let published = keys.jwks();
    keys.replace_with_jwks(published.document.as_bytes())
        .unwrap();
    assert!(keys.current().signing().is_none());
    assert_eq!(keys.jwks().digest, published.digest);
}

#[test]
fn a_well_formed_token_of_an_unknown_key_asks_for_it() {
    let keys = VerifyingKeys::from(&JwtKeys::asymmetric(generated()));
    let verifier = following(&keys);
    let seen = || keys.unknown_key_seen().now_or_never().is_some();
    for header in [
        json!({"typ": "at+jwt", "alg": "ES256", "kid": "new"}),
        json!({"typ": "JWT", "alg": "EdDSA", "kid": "new"}),
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": keys.key_ids()[0]}),
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "n".repeat(129)}),
    ] {
        assert!(verifier.verify(&signed(&header, |_| vec![0; 64])).is_err());
        assert!(!seen(), "{header}");
    }
    let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "new"});
    assert!(verifier.verify(&signed(&header, |_| vec![0; 64])).is_err());
    assert!(seen());
    assert!(!seen());
}

#[test]
fn s6_18_the_jwks_shows_every_public_key_and_no_secret() {
    let (own, next) = (generated(), generated());
    let ring = JwtKeys::asymmetric(own.clone());
    let ring = ring.add_public_key(next.public_key().clone()).unwrap();
    let shown: Value = serde_json::from_str(&verifier(&ring).jwks().document).unwrap();
    let ids: Vec<_> = shown["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["kid"])
        .collect();
    assert_eq!(ids, [own.public_key().id(), next.public_key().id()]);
    let secret = JwtKeys::hs256(secret(SECRET));
    assert_eq!(&*verifier(&secret).jwks().document, r#"{"keys":[]}"#);
}
