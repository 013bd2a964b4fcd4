//! The layers: who gets through, with what, and what the others are told.

use std::convert::Infallible;
use std::sync::Arc;

use crate::support::{self, EXPIRED, GOOD, Scripted, alice, error, request, text, verifier, with};
use auth_core::store::StoreError;
use auth_core::{AuthError, AuthService, Principal, Superuser};
use auth_tower::{RequireRoleLayer, RequireSuperuserLayer, VerifyLayer};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};

/// Tells what it finds in the extensions.
async fn inner(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let caller = request.extensions().get::<Principal>();
    let superuser = request.extensions().get::<Superuser>();
    let found = format!(
        "caller: {:?}, superuser: {:?}",
        caller.map(|caller| caller.user_id),
        superuser.map(Superuser::user_id),
    );
    Ok(Response::new(Full::from(found)))
}

async fn through<L, C>(layer: L, request: Request<Full<Bytes>>) -> String
where
    L: Layer<tower::util::BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>>,
    L::Service: Service<Request<Full<Bytes>>, Response = Response<C>, Error = Infallible>,
    C: http_body::Body,
    C::Error: std::fmt::Debug,
{
    let service = layer.layer(service_fn(inner).boxed_clone());
    text(service.oneshot(request).await.unwrap()).await
}

fn found(caller: Option<Principal>, superuser: Option<Principal>) -> String {
    let caller = caller.map(|caller| caller.user_id);
    let superuser = superuser.map(|superuser| superuser.user_id);
    format!("200\n\n\ncaller: {caller:?}, superuser: {superuser:?}")
}

fn get(token: &str) -> Request<Full<Bytes>> {
    with(request("GET", "/"), "authorization", token)
}

fn unauthenticated() -> String {
    error(
        401,
        &[("www-authenticate", "Bearer")],
        "authentication_required",
        "authentication is required",
    )
}

#[tokio::test]
async fn a_good_token_brings_the_principal_along() {
    for layer in [
        VerifyLayer::new(verifier()),
        VerifyLayer::new(verifier()).optional(),
    ] {
        assert_eq!(through(layer, get(&GOOD)).await, found(Some(alice()), None));
    }
}

#[tokio::test]
async fn s6_17_without_credentials_the_request_is_refused() {
    let layer = VerifyLayer::new(verifier());
    assert_eq!(
        through(layer.clone(), request("GET", "/")).await,
        unauthenticated()
    );
    assert_eq!(through(layer, get("Basic YTpi")).await, unauthenticated());
}

#[tokio::test]
async fn without_credentials_a_guest_gets_through_where_guests_are_welcome() {
    let layer = VerifyLayer::new(verifier()).optional();
    assert_eq!(
        through(layer.clone(), request("GET", "/")).await,
        found(None, None)
    );
    assert_eq!(through(layer, get("Basic YTpi")).await, found(None, None));
}

#[tokio::test]
async fn s6_17_a_bad_token_is_refused_even_where_guests_are_welcome() {
    let cases = [
        ("Bearer forged", "token_invalid", "the token is not valid"),
        ("Bearer", "token_invalid", "the token is not valid"),
        (EXPIRED.as_str(), "token_expired", "the token has expired"),
    ];
    for (token, code, message) in cases {
        let challenge = ("www-authenticate", "Bearer error=\"invalid_token\"");
        let refused = error(401, &[challenge], code, message);
        for layer in [
            VerifyLayer::new(verifier()),
            VerifyLayer::new(verifier()).optional(),
        ] {
            assert_eq!(through(layer, get(token)).await, refused);
        }
    }
}

#[tokio::test]
async fn s6_16_two_credentials_are_refused() {
    let request = with(get(&GOOD), "authorization", &GOOD);
    let answer = through(VerifyLayer::new(verifier()).optional(), request).await;
    assert!(answer.contains("token_invalid"), "{answer}");
}

