//! Guessing slows down, restarts forget nothing, and the operator learns why.

use crate::support::{Embedded, PASSWORD, Server, run};

const ON: [(&str, &str); 1] = [("AUTH_THROTTLE", "on")];

#[tokio::test]
async fn s5_1_s5_5_the_eleventh_guess_waits_also_after_a_restart() {
    let Embedded { server, password } = Embedded::start(&ON);
    for _ in 0..10 {
        let guess = server.log_in("nobody", PASSWORD).await;
        guess.is_error(401, "invalid_credentials");
        let guess = server.log_in("admin", "a wrong password").await;
        guess.is_error(401, "invalid_credentials");
    }
    for name in ["admin", "nobody"] {
        let refused = server.log_in(name, &password).await;
        refused.is_error(429, "too_many_attempts");
        let wait: u64 = refused.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
    }
    let folder = server.folder();
    let (status, _, _) = server.stop();
    assert!(status.success());

    let server = Server::start_in(folder, &ON);
    let refused = server.log_in("admin", &password).await;
    refused.is_error(429, "too_many_attempts");
    let request_id = refused.headers["x-request-id"].to_str().unwrap().to_owned();
    let folder = server.folder();
    server.stop();

    let explained = run(folder.path(), &["explain", &request_id], &[]);
    let explanation = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.status.success());
    for expected in [
        "login_refused",
        "reason=account_throttled",
        "client=127.0.0.1",
        &request_id,
        "Too many tries have failed for this name",
    ] {
        assert!(
            explanation.contains(expected),
            "{expected} in {explanation}"
        );
    }
}

#[tokio::test]
async fn s14_4_the_operator_learns_which_rule_refused_a_login() {
    let Embedded { server, .. } = Embedded::start(&[]);
    let wrong = server.log_in("admin", "a wrong password").await;
    let unknown = server.log_in("nobody", PASSWORD).await;
    let folder = server.folder();
    server.stop();
    for (answer, expected) in [
        (wrong, "The password is not this user's."),
        (unknown, "Nobody has this name."),
    ] {
        answer.is_error(401, "invalid_credentials");
        let request_id = answer.headers["x-request-id"].to_str().unwrap();
        let explained = run(folder.path(), &["explain", request_id], &[]);
        let explanation = String::from_utf8(explained.stdout).unwrap();
        assert!(explanation.contains(expected), "{explanation}");
    }
}
