//! Two servers on one database: what one revokes, the other refuses by itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use crate::support::gate::Gate;
use crate::support::{Answer, PASSWORD, SECRETS, Server};
use auth_core::store::PostgresStore;
use auth_core::testing::postgres::TemporaryDatabase;
use auth_core::{
    Administration as _, Administrator, Bootstrap, Engine, JwtKeys, Password, Registration,
    RequestContext, SecretKey, SecretKeys, UserId,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the operator does without a server.
async fn engine(database: &TemporaryDatabase) -> Engine {
    let store = PostgresStore::connect(database.url()).unwrap();
    store.migrate().await.unwrap();
    let [secret_key, jwt_key] = SECRETS.map(|(_, secret)| SecretKey::parse(secret).unwrap());
    let keys = (SecretKeys::new(secret_key), JwtKeys::hs256(jwt_key));
    let builder = Engine::builder(Arc::new(store), keys.0, keys.1);
    builder.build().unwrap()
}

async fn create_superuser(engine: &Engine, name: &str) -> UserId {
    let email = format!("{name}@example.org");
    let user = Registration::new(name, Password::new(PASSWORD), email);
    let created = engine.create_superuser(user, Bootstrap::AnySuperuser).await;
    created.unwrap().unwrap()
}

fn server(database_url: &str, stale: &str) -> Server {
    Server::start(&[
        SECRETS[0],
        SECRETS[1],
        ("DATABASE_URL", database_url),
        ("AUTH_PUBLIC_URL", "http://127.0.0.1:8000"),
        ("AUTH_MAIL", "folder:outbox"),
        ("AUTH_REVOCATION_STALE", stale),
        ("AUTH_TOKEN_CACHE", "1000"),
    ])
}

/// Asks until the answer is as it must become.
async fn until(ask: impl AsyncFn() -> Answer, status: u16, code: &str) {
    let becomes = async {
        loop {
            let answer = ask().await;
            if answer.status.as_u16() == status && answer.body.contains(code) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, becomes).await.unwrap();
}

// On two threads: the gate forwards while the test waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_7_a_logout_at_one_server_ends_the_access_token_at_the_other() {
    let database = TemporaryDatabase::create().await;
    let operator = engine(&database).await;
    create_superuser(&operator, "op").await;
    let bob = create_superuser(&operator, "bob").await;
    let here = server(database.url(), "accept");
    let mut gate = Gate::open_to(database.url()).await;
    let there = server(&gate.url(), "accept");
    until(async || there.get("/readyz").await, 200, "ok").await;

    let ended = here.log_in("op", PASSWORD).await;
    let other = here.log_in("op", PASSWORD).await.text("access_token");
    let bobs = here.log_in("bob", PASSWORD).await.text("access_token");
    let access_token = ended.text("access_token");
    for (token, name) in [(&access_token, "carol"), (&bobs, "dave")] {
        let registered = there.register(token, name).await;
        registered.is(201, r#"{"is_error":0,"message":"success"}"#);
    }

    let logout = here.log_out(&ended.text("refresh_token")).await;
    assert_eq!(logout.status.as_u16(), 200);
    let (by, context) = (Administrator::Operator, RequestContext::default());
    let demoted = operator.revoke_superuser(by, bob, &context).await;
    demoted.unwrap();
    // The database alone would say that the permission is denied. What was revoked before this was
    // told before.
    until(
        async || there.register(&bobs, "erin").await,
        401,
        "token_expired",
    )
    .await;

    // Without the database it can only be the memory that tells the two apart.
    gate.shut();
    let refused = there.register(&access_token, "erin").await;
    refused.is_error(401, "token_revoked");
    let unknown = there.register(&other, "erin").await;
    unknown.is_error(503, "storage_unavailable");

    gate.open().await;
    until(async || there.get("/readyz").await, 200, "ok").await;
    let registered = there.register(&other, "erin").await;
    assert_eq!(registered.status.as_u16(), 201);
    for server in [here, there] {
        let (status, _, log) = server.stop();
        assert!(status.success(), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_7_a_stale_server_says_so_and_refuses_where_it_was_told_to() {
    let database = TemporaryDatabase::create().await;
    let operator = engine(&database).await;
    create_superuser(&operator, "op").await;
    let mut gate = Gate::open_to(database.url()).await;
    let server = server(&gate.url(), "refuse");
    until(async || server.get("/readyz").await, 200, "ok").await;
    let access_token = server.log_in("op", PASSWORD).await.text("access_token");

    gate.shut();
    let ask = async || server.register(&access_token, "alice").await;
    until(ask, 503, "the revocation feed is stale").await;
    assert!(ask().await.headers.contains_key("retry-after"));

    gate.open().await;
    until(ask, 201, "success").await;
}
