//! How a host tests its own application: in the process, without mails, without waiting.

use std::time::Duration;

use auth_core::testing::{TestAuth, principal};
use axum::body::Body;
use axum::extract::Request;
use axum::{Extension, Router};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

/// The status and the body of the answer to a GET.
async fn get_page(app: Router, path: &str, token: Option<&str>) -> (u16, String) {
    let request = match token {
        Some(token) => Request::get(path).header("authorization", format!("Bearer {token}")),
        None => Request::get(path),
    };
    let response = app.oneshot(request.body(Body::empty()).unwrap());
    let (parts, body) = response.await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (parts.status.as_u16(), String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_handler_is_tested_with_a_principal_that_is_injected() {
    let caller = principal();
    let greeting = format!("Hello, user {}.\n", caller.user_id);
    let app = Router::new().route("/me", get(me)).layer(Extension(caller));
    assert_eq!(get_page(app, "/me", None).await, (200, greeting));
}

#[tokio::test]
async fn the_application_greets_users_until_their_token_expires() {
    let auth = TestAuth::new().await;
    let alice = auth.register("alice").await;
    let token = auth.log_in("alice").await.access_token;
    let me = || get_page(app(auth.engine()), "/me", Some(token.expose()));
    assert_eq!(me().await, (200, format!("Hello, user {alice}.\n")));
    auth.clock().advance(Duration::from_secs(600));
    let (status, body) = me().await;
    assert_eq!(status, 401);
    assert!(body.contains("token_expired"), "{body}");
}

#[tokio::test]
async fn the_mailed_link_opens_a_page_of_the_application() {
    let auth = TestAuth::new().await;
    auth.register_unverified("bob").await;
    let link = auth.mailed_link("bob@example.org").await;
    let page = get_page(app(auth.engine()), &link.path_and_query, None).await;
    assert_eq!(page.0, 200);
}
