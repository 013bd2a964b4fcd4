//! The main job, on each database, through the process and its sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::mail::{SmtpListener, from_folder};
use crate::support::{self, Answer, Embedded, PASSWORD, SECRETS, Server, run};
use auth_core::testing::postgres::TemporaryDatabase;
use serde_json::json;

const SUCCESS: &str = r#"{"is_error":0,"message":"success"}"#;
const LOGGED_OUT: &str = r#"{"message":"Successfully logged out."}"#;

/// A migrated PostgreSQL with a superuser `operator`.
async fn postgres() -> (TemporaryDatabase, Vec<(&'static str, String)>) {
    let database = TemporaryDatabase::create().await;
    let mut variables: Vec<(&str, String)> = SECRETS
        .iter()
        .map(|&(name, value)| (name, value.to_owned()))
        .collect();
    variables.push(("DATABASE_URL", database.url().to_owned()));
    variables.push(("AUTH_MAIL", "folder:outbox".to_owned()));
    variables.push(("AUTH_PUBLIC_URL", "http://127.0.0.1:8000".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let mut borrowed = borrow(&variables);
    borrowed.push(("AUTH_SUPERUSER_PASSWORD", PASSWORD));
    let migrated = run(folder.path(), &["migrate"], &borrowed);
    assert!(migrated.status.success(), "{migrated:?}");
    let create = [
        "createsuperuser",
        "--username",
        "operator",
        "--email",
        "operator@example.org",
        "--noinput",
    ];
    let created = run(folder.path(), &create, &borrowed);
    assert!(created.status.success(), "{created:?}");
    let again = run(folder.path(), &create, &borrowed);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("--force"),
        "{again:?}"
    );
    (database, variables)
}

fn borrow<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

#[tokio::test]
async fn the_embedded_server_does_the_main_job_with_nothing_configured() {
    let Embedded { server, password } = Embedded::start(&[]);
    server
        .log_in("admin", "wrong password")
        .await
        .is_error(401, "invalid_credentials");
    let admin = server.log_in("admin", &password).await;
    server
        .register(&admin.text("access_token"), "alice")
        .await
        .is(201, SUCCESS);
    server
        .register(&admin.text("access_token"), "Alice")
        .await
        .is_error(409, "username_taken");
    server
        .log_in("alice", PASSWORD)
        .await
        .is_error(403, "email_not_verified");

    let mail = from_folder(&server.path("auth-data/outbox"));
    assert_eq!(mail.to, "alice@example.org");
    assert!(
        mail.link
            .starts_with(&server.url("/api/register/verify/?token=")),
        "{mail:?}"
    );
    let page = server
        .get(&format!("/api/register/verify/?token={}", mail.token))
        .await;
    assert_eq!(page.status.as_u16(), 200);
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    server.verify(&mail.token).await.is(200, SUCCESS);
    server.verify(&mail.token).await.is_error(400, "link_used");

    let alice = server.log_in("alice", PASSWORD).await;
    let members: Vec<String> = alice.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["access_token", "refresh_token"]);
    server
        .register(&alice.text("access_token"), "bob")
        .await
        .is_error(403, "permission_denied");
    let refresh_token = alice.text("refresh_token");
    let refreshed = server.refresh(&refresh_token).await;
    let access_token = refreshed.text("access_token");
    refreshed.is(200, &format!("{{\"access_token\":\"{access_token}\"}}"));
    server.log_out(&refresh_token).await.is(200, LOGGED_OUT);
    server
        .refresh(&refresh_token)
        .await
        .is_error(401, "token_revoked");
    server.log_out(&refresh_token).await.is(200, LOGGED_OUT);
    server
        .register(&access_token, "bob")
        .await
        .is_error(401, "token_revoked");
}

#[tokio::test]
async fn two_servers_on_one_postgresql_do_the_main_job_together() {
    let (_database, variables) = postgres().await;
    let one = Server::start(&borrow(&variables));
    let other = Server::start(&borrow(&variables));
    let operator = one.log_in("operator", PASSWORD).await.text("access_token");
    other.register(&operator, "alice").await.is(201, SUCCESS);
    let mail = from_either(&one, &other);
    one.verify(&mail.token).await.is(200, SUCCESS);
    let refresh_token = one.log_in("alice", PASSWORD).await.text("refresh_token");
    assert_eq!(other.refresh(&refresh_token).await.status.as_u16(), 200);
    other.log_out(&refresh_token).await.is(200, LOGGED_OUT);
    one.refresh(&refresh_token)
        .await
        .is_error(401, "token_revoked");
}

/// Whichever node was quicker delivers.
fn from_either(one: &Server, other: &Server) -> support::mail::Received {
    let (sender, receiver) = std::sync::mpsc::channel();
    for server in [one, other] {
        let (folder, sender) = (server.path("outbox"), sender.clone());
        std::thread::spawn(move || sender.send(from_folder(&folder)));
    }
    receiver.recv().unwrap()
}

#[tokio::test]
async fn s8_5_mail_goes_over_smtp() {
    let smtp = SmtpListener::start();
    let Embedded { server, password } = Embedded::start(&[
        ("AUTH_MAIL", &smtp.url),
        ("AUTH_MAIL_FROM", "Example <auth@example.org>"),
        ("AUTH_PUBLIC_URL", "https://auth.example.org"),
    ]);
    let admin = server.log_in("admin", &password).await.text("access_token");
    server.register(&admin, "alice").await.is(201, SUCCESS);
    let mail = smtp.receive();
    assert_eq!(mail.to, "alice@example.org");
    assert!(
        mail.link
            .starts_with("https://auth.example.org/api/register/verify/")
    );
    server.verify(&mail.token).await.is(200, SUCCESS);
    assert_eq!(server.log_in("alice", PASSWORD).await.status.as_u16(), 200);
}

#[tokio::test]
async fn s7_8_with_rotation_on_the_answer_carries_the_next_refresh_token() {
    let Embedded { server, password } = Embedded::start(&[("AUTH_REFRESH_ROTATION", "on")]);
    let first = server
        .log_in("admin", &password)
        .await
        .text("refresh_token");
    let refreshed = server.refresh(&first).await;
    let members: Vec<String> = refreshed
        .json()
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(members, ["access_token", "refresh_token"]);
    let second = refreshed.text("refresh_token");
    assert_eq!(server.refresh(&first).await.text("refresh_token"), second);
    server.refresh(&second).await;
    server.refresh(&first).await.is_error(401, "token_revoked");
    server.refresh(&second).await.is_error(401, "token_revoked");
}

#[tokio::test]
async fn s7_8_a_contested_refresh_is_409_and_ends_nothing() {
    let Embedded { server, password } = Embedded::start(&[("AUTH_REFRESH_ROTATION", "on")]);
    let login = server.log_in("admin", &password).await;
    let first = login.text("refresh_token");
    let refresh = async |key: &str| {
        let request = reqwest::Client::new()
            .post(server.url("/api/auth/token/refresh/"))
            .header("idempotency-key", key)
            .json(&json!({"refresh_token": first}));
        Answer::of(request.send().await.unwrap()).await
    };
    let second = refresh("\"one\"").await.text("refresh_token");
    let contested = refresh("\"other\"").await;
    contested.is_error(409, "refresh_contested");
    assert_eq!(contested.headers.get("retry-after").unwrap(), "1");
    assert!(!contested.headers.contains_key("set-cookie"));
    assert_eq!(refresh("\"one\"").await.text("refresh_token"), second);
    assert_eq!(server.refresh(&second).await.status.as_u16(), 200);
}
