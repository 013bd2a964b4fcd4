use serde_json::json;

use super::tests::{
    AUDIENCE, ISSUER, NOW, OTHER, SECRET, TestClock, claims, header, issue, secret, sign, with,
};
use super::*;
use crate::revocation::{Revocation, RevokedTokens, StalePolicy};
use crate::{JwtKeys, SecretKey};

/// A verifier that remembers, and what its verdicts depend on.
struct Remembering {
    clock: Arc<TestClock>,
    keys: VerifyingKeys,
    revocations: Revocations,
    verifier: AccessTokenVerifier,
}

impl Remembering {
    fn up_to(capacity: usize) -> Self {
        let clock = TestClock::at(NOW);
        let shared: Arc<dyn Clock> = Arc::<TestClock>::clone(&clock);
        let keys = VerifyingKeys::from(&ring());
        let revocations = Revocations::new(StalePolicy::Accept, Arc::clone(&shared));
        let verifier = AccessTokenVerifier::new(&keys, ISSUER, AUDIENCE, shared)
            .with_revocations(revocations.clone())
            .with_token_cache(NonZeroUsize::new(capacity).unwrap());
        Self {
            clock,
            keys,
            revocations,
            verifier,
        }
    }

    fn code(&self, token: &str) -> &'static str {
        code(&self.verifier, token)
    }

    /// Verifies the token for the first time.
    #[track_caller]
    fn remember(&self, token: &str) -> Principal {
        let before = self.len();
        let principal = self.verifier.verify(token).unwrap();
        assert_eq!(self.len(), before + 1, "it is not remembered");
        principal
    }

    fn revoke(&self, tokens: RevokedTokens) {
        let until = Timestamp::from_unix_seconds(NOW + 600);
        self.revocations.insert(&Revocation::new(tokens, until));
    }

    fn len(&self) -> usize {
        self.verifier.cache.as_ref().unwrap().len()
    }
}

fn ring() -> JwtKeys {
    JwtKeys::hs256(secret(SECRET))
}

fn token() -> String {
    issue(&ring(), &["editor"]).2.expose().to_owned()
}

fn code(verifier: &AccessTokenVerifier, token: &str) -> &'static str {
    let verdict = verifier.verify(token);
    verdict.map_or_else(|error| error.code(), |_| "good")
}

#[test]
fn a_token_seen_before_is_not_verified_again() {
    let all = Remembering::up_to(10);
    let principal = all.remember(&token());
    let claims = VerifiedClaims {
        principal: principal.clone(),
        not_before: principal.issued_at,
    };
    let cache = all.verifier.cache.as_ref().unwrap();
    cache.insert("by nobody", &all.keys.current(), claims);
    assert_eq!(all.verifier.verify("by nobody").unwrap(), principal);
}

#[test]
fn a_token_seen_before_tells_the_same_principal() {
    let all = Remembering::up_to(10);
    let claims = with(claims(), "tenant", json!("acme"));
    let claims = with(claims, "roles", json!(["auditor", "editor"]));
    let token = sign(&header().to_string(), &claims.to_string());
    let first = all.remember(&token);
    assert_eq!(all.verifier.verify(&token).unwrap(), first);
    assert!(first.other_claims.is_some());
}

#[test]
fn nothing_is_remembered_unless_it_is_asked_for() {
    let keys = VerifyingKeys::from(&ring());
    let verifier = AccessTokenVerifier::new(&keys, ISSUER, AUDIENCE, TestClock::at(NOW));
    assert!(verifier.cache.is_none());
}

#[test]
fn clones_share_what_is_remembered() {
    let all = Remembering::up_to(10);
    let clone = all.verifier.clone();
    assert_eq!(code(&clone, &token()), "good");
    assert_eq!(all.len(), 1);
}

#[test]
fn s6_11_a_remembered_token_expires_like_any_other() {
    let all = Remembering::up_to(10);
    let token = sign(&header().to_string(), &claims().to_string());
    all.remember(&token);
    all.clock.set(NOW + 304);
    assert_eq!(all.code(&token), "good");
    all.clock.set(NOW + 305);
    assert_eq!(all.code(&token), "token_expired");
}

