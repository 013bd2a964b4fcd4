//! A server whose clock is not the database's: the database's is moved.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, SystemTime};

use crate::support::{PASSWORD, Production, Server};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

const PATIENCE: Duration = Duration::from_secs(30);

/// Finds what stands in `public` before what is built in.
const SHADOWED: &str = "DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database());
END $$";

/// Lets the server see the database's clock so many seconds ahead.
async fn move_clock(database: &mut PgConnection, seconds: u32) {
    let function = format!(
        "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz
         LANGUAGE sql VOLATILE
         AS $$ SELECT pg_catalog.clock_timestamp() + interval '{seconds} s' $$"
    );
    let function = sqlx::query(AssertSqlSafe(function));
    function.execute(database).await.unwrap();
}

/// What `/readyz` says becomes this.
async fn readiness_becomes(server: &Server, status: u16, part: &str) {
    let becomes = async {
        loop {
            let answer = server.get("/readyz").await;
            if answer.status.as_u16() == status && answer.body.contains(part) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, becomes).await.unwrap();
}

async fn log_has(server: &Server, level: &str, part: &str) {
    let has = async {
        while !server
            .log()
            .lines()
            .any(|line| line.contains(level) && line.contains(part))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, has).await;
    assert!(found.is_ok(), "no {level} with {part} in {}", server.log());
}

async fn metric(server: &Server, name: &str) -> String {
    let url = server.observe_url("/metrics").unwrap();
    let page = reqwest::get(url).await.unwrap().text().await.unwrap();
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value
        .unwrap_or_else(|| panic!("no {name} in {page}"))
        .to_owned()
}

async fn difference(server: &Server) -> f64 {
    let difference = metric(server, "auth_clock_difference_seconds").await;
    difference.parse().unwrap()
}

/// How often the clocks came to be apart.
async fn apart(server: &Server) -> String {
    metric(server, "auth_clock_apart_total").await
}

/// How far in the future the token says that it was issued.
fn issued_ahead(access_token: &str) -> f64 {
    let claims = access_token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    claims.get("iat").unwrap().as_f64().unwrap() - now.unwrap().as_secs_f64()
}

fn is_about(value: f64, expected: f64) -> bool {
    (value - expected).abs() < 2.0
}

#[tokio::test]
async fn fault_b7_b7a_a_server_says_that_its_clock_is_wrong_and_is_not_ready() {
    let Production {
        server,
        database,
        variables,
    } = Production::start(&[("AUTH_OBSERVE_BIND", "127.0.0.1:0")]).await;
    drop(server);
    let mut operator = PgConnection::connect(database.url()).await.unwrap();
    sqlx::query(SHADOWED).execute(&mut operator).await.unwrap();
    move_clock(&mut operator, 0).await;
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let server = Server::start(&variables);
    readiness_becomes(&server, 200, "ok").await;
    assert!(!server.log().contains("clock"), "{}", server.log());
    assert!(is_about(difference(&server).await, 0.0));

    move_clock(&mut operator, 3).await;
    log_has(
        &server,
        "WARN",
        "the clocks of this node and of the database differ",
    )
    .await;
    readiness_becomes(&server, 200, "ok").await;
    assert!(is_about(difference(&server).await, 3.0));
    assert_eq!(apart(&server).await, "0");

    move_clock(&mut operator, 83).await;
    readiness_becomes(&server, 503, "clock").await;
    log_has(&server, "ERROR", "more than 5 seconds apart").await;
    assert!(is_about(difference(&server).await, 83.0));
    assert_eq!(apart(&server).await, "1");
    // Who reaches it nevertheless is served, in the time of the others.
    let login = server.log_in("op", PASSWORD).await;
    let access_token = login.text("access_token");
    assert!(is_about(issued_ahead(&access_token), 83.0));
    let registered = server.register(&access_token, "alice").await;
    assert_eq!(registered.status.as_u16(), 201);
    assert_eq!(
        server
            .log_out(&login.text("refresh_token"))
            .await
            .status
            .as_u16(),
        200
    );
    let refused = server.register(&access_token, "bob").await;
    refused.is_error(401, "token_revoked");

    move_clock(&mut operator, 0).await;
    readiness_becomes(&server, 200, "ok").await;
    log_has(&server, "INFO", "agree again").await;
    assert_eq!(apart(&server).await, "1");
    let (status, _, log) = server.stop();
    assert!(status.success(), "{log}");
}
