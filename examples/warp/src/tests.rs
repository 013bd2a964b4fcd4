//! How a host tests its own application: in the process, without mails, without waiting.

use std::time::Duration;

use auth_core::testing::{TestAuth, principal};
use warp::test::request;

use super::*;

#[tokio::test]
async fn a_caller_out_of_thin_air_is_greeted_until_the_token_expires() {
    let auth = TestAuth::new().await;
    let app = app(auth.engine());
    let caller = principal();
    let token = format!("Bearer {}", auth.access_token(&caller).expose());
    let me = || request().path("/me").header("authorization", &token);
    let greeting = format!("Hello, user {}.\n", caller.user_id);
    assert_eq!(me().reply(&app).await.body(), &greeting);
    auth.clock().advance(Duration::from_secs(600));
    assert_eq!(me().reply(&app).await.status(), 401);
}