#[test]
fn s6_11_a_remembered_token_is_refused_before_its_time() {
    for (member, begins) in [("iat", NOW), ("nbf", NOW + 2)] {
        let all = Remembering::up_to(10);
        let claims = with(claims(), member, json!(begins));
        let token = sign(&header().to_string(), &claims.to_string());
        all.remember(&token);
        // The clock was ahead, and is set right.
        all.clock.set(begins - 5);
        assert_eq!(all.code(&token), "good", "{member}");
        all.clock.set(begins - 6);
        assert_eq!(all.code(&token), "token_invalid", "{member}");
    }
}

#[test]
fn s7_7_a_remembered_token_of_an_ended_session_is_refused() {
    let all = Remembering::up_to(10);
    let [ended, other] = [token(), token()];
    let session = all.remember(&ended).session_id;
    all.remember(&other);
    all.revoke(RevokedTokens::OfSession(session));
    assert_eq!(all.code(&ended), "token_revoked");
    assert_eq!(all.code(&other), "good");
}

#[test]
fn s7_10_remembered_tokens_of_a_user_or_of_all_are_to_be_refreshed() {
    let issued_before = Timestamp::from_unix_seconds(NOW + 1);
    let all = Remembering::up_to(10);
    let [of_user, other] = [token(), token()];
    let user = all.remember(&of_user).user_id;
    all.remember(&other);
    all.revoke(RevokedTokens::OfUser {
        user,
        issued_before,
        epoch: None,
    });
    assert_eq!(all.code(&of_user), "token_expired");
    assert_eq!(all.code(&other), "good");
    all.revoke(RevokedTokens::All { issued_before });
    assert_eq!(all.code(&other), "token_expired");
}

#[test]
fn a_clone_with_other_revocations_asks_those() {
    let all = Remembering::up_to(10);
    let token = token();
    let session = all.remember(&token).session_id;
    let strict = Revocations::new(StalePolicy::Refuse, Arc::new(crate::SystemClock));
    let strict = all.verifier.clone().with_revocations(strict);
    assert_eq!(code(&strict, &token), "storage_unavailable");
    all.revoke(RevokedTokens::OfSession(session));
    assert_eq!(all.code(&token), "token_revoked");
}

#[test]
fn s13_4_a_remembered_token_of_a_retired_key_is_refused() {
    let all = Remembering::up_to(10);
    let token = token();
    all.remember(&token);
    let other = JwtKeys::hs256(secret(OTHER));
    all.keys.replace(&other);
    assert_eq!(all.code(&token), "token_invalid");
    // A ring with the key is another ring, which verifies anew.
    all.keys
        .replace(&ring().add_fallback(secret(OTHER)).unwrap());
    assert_eq!(all.code(&token), "token_invalid", "it names no key");
    all.keys.replace(&ring());
    assert_eq!(all.code(&token), "good");
    assert_eq!(all.len(), 1);
}

#[cfg(feature = "aws-lc")]
#[test]
fn s13_4_a_remembered_token_is_refused_when_its_key_has_left_the_jwks() {
    use crate::signature::{Algorithm, PrivateKey};

    let document = |keys: &JwtKeys| VerifyingKeys::from(keys).jwks().document;
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let ring = || JwtKeys::asymmetric(PrivateKey::generate(algorithm).unwrap());
        let [old, new] = [ring(), ring()];
        let keys = VerifyingKeys::for_algorithm(algorithm);
        keys.replace_with_jwks(document(&old).as_bytes()).unwrap();
        let verifier = AccessTokenVerifier::new(&keys, ISSUER, AUDIENCE, TestClock::at(NOW))
            .with_token_cache(NonZeroUsize::MIN);
        let (_, _, token) = issue(&old, &[]);
        assert_eq!(code(&verifier, token.expose()), "good");
        keys.replace_with_jwks(document(&new).as_bytes()).unwrap();
        assert_eq!(code(&verifier, token.expose()), "token_invalid");
    }
}

