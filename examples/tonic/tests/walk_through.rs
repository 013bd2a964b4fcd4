//! Boots the service and uses it as its users do: the accounts over HTTP, the rest over gRPC.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use example_tonic::greeter::GreetRequest;
use example_tonic::greeter::greeter_client::GreeterClient;
use example_walk_through::{Answer, App};
use tonic::{Code, Request};

async fn greet(url: &str, token: Option<&str>) -> Answer {
    let mut request = Request::new(GreetRequest {});
    if let Some(token) = token {
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
    }
    let mut client = GreeterClient::connect(url.to_owned()).await.unwrap();
    match client.greet(request).await {
        Ok(reply) => Answer::Welcome(reply.into_inner().greeting),
        Err(status) => {
            assert_eq!(status.code(), Code::Unauthenticated, "{status}");
            Answer::Unauthenticated
        }
    }
}

#[tokio::test]
async fn a_user_is_registered_verifies_logs_in_and_logs_out() {
    let app = App::boot(env!("CARGO_BIN_EXE_example-tonic")).await;
    app.walk_through(async |token| greet(&app.url, token).await)
        .await;
}
