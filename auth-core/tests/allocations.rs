//! How often the hot path asks for memory: as a number, so that nobody adds to it unseen.

#![expect(clippy::unwrap_used, reason = "test helpers may unwrap")]

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;

use allocation_counter::measure;
use auth_core::testing::{TokenMint, principal};
use auth_core::{
    AccessTokenVerifier, Generation, JwtKeys, SecretKey, SecretKeys, SessionId, SystemClock,
};

const ISSUER: &str = "https://auth.example.org";

fn mint() -> (TokenMint, AccessTokenVerifier) {
    let secret_keys = SecretKeys::new(SecretKey::generate().unwrap());
    let jwt_keys = JwtKeys::hs256(SecretKey::generate().unwrap());
    let mint = TokenMint::new(&secret_keys, &jwt_keys, ISSUER);
    let verifier = AccessTokenVerifier::new(&jwt_keys, ISSUER, ISSUER, Arc::new(SystemClock));
    (mint, verifier)
}

#[test]
fn a_verification_allocates_the_principals_roles_and_nothing_else() {
    let (mint, verifier) = mint();
    // The list, and each name in it.
    let expected: [(&[&str], u64); 3] = [(&[], 0), (&["editor"], 2), (&["auditor", "editor"], 3)];
    for (roles, count) in expected {
        let caller = principal().with_roles(roles.iter().copied());
        let token = mint.access_token(&caller).unwrap();
        let verified = measure(|| {
            let principal = verifier.verify(black_box(token.expose())).unwrap();
            black_box(principal);
        });
        assert_eq!(verified.count_total, count, "{roles:?}");
    }
}

#[test]
fn a_token_that_is_remembered_costs_a_copy_of_the_roles_and_nothing_else() {
    let (mint, verifier) = mint();
    let verifier = verifier.with_token_cache(NonZeroUsize::new(100).unwrap());
    // The list, and each name in it.
    let expected: [(&[&str], u64); 3] = [
        (&[], 0),
        (&["editor"], 2),
        (&["auditor", "editor", "superuser"], 4),
    ];
    for (roles, count) in expected {
        let caller = principal().with_roles(roles.iter().copied());
        let token = mint.access_token(&caller).unwrap();
        verifier.verify(token.expose()).unwrap();
        let verified = measure(|| {
            let principal = verifier.verify(black_box(token.expose())).unwrap();
            black_box(principal);
        });
        assert_eq!(verified.count_total, count, "{roles:?}");
    }
}

#[test]
fn a_refresh_token_is_read_without_an_allocation_whether_good_or_forged() {
    let (ours, _) = mint();
    let (theirs, _) = mint();
    for mint in [&ours, &theirs] {
        let token = mint.refresh_token(SessionId::generate(), Generation::FIRST);
        let opened = measure(|| {
            black_box(ours.open_refresh_token(black_box(token.expose())));
        });
        assert_eq!(opened.count_total, 0);
    }
}
