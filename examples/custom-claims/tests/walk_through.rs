//! Boots the application and uses it as its users do.

use example_walk_through::{Answer, App};

#[tokio::test]
async fn users_are_greeted_by_what_the_application_has_put_into_their_tokens() {
    let app = App::boot(env!("CARGO_BIN_EXE_example-custom-claims")).await;
    app.walk_through(async |token| {
        let answer = app.get("/me", token).await;
        if let Answer::Welcome(greeting) = &answer {
            let expected = "Hello, user of acme who may read the notes of ";
            assert!(greeting.starts_with(expected), "{greeting}");
        }
        answer
    })
    .await;
}
