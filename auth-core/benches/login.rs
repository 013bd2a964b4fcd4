//! What a refused login costs: for a user who exists and for one who does not (S4.2).
//!
//! Prints the medians of interleaved tries and their ratio.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "it prints its result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::store::SqliteStore;
use auth_core::{
    AuthService, Bootstrap, Engine, JwtKeys, Login, Password, Registration, RequestContext,
    SecretKey, SecretKeys,
};

const TRIES: usize = 200;

async fn engine() -> Engine {
    let store = SqliteStore::in_memory().await.unwrap();
    store.migrate().await.unwrap();
    let secret_keys = SecretKeys::new(SecretKey::generate().unwrap());
    let jwt_keys = JwtKeys::hs256(SecretKey::generate().unwrap());
    let engine = Engine::builder(Arc::new(store), secret_keys, jwt_keys)
        .build()
        .unwrap();
    let known = Registration::new(
        "known",
        Password::new("correct horse battery"),
        "known@example.org",
    );
    engine
        .create_superuser(known, Bootstrap::FirstSuperuser)
        .await
        .unwrap();
    engine
}

async fn refused(engine: &Engine, username: &str) -> Duration {
    let started = Instant::now();
    let refusal = engine
        .log_in(
            Login::new(username, Password::new("wrong password")),
            &RequestContext::default(),
        )
        .await;
    assert_eq!(refusal.unwrap_err().code(), "invalid_credentials");
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let engine = engine().await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        known.push(refused(&engine, "known").await);
        unknown.push(refused(&engine, "unknown").await);
    }
    let (known, unknown) = (median(known), median(unknown));
    println!("refused login, median of {TRIES}: known user {known:?}, unknown user {unknown:?}");
    println!(
        "ratio unknown / known: {:.3}",
        unknown.as_secs_f64() / known.as_secs_f64()
    );
}
