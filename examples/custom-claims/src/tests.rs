//! How a host tests what depends on its claims.

use auth_core::testing::{TestAuth, principal};
use axum::body::Body;
use axum::extract::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

/// The status and the body of the answer to a user with this token.
async fn greeting(app: Router, token: &str) -> (u16, String) {
    let request = Request::get("/me").header("authorization", format!("Bearer {token}"));
    let response = app.oneshot(request.body(Body::empty()).unwrap());
    let (parts, body) = response.await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (parts.status.as_u16(), String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_caller_with_any_claims_is_made_in_one_line() {
    let auth = TestAuth::new().await;
    let globex = Membership {
        tenant: "globex".to_owned(),
        permissions: vec!["stay".to_owned()],
    };
    let caller = principal().with_claims(&ExtraClaims::new(&globex).unwrap());
    let answer = greeting(app(auth.engine()), auth.access_token(&caller).expose()).await;
    assert_eq!(
        answer,
        (200, "Hello, user of globex who may stay.\n".to_owned())
    );
}

#[tokio::test]
async fn a_token_without_the_claims_is_to_be_refreshed() {
    let auth = TestAuth::new().await;
    let token = auth.access_token(&principal());
    let (status, body) = greeting(app(auth.engine()), token.expose()).await;
    assert_eq!(status, 401);
    assert!(body.contains("token_invalid"), "{body}");
}