fn in_grpc(status: &str, message: &str) -> String {
    let headers = [
        ("content-type", "application/grpc"),
        ("grpc-message", message),
        ("grpc-status", status),
    ];
    let headers = support::COMMON.into_iter().chain(headers);
    support::written(200, headers, "")
}

#[tokio::test]
async fn a_grpc_client_is_refused_in_grpc() {
    let call = |request| with(request, "content-type", "application/grpc+proto");
    let verify = VerifyLayer::new(verifier());
    assert_eq!(
        through(verify.clone(), call(request("POST", "/"))).await,
        in_grpc("16", "authentication is required")
    );
    assert_eq!(
        through(verify.clone(), call(get(&EXPIRED))).await,
        in_grpc("16", "the token has expired")
    );
    let denied = Scripted {
        superuser: || Err(AuthError::PermissionDenied),
        ..Scripted::default()
    };
    let layer = (verify, RequireSuperuserLayer::new(Arc::new(denied)));
    assert_eq!(
        through(layer, call(get(&GOOD))).await,
        in_grpc("7", "you do not have permission to do this")
    );
}

#[tokio::test]
async fn s9_1_only_callers_with_the_role_get_through() {
    let with_role = |role: &str| (VerifyLayer::new(verifier()), RequireRoleLayer::new(role));
    assert_eq!(
        through(with_role("editor"), get(&GOOD)).await,
        found(Some(alice()), None)
    );
    let denied = error(
        403,
        &[("www-authenticate", "Bearer error=\"insufficient_scope\"")],
        "permission_denied",
        "you do not have permission to do this",
    );
    for role in ["superuser", "Editor", "edit", "editor ", ""] {
        assert_eq!(through(with_role(role), get(&GOOD)).await, denied, "{role}");
    }
    let unverified = RequireRoleLayer::new("editor");
    assert_eq!(through(unverified, get(&GOOD)).await, unauthenticated());
    let call = with(get(&GOOD), "content-type", "application/grpc");
    assert_eq!(
        through(with_role("auditor"), call).await,
        in_grpc("7", "you do not have permission to do this")
    );
}

fn superusers_only(service: Scripted) -> (VerifyLayer, RequireSuperuserLayer) {
    let service: Arc<dyn AuthService> = Arc::new(service);
    (
        VerifyLayer::new(verifier()),
        RequireSuperuserLayer::new(service),
    )
}

#[tokio::test]
async fn s9_2_a_superuser_gets_through_with_the_proof() {
    assert_eq!(
        through(superusers_only(Scripted::default()), get(&GOOD)).await,
        found(Some(alice()), Some(alice()))
    );
}

#[tokio::test]
async fn s9_2_who_is_no_superuser_now_is_refused() {
    let service = Scripted {
        superuser: || Err(AuthError::PermissionDenied),
        ..Scripted::default()
    };
    assert_eq!(
        through(superusers_only(service), get(&GOOD)).await,
        error(
            403,
            &[("www-authenticate", "Bearer error=\"insufficient_scope\"")],
            "permission_denied",
            "you do not have permission to do this"
        )
    );
}

#[tokio::test]
async fn s9_4_a_store_that_does_not_answer_lets_nobody_through() {
    let service = Scripted {
        superuser: || Err(AuthError::Storage(StoreError::Unavailable("down".into()))),
        ..Scripted::default()
    };
    assert_eq!(
        through(superusers_only(service), get(&GOOD)).await,
        error(
            503,
            &[("retry-after", "5")],
            "storage_unavailable",
            "the storage is not available"
        )
    );
}

#[tokio::test]
async fn without_a_principal_nobody_is_asked() {
    let service = Arc::new(Scripted::default());
    let asked: Arc<Scripted> = Arc::clone(&service);
    let layer = RequireSuperuserLayer::new(service);
    assert_eq!(through(layer, get(&GOOD)).await, unauthenticated());
    assert!(asked.calls().is_empty());
}
