//! Boots the application and uses it as its users do.

use example_walk_through::{Answer, App};

#[tokio::test]
async fn a_user_is_registered_verifies_logs_in_and_logs_out() {
    let app = App::boot(env!("CARGO_BIN_EXE_example-warp")).await;
    let hello = Answer::Welcome("Hello, everybody.\n".to_owned());
    assert_eq!(app.get("/", None).await, hello);
    app.walk_through(async |token| app.get("/me", token).await)
        .await;
}
