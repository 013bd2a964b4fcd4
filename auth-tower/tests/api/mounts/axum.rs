use auth_core::Principal;
use auth_tower::VerifyLayer;
use axum::routing::get;
use axum::{Extension, Router};

use super::{endpoints, serve, walk_through};
use crate::support::verifier;

async fn me(Extension(caller): Extension<Principal>) -> String {
    caller.user_id.to_string()
}

#[tokio::test]
async fn axum_serves_the_endpoints_beside_its_own_routes() {
    let app = Router::new()
        .route("/me", get(me))
        .route_layer(VerifyLayer::new(verifier()))
        .route("/", get(|| async { "hello" }))
        .fallback_service(endpoints());
    walk_through(serve(app).await).await;
}

#[tokio::test]
async fn axum_serves_the_endpoints_one_by_one() {
    let app = Router::new()
        .route("/me", get(me))
        .route_layer(VerifyLayer::new(verifier()))
        .route("/", get(|| async { "hello" }))
        .route_service("/api/auth/{*rest}", endpoints())
        .route_service("/api/register/{*rest}", endpoints());
    walk_through(serve(app).await).await;
}

#[cfg(feature = "axum")]
mod sugar {
    use auth_core::claims::ExtraClaims;
    use auth_tower::ApiError;
    use auth_tower::axum::{Authenticated, Claims, RoleName, WithRole};

    use super::*;
    use crate::mounts::{answer, http_request};
    use crate::support::{GOOD, alice, error};

    async fn me(Authenticated(caller): Authenticated) -> String {
        caller.user_id.to_string()
    }

    async fn greet(caller: Option<Authenticated>) -> String {
        caller.map_or_else(|| "guest".to_owned(), |caller| caller.0.user_id.to_string())
    }

    #[tokio::test]
    async fn the_extractor_hands_the_caller_over() {
        let app = Router::new()
            .route("/me", get(me))
            .route_layer(VerifyLayer::new(verifier()))
            .route("/", get(|| async { "hello" }))
            .fallback_service(endpoints());
        walk_through(serve(app).await).await;
    }

    #[tokio::test]
    async fn the_extractor_refuses_where_nobody_verifies() {
        let address = serve(Router::new().route("/me", get(me))).await;
        let request = http_request("GET", address, "/me").header("authorization", GOOD.as_str());
        let refused = error(
            401,
            &[("www-authenticate", "Bearer")],
            "authentication_required",
            "authentication is required",
        );
        assert_eq!(answer(request).await.0, refused);
    }

    #[tokio::test]
    async fn an_optional_caller_may_be_a_guest() {
        let app = Router::new()
            .route("/", get(greet))
            .layer(VerifyLayer::new(verifier()).optional());
        let address = serve(app).await;
        assert_eq!(answer(http_request("GET", address, "/")).await.1, "guest");
        let request = http_request("GET", address, "/").header("authorization", GOOD.as_str());
        assert_eq!(answer(request).await.1, alice().user_id.to_string());
    }

    #[derive(serde::Deserialize)]
    struct Membership {
        tenant: String,
    }

    async fn tenant(Claims(membership): Claims<Membership>) -> String {
        membership.tenant
    }

    #[tokio::test]
    async fn claims_are_handed_over_typed_or_the_request_is_refused() {
        let claims = ExtraClaims::new(&serde_json::json!({"tenant": "acme"})).unwrap();
        let address = serve(
            Router::new()
                .route("/member", get(tenant))
                .layer(Extension(alice().with_claims(&claims)))
                .route("/nobody", get(tenant))
                .route("/other", get(tenant).layer(Extension(alice()))),
        )
        .await;
        let ask = |path| answer(http_request("GET", address, path));
        assert_eq!(ask("/member").await.1, "acme");
        let refused = |parameters, code, message| {
            error(401, &[("www-authenticate", parameters)], code, message)
        };
        assert_eq!(
            ask("/other").await.0,
            refused(
                "Bearer error=\"invalid_token\"",
                "token_invalid",
                "the token is not valid"
            )
        );
        assert_eq!(
            ask("/nobody").await.0,
            refused(
                "Bearer",
                "authentication_required",
                "authentication is required"
            )
        );
    }

    struct Editor;

    impl RoleName for Editor {
        const NAME: &'static str = "editor";
    }

    struct Auditor;

    impl RoleName for Auditor {
        const NAME: &'static str = "auditor";
    }

    async fn with_role<R>(caller: WithRole<R>) -> String {
        caller.caller.user_id.to_string()
    }

    #[tokio::test]
    async fn a_role_is_demanded_by_its_type() {
        let app = Router::new()
            .route("/editors", get(with_role::<Editor>))
            .route("/auditors", get(with_role::<Auditor>))
            .route_layer(VerifyLayer::new(verifier()));
        let address = serve(app).await;
        let ask = |path| {
            let request = http_request("GET", address, path);
            answer(request.header("authorization", GOOD.as_str()))
        };
        assert_eq!(ask("/editors").await.1, alice().user_id.to_string());
        let denied = error(
            403,
            &[("www-authenticate", "Bearer error=\"insufficient_scope\"")],
            "permission_denied",
            "you do not have permission to do this",
        );
        assert_eq!(ask("/auditors").await.0, denied);
    }

    #[tokio::test]
    async fn a_handler_may_answer_with_our_errors() {
        let handler = || async { Err::<(), _>(ApiError::NotFound) };
        let address = serve(Router::new().route("/", get(handler))).await;
        assert_eq!(
            answer(http_request("GET", address, "/")).await.0,
            error(404, &[], "not_found", "there is nothing at this path")
        );
    }
}