#[cfg(feature = "aws-lc")]
#[test]
fn a_token_is_remembered_until_the_jwks_says_something_new() {
    use crate::signature::{Algorithm, PrivateKey};

    let [own, other] = [(), ()].map(|()| PrivateKey::generate(Algorithm::EdDsa).unwrap());
    let own = JwtKeys::asymmetric(own);
    let document = |keys: &JwtKeys| VerifyingKeys::from(keys).jwks().document;
    let keys = VerifyingKeys::for_algorithm(Algorithm::EdDsa);
    let fetch = |document: &str| keys.replace_with_jwks(document.as_bytes()).unwrap();
    fetch(&document(&own));
    let verifier = AccessTokenVerifier::new(&keys, ISSUER, AUDIENCE, TestClock::at(NOW))
        .with_token_cache(NonZeroUsize::MIN);
    let principal = verifier.verify(issue(&own, &[]).2.expose()).unwrap();
    let claims = VerifiedClaims {
        not_before: principal.issued_at,
        principal,
    };
    let cache = verifier.cache.as_ref().unwrap();
    // Only a memory takes it for good.
    cache.insert("by nobody", &keys.current(), claims);

    fetch(&document(&own));
    // A key for other algorithms changes nothing for ours.
    fetch(&document(&own).replace("[", r#"[{"kty":"unheard of"}, "#));
    assert_eq!(code(&verifier, "by nobody"), "good");

    let both = own.add_public_key(other.public_key().clone()).unwrap();
    fetch(&document(&both));
    assert_eq!(code(&verifier, "by nobody"), "token_invalid");
}

#[test]
fn s6_13_each_change_of_one_character_of_a_remembered_token_is_refused() {
    let all = Remembering::up_to(10);
    let token = token();
    all.remember(&token);
    for position in 0..token.len() {
        for replacement in ["A", "B", "g", "-", ".", ""] {
            let mut changed = token.clone();
            changed.replace_range(position..=position, replacement);
            if changed != token {
                assert_eq!(all.code(&changed), "token_invalid", "{changed}");
            }
        }
    }
    assert_eq!(all.code(&format!("{token}A")), "token_invalid");
    assert_eq!(all.len(), 1);
}

#[test]
fn what_is_refused_is_not_remembered() {
    let all = Remembering::up_to(10);
    let signed = |member, value| {
        sign(
            &header().to_string(),
            &with(claims(), member, value).to_string(),
        )
    };
    let (_, session, revoked) = issue(&ring(), &[]);
    all.revoke(RevokedTokens::OfSession(session));
    let foreign = issue(&JwtKeys::hs256(SecretKey::generate().unwrap()), &[]).2;
    for (token, expected) in [
        ("garbage", "token_invalid"),
        (foreign.expose(), "token_invalid"),
        (
            &signed("iss", json!("https://example.org")),
            "token_invalid",
        ),
        (&signed("nbf", json!(NOW + 6)), "token_invalid"),
        (&signed("exp", json!(NOW - 5)), "token_expired"),
        (revoked.expose(), "token_revoked"),
    ] {
        assert_eq!(all.code(token), expected);
        assert_eq!(all.len(), 0, "{expected}");
    }
    all.remember(&token());
}

#[test]
fn no_more_is_remembered_than_was_asked_for() {
    // Some of them cannot be shared out evenly among the shards.
    for capacity in [1, 10, 65, 100, 131] {
        let all = Remembering::up_to(capacity);
        let tokens: Vec<String> = (0..capacity * 3).map(|_| token()).collect();
        for token in tokens.iter().chain(&tokens) {
            assert_eq!(all.code(token), "good");
            assert!(all.len() <= capacity, "{} of {capacity}", all.len());
        }
        assert!(all.len() > 0);
    }
}

#[test]
fn s13_3_remembered_tokens_do_not_show_in_debug_output() {
    let all = Remembering::up_to(10);
    let token = token();
    all.remember(&token);
    let shown = format!("{:?} {:#?}", all.verifier, all.verifier);
    for part in token.split('.') {
        assert!(!shown.contains(part), "{shown}");
    }
}

#[test]
fn a_cache_of_any_size_can_be_asked_for() {
    let all = Remembering::up_to(usize::MAX);
    all.remember(&token());
}
