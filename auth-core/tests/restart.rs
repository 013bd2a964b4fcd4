//! PostgreSQL restarts under two nodes. A program of its own, since its server is.
#![cfg(all(feature = "testing", feature = "postgres", unix))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use auth_core::store::PostgresStore;
use auth_core::testing::postgres::TemporaryDatabase;
use auth_core::{
    Argon2Params, AuthError, AuthService, Bootstrap, Clock, Engine, JwtKeys, Login, Password,
    PasswordHasher, Registration, RequestContext, SecretKey, SecretKeys, SystemClock,
};
use sqlx::{Connection, PgConnection};

const PASSWORD: &str = "correct horse battery";

fn node(url: &str) -> Engine {
    let secret = |text| SecretKey::parse(text).unwrap();
    let hasher = PasswordHasher::builder().with_params(Argon2Params::insecure_for_tests());
    Engine::builder(
        Arc::new(PostgresStore::connect(url).unwrap()),
        SecretKeys::new(secret("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0")),
        JwtKeys::hs256(secret("Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg")),
    )
    .with_password_hasher(hasher.build().unwrap())
    .build()
    .unwrap()
}

/// Kills one backend, at which the server ends all the others, and starts anew from its log.
async fn restart(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let killed = Command::new("kill")
        .args(["-KILL", &backend.to_string()])
        .status();
    assert!(killed.unwrap().success(), "the server runs on this machine");
    // It is gone when the connection is.
    while connection.ping().await.is_ok() {}
}

/// Asks until the store answers.
async fn ask<T>(mut question: impl AsyncFnMut() -> Result<T, AuthError>) -> T {
    loop {
        match question().await {
            Ok(answer) => return answer,
            Err(AuthError::Storage(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_7_after_a_restart_no_node_is_up_to_date_and_takes_what_was_revoked() {
    let database = TemporaryDatabase::create().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    store.migrate().await.unwrap();
    let [here, there] = [(), ()].map(|()| node(database.url()));
    let admin = Registration::new("admin", Password::new(PASSWORD), "admin@localhost");
    let created = here.create_superuser(admin, Bootstrap::FirstSuperuser);
    created.await.unwrap();
    tokio::spawn(there.revocation_follower().run(std::future::pending()));
    let rounds = async {
        for _ in 0..5 {
            let context = RequestContext::default();
            let login = || Login::new("admin", Password::new(PASSWORD));
            let pair = ask(async || here.log_in(login(), &context).await).await;
            let verify = || {
                there
                    .access_token_verifier()
                    .verify(pair.access_token.expose())
            };
            verify().unwrap();
            let refresh_token = pair.refresh_token.expose();
            let log_out = ask(async || here.log_out(refresh_token, &context).await);
            tokio::join!(restart(database.url()), log_out);
            let ended_at = SystemClock.now();
            loop {
                let confirmed_at = there.revocations().confirmed_at();
                let is_revoked = matches!(verify(), Err(AuthError::TokenRevoked));
                if confirmed_at.is_some_and(|at| at > ended_at) {
                    assert!(is_revoked, "the node says that it is up to date");
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    };
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, rounds).await.unwrap();
}
