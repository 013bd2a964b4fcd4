//! How a host tests its own service: in the process, with a principal that is injected.

use auth_core::testing::principal;
use tonic::Code;

use super::*;

#[tokio::test]
async fn the_caller_is_greeted_by_the_id() {
    let caller = principal();
    let mut request = Request::new(GreetRequest {});
    request.extensions_mut().insert(caller.clone());
    let reply = Polite.greet(request).await.unwrap();
    let greeting = format!("Hello, user {}.", caller.user_id);
    assert_eq!(reply.into_inner(), GreetReply { greeting });
}

#[tokio::test]
async fn without_the_layer_nobody_is_greeted() {
    let refused = Polite.greet(Request::new(GreetRequest {})).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
}
