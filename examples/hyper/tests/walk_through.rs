//! Boots the service and uses it as its users do.

use example_walk_through::App;

#[tokio::test]
async fn a_user_is_registered_verifies_logs_in_and_logs_out() {
    let app = App::boot(env!("CARGO_BIN_EXE_example-hyper")).await;
    app.walk_through(async |token| app.get("/", token).await)
        .await;
}
