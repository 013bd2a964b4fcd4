//! What new passwords may be, as the settings say.

mod support;

use reqwest::Method;
use serde_json::json;
use support::{Answer, Embedded, Server};

async fn register(server: &Server, bearer: &str, name: &str, password: &str) -> Answer {
    let body = json!({
        "username": name, "password": password, "email": format!("{name}@mail.example"),
    });
    server
        .request(Method::POST, "/api/register/", Some(bearer), Some(body))
        .await
}

#[tokio::test]
async fn s2_7_names_of_the_service_make_no_password() {
    let embedded = Embedded::start(&[
        ("AUTH_PUBLIC_URL", "https://login.wonderland.example"),
        ("AUTH_PASSWORD_CONTEXT", "White Rabbit, teaparty"),
    ]);
    let bearer = embedded.superuser_token().await;
    let server = &embedded.server;
    for password in [
        "Wonderland2024",
        "wonderland.example1",
        "auth-server!23",
        "white rabbit 42",
        "TEAPARTY2024!",
    ] {
        let refused = register(server, &bearer, "alice", password).await;
        refused.is_error(400, "validation_failed");
        assert!(
            refused.body.contains("the name of the service"),
            "{refused:?}"
        );
    }
    let accepted = register(server, &bearer, "alice", "wonderland and much more").await;
    assert_eq!(accepted.status.as_u16(), 201, "{accepted:?}");
}

#[tokio::test]
async fn s2_1_the_operator_can_ask_for_longer_passwords() {
    let embedded = Embedded::start(&[("AUTH_PASSWORD_MIN_LENGTH", "40")]);
    let bearer = embedded.superuser_token().await;
    let thirty_nine = "correct horse battery staple violin tea";
    let refused = register(&embedded.server, &bearer, "alice", thirty_nine).await;
    refused.is_error(400, "validation_failed");
    assert!(refused.body.contains("40 characters"), "{refused:?}");
    let forty = format!("{thirty_nine}s");
    let accepted = register(&embedded.server, &bearer, "alice", &forty).await;
    assert_eq!(accepted.status.as_u16(), 201, "{accepted:?}");
}
