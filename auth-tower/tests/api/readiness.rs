//! The layers call only the instance that they have polled ready.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;

use crate::support::{self, GOOD, Scripted, alice, request, verifier, with};
use auth_core::{AuthService, Principal};
use auth_tower::{IdentifyLayer, MountLayer, RequireSuperuserLayer, VerifyLayer};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Service, ServiceExt};
use tower_test::mock;

type Handle = mock::Handle<Request<Full<Bytes>>, Response<Full<Bytes>>>;

fn done() -> Response<Full<Bytes>> {
    Response::new(Full::from("inner"))
}

/// Answers one request; beside the call, not in another task, so that a panic there is seen.
async fn reply(handle: &mut Handle) {
    let (_, answer) = handle.next_request().await.unwrap();
    answer.send_response(done());
}

fn good() -> Request<Full<Bytes>> {
    let mut request = with(request("GET", "/"), "authorization", &GOOD);
    request.extensions_mut().insert::<Principal>(alice());
    request
}

fn auth() -> Arc<dyn AuthService> {
    Arc::new(Scripted::default())
}

// `Mock` panics when an instance is called that was not polled ready, and its clones are not.

#[tokio::test]
async fn verifying_is_as_ready_as_the_inner_service() {
    let (mut service, mut handle): (_, Handle) = mock::spawn_layer(VerifyLayer::new(verifier()));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let (response, ()) = tokio::join!(service.call(good()), reply(&mut handle));
    assert_eq!(response.unwrap().status(), 200);
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
}

#[tokio::test]
async fn endpoints_in_front_of_a_service_are_as_ready_as_the_service() {
    let layer = MountLayer::new(support::api(&Arc::default()));
    let (mut service, mut handle): (_, Handle) = mock::spawn_layer(layer);
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    // What the endpoints answer does not reach the service, which stays ready for the next call.
    let response: Result<_, tower::BoxError> = service.call(request("GET", "/livez")).await;
    assert_eq!(response.unwrap().status(), 200);
    assert!(service.poll_ready().is_ready());
    let (response, ()) = tokio::join!(service.call(good()), reply(&mut handle));
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test]
async fn identifying_is_as_ready_as_the_inner_service() {
    let (mut service, mut handle): (_, Handle) = mock::spawn_layer(IdentifyLayer::new());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let (response, ()) = tokio::join!(service.call(good()), reply(&mut handle));
    assert_eq!(response.unwrap().status(), 200);
}

#[cfg(feature = "cors")]
#[tokio::test]
async fn letting_other_origins_in_is_as_ready_as_the_inner_service() {
    let layer = auth_tower::CorsLayer::new(["https://app.example.org".parse().unwrap()]);
    let (mut service, mut handle): (_, Handle) = mock::spawn_layer(layer);
    for origin in ["https://app.example.org", "https://evil.example"] {
        handle.allow(0);
        assert!(service.poll_ready().is_pending());
        handle.allow(1);
        assert!(service.poll_ready().is_ready());
        let request = with(good(), "origin", origin);
        let (response, ()) = tokio::join!(service.call(request), reply(&mut handle));
        assert_eq!(response.unwrap().status(), 200);
    }
}

#[cfg(feature = "drain")]
#[tokio::test]
async fn draining_is_as_ready_as_the_inner_service() {
    use auth_tower::drain::DrainBody;
    type Handle = mock::Handle<Request<DrainBody<Full<Bytes>>>, Response<Full<Bytes>>>;
    let (mut service, mut handle): (_, Handle) = mock::spawn_layer(auth_tower::DrainLayer::new());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let reply = async {
        let (_, answer) = handle.next_request().await.unwrap();
        answer.send_response(done());
    };
    let (response, ()) = tokio::join!(service.call(good()), reply);
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test]
async fn a_refusal_does_not_reach_the_inner_service() {
    let (mut service, mut handle): (_, Handle) = mock::spawn_layer(VerifyLayer::new(verifier()));
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let response: Result<_, tower::BoxError> = service.call(request("GET", "/")).await;
    assert_eq!(response.unwrap().status(), 401);
    drop(service);
    assert!(handle.next_request().await.is_none());
}

#[tokio::test]
async fn asking_for_a_superuser_calls_the_instance_that_was_ready() {
    let (mut service, mut handle): (_, Handle) =
        mock::spawn_layer(RequireSuperuserLayer::new(auth()));
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let (response, ()) = tokio::join!(service.call(good()), reply(&mut handle));
    assert_eq!(response.unwrap().status(), 200);
    // The clone that stayed behind has to become ready by itself.
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
}

#[tokio::test]
async fn the_layers_stack_without_losing_readiness() {
    let (inner, mut handle): (_, Handle) = mock::pair();
    let service = tower::ServiceBuilder::new()
        .layer(VerifyLayer::new(verifier()))
        .layer(RequireSuperuserLayer::new(auth()))
        .service(inner);
    for _ in 0..3 {
        let (response, ()) = tokio::join!(service.clone().oneshot(good()), reply(&mut handle));
        assert_eq!(response.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn the_endpoints_are_always_ready() {
    let mut api = support::api(&Arc::default());
    for _ in 0..3 {
        let ready = ServiceExt::<Request<Full<Bytes>>>::ready(&mut api)
            .await
            .unwrap();
        assert_eq!(
            ready.call(request("GET", "/livez")).await.unwrap().status(),
            200
        );
    }
}
