//! The audit trail, as an operator reads it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use crate::support::{Embedded, PASSWORD, run};
use serde_json::Value;

/// What `auth-server events` prints, the earliest first.
fn events(folder: &Path, flags: &[&str]) -> Vec<Value> {
    let arguments = [&["events", "--json"], flags].concat();
    let output = run(folder, &arguments, &[]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    let events = printed.lines().rev();
    events
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn s14_4_every_security_relevant_act_leaves_an_event() {
    let Embedded { server, password } = Embedded::start(&[("AUTH_REQUIRE_VERIFIED_EMAIL", "no")]);
    let pair = server.log_in("admin", &password).await;
    let (access, refresh) = (pair.text("access_token"), pair.text("refresh_token"));
    server
        .register(&access, "alice")
        .await
        .is(201, r#"{"is_error":0,"message":"success"}"#);
    server
        .register(&access, "alice")
        .await
        .is_error(409, "username_taken");
    server
        .log_in("nobody", PASSWORD)
        .await
        .is_error(401, "invalid_credentials");
    server
        .log_in("alice", "a wrong password")
        .await
        .is_error(401, "invalid_credentials");
    let alice = server.log_in("alice", PASSWORD).await.text("access_token");
    server
        .register(&alice, "bob")
        .await
        .is_error(403, "permission_denied");
    server
        .verify("not a token")
        .await
        .is_error(400, "link_invalid");
    server.log_out(&refresh).await;
    server.log_out(&refresh).await;
    server
        .refresh(&refresh)
        .await
        .is_error(401, "token_revoked");
    let folder = server.folder();
    let (status, _, log) = server.stop();
    assert!(status.success());

    let trail = events(folder.path(), &[]);
    assert_eq!(
        kinds(&trail),
        [
            "superuser_created",
            "keys_changed",
            "logged_in",
            "user_registered",
            "registration_refused",
            "login_refused",
            "login_refused",
            "logged_in",
            "access_denied",
            "verification_refused",
            "logged_out",
            "refresh_refused",
        ]
    );
    let reasons: Vec<_> = trail
        .iter()
        .filter_map(|event| event["reason"].as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "username_taken",
            "unknown_user",
            "wrong_password",
            "permission_denied",
            "link_invalid",
            "token_revoked"
        ]
    );
    let id_of = |index: usize| {
        trail.get(index).unwrap()["user"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (admin, alice_id) = (id_of(0), id_of(3));
    assert_eq!(trail.get(3).unwrap()["actor"], admin.as_str());
    assert_eq!(id_of(10), admin, "the logout is the session's user's");
    // The start before made the superuser and the keys.
    for event in trail.iter().skip(2) {
        assert!(
            log.contains(event["id"].as_str().unwrap()),
            "told in the log: {event}"
        );
    }

    let of_alice = events(folder.path(), &["--user", "alice"]);
    assert_eq!(
        kinds(&of_alice),
        [
            "user_registered",
            "login_refused",
            "logged_in",
            "access_denied"
        ]
    );
    assert_eq!(events(folder.path(), &["--user", &alice_id]), of_alice);
    let logins = events(
        folder.path(),
        &["--kind", "logged_in", "--since", "1h", "--limit", "1"],
    );
    assert_eq!(logins, of_alice.get(2..3).unwrap());

    let printed = run(folder.path(), &["events"], &[]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(printed.lines().count(), trail.len());
    for secret in [
        &access,
        &refresh,
        &alice,
        &password,
        PASSWORD,
        "a wrong password",
        "nobody",
    ] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn what_cannot_be_understood_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let migrated = run(folder.path(), &["migrate"], &[]);
    assert!(migrated.status.success());
    for (arguments, expected) in [
        (
            ["events", "--user", "no\u{1b}body"],
            "auth-server: --user: nobody has the name no\\u{1b}body; a user who was deleted has only the id\n",
        ),
        (
            ["events", "--since", "yesterday"],
            "auth-server: --since: must be a time such as 2026-11-23T05:00:00Z, or how long ago, such as 2h\n",
        ),
    ] {
        let output = run(folder.path(), &arguments, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
    let output = run(folder.path(), &["explain", "no-such-request"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no event has this request id"), "{error}");
}
