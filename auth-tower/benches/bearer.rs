//! The bearer layer around an empty service, beside that service and beside the verification alone.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Waker};

use auth_core::testing::{TokenMint, principal};
use auth_core::{AccessTokenVerifier, JwtKeys, SecretKey, SecretKeys, SystemClock};
use auth_tower::VerifyLayer;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::header::AUTHORIZATION;
use http::{Request, Response};
use tower::{Layer as _, Service, service_fn};

const ISSUER: &str = "https://auth.example.org";

fn empty(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    ready(Ok(Response::new(())))
}

/// Answers a request; the future of an empty service is ready at once.
fn answer<S: Service<Request<()>>>(service: &mut S, request: Request<()>) {
    let mut future = std::pin::pin!(service.call(request));
    let context = &mut Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(context).is_ready());
}

fn bearer(c: &mut Criterion) {
    let secret_keys = SecretKeys::new(SecretKey::generate().unwrap());
    let jwt_keys = JwtKeys::hs256(SecretKey::generate().unwrap());
    let mint = TokenMint::new(&secret_keys, &jwt_keys, ISSUER);
    let token = mint.access_token(&principal()).unwrap();
    let token = token.expose();
    let verifier = AccessTokenVerifier::new(&jwt_keys, ISSUER, ISSUER, Arc::new(SystemClock));
    let request = || {
        let request = Request::builder().header(AUTHORIZATION, format!("Bearer {token}"));
        request.body(()).unwrap()
    };

    let mut group = c.benchmark_group("bearer layer");
    group.bench_function("verification alone", |b| {
        b.iter(|| verifier.verify(black_box(token)).unwrap());
    });
    let mut service = service_fn(empty);
    group.bench_function("an empty service", |b| {
        b.iter_batched(
            request,
            |request| answer(&mut service, request),
            BatchSize::SmallInput,
        );
    });
    let mut service = VerifyLayer::new(verifier.clone()).layer(service_fn(empty));
    group.bench_function("the layer around it", |b| {
        b.iter_batched(
            request,
            |request| answer(&mut service, request),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, bearer);
criterion_main!(benches);
