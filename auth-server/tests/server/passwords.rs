//! What new passwords may be, as the settings say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::PathBuf;

use crate::support::{Answer, Embedded, PASSWORD, Server, run};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

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

/// A list with the SHA-1 of `churning potato`.
const BREACHED: &str = "4F01D2EA91DF4AD5E8BD1706D53DBEC52DCAC7C3:7\r\n\
                        FFFFFFFEE791CBAC0F6305CAF0CEE06BBE131160:2\r\n";

const ON_FAILURE: &str = "AUTH_BREACHED_PASSWORDS_ON_FAILURE";

/// A server with that list, and where the list is.
fn with_breached(folder: &TempDir, variables: &[(&str, &str)]) -> (Embedded, PathBuf) {
    let list = folder.path().join("pwnedpasswords.txt");
    fs::write(&list, BREACHED).unwrap();
    let mut all = vec![("AUTH_BREACHED_PASSWORDS", list.to_str().unwrap())];
    all.extend(variables);
    (Embedded::start(&all), list)
}

#[tokio::test]
async fn s2_6_a_breached_password_is_refused_wherever_one_is_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let (embedded, list) = with_breached(
        &folder,
        &[
            ("AUTH_ENDPOINTS", "account"),
            ("AUTH_REQUIRE_VERIFIED_EMAIL", "no"),
        ],
    );
    let (server, bearer) = (&embedded.server, embedded.superuser_token().await);
    let breached = json!(["has appeared in a data breach"]);

    let refused = register(server, &bearer, "alice", "churning potato").await;
    refused.is_error(400, "validation_failed");
    assert_eq!(refused.json()["errors"], json!({ "password": breached }));
    let accepted = register(server, &bearer, "alice", PASSWORD).await;
    assert_eq!(accepted.status.as_u16(), 201, "{accepted:?}");

    let token = server.log_in("alice", PASSWORD).await.text("access_token");
    let body = json!({"current_password": PASSWORD, "new_password": "churning potato"});
    let path = "/api/auth/password/change/";
    let refused = server
        .request(Method::POST, path, Some(&token), Some(body))
        .await;
    refused.is_error(400, "validation_failed");
    let errors = refused.json()["errors"].clone();
    assert_eq!(errors, json!({ "new_password": breached }));

    let arguments = ["createsuperuser", "--noinput", "--force"];
    let names = ["--username", "root", "--email", "root@mail.example"];
    let made = run(
        &server.path(""),
        &[&arguments[..], &names].concat(),
        &[
            ("AUTH_BREACHED_PASSWORDS", list.to_str().unwrap()),
            ("AUTH_SUPERUSER_PASSWORD", "churning potato"),
        ],
    );
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(said.contains("the password has appeared"), "{said}");
    let log = server.log();
    assert!(!log.contains("potato") && !log.contains("4F01D"), "{log}");
}

#[tokio::test]
async fn s2_6_without_an_answer_about_breaches_the_setting_decides() {
    for (on_failure, status, logged) in [
        (None, 400, "refused unchecked"),
        (Some("refuse"), 400, "refused unchecked"),
        (Some("accept"), 201, "accepted unchecked"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let variables = on_failure.map(|choice| (ON_FAILURE, choice));
        let (embedded, list) = with_breached(&folder, variables.as_slice());
        let bearer = embedded.superuser_token().await;
        fs::remove_file(&list).unwrap();

        let answer = register(&embedded.server, &bearer, "alice", "churning potato").await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        if status == 400 {
            let errors = json!({"password": ["cannot be checked now, try again later"]});
            assert_eq!(answer.json()["errors"], errors);
        }
        let (_, _, log) = embedded.server.stop();
        let line = log.lines().find(|line| line.contains(logged));
        let line = line.unwrap_or_else(|| panic!("not logged: {log}"));
        assert!(line.contains(list.to_str().unwrap()), "{line}");
        assert!(!log.contains("potato"), "{log}");
    }
}

#[test]
fn s2_6_a_list_of_breached_passwords_that_cannot_be_used_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    let variables = [("AUTH_BREACHED_PASSWORDS", "list.txt")];
    for (text, why) in [
        (None, "list.txt cannot be read: "),
        (Some("correct horse battery\n"), "not a SHA-1 hash"),
    ] {
        if let Some(text) = text {
            fs::write(&list, text).unwrap();
        }
        for command in ["serve", "check"] {
            let output = run(folder.path(), &[command], &variables);
            assert_eq!(output.status.code(), Some(1));
            let mut said = String::from_utf8(output.stdout).unwrap();
            said.push_str(&String::from_utf8(output.stderr).unwrap());
            let setting = "AUTH_BREACHED_PASSWORDS (`breached_passwords`) cannot be used: ";
            assert!(said.contains(setting) && said.contains(why), "{said}");
        }
    }
    fs::write(&list, BREACHED).unwrap();
    let output = run(folder.path(), &["check"], &variables);
    assert!(output.status.success(), "{output:?}");
}
