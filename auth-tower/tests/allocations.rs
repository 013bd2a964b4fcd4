//! How often the bearer layer asks for memory: as a number, so that nobody adds to it unseen.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;

use allocation_counter::measure;
use auth_core::testing::{TokenMint, principal};
use auth_core::{AccessTokenVerifier, JwtKeys, SecretKey, SecretKeys, SystemClock};
use auth_tower::VerifyLayer;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use tower::{Layer as _, Service as _, service_fn};

const ISSUER: &str = "https://auth.example.org";

fn empty(request: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    black_box(request);
    ready(Ok(Response::new(())))
}

#[test]
fn the_layer_allocates_what_the_extensions_take_to_hold_the_principal_and_nothing_else() {
    let secret_keys = SecretKeys::new(SecretKey::generate().unwrap());
    let jwt_keys = JwtKeys::hs256(SecretKey::generate().unwrap());
    let mint = TokenMint::new(&secret_keys, &jwt_keys, ISSUER);
    let token = mint.access_token(&principal()).unwrap();
    let verifier = AccessTokenVerifier::new(&jwt_keys, ISSUER, ISSUER, Arc::new(SystemClock));
    let mut service = VerifyLayer::new(verifier).layer(service_fn(empty));
    let request = || {
        let bearer = format!("Bearer {}", token.expose());
        let request = Request::builder().header(AUTHORIZATION, bearer);
        request.body(()).unwrap()
    };

    let principal = principal();
    let mut bare = request();
    let held = measure(|| {
        bare.extensions_mut().insert(principal);
    });
    let guarded = request();
    let layered = measure(|| {
        drop(black_box(service.call(guarded)));
    });
    assert_eq!(layered.count_total, held.count_total);
    // The map, its table, the principal's box: whatever comes later shares the first two.
    assert_eq!(held.count_total, 3);
}
