//! Connections as other people's clients use them: Python's http.client, Node's agent, nginx.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod nginx;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;

use nginx::Nginx;
use support::Server;
use support::raw::{answers, connect, read_to_close, status};

/// How many requests of each kind a client makes; more than the budget of each that is to be used up.
const POSTS: usize = 120;

/// Each early refusal by the client's name for it, with the status that it gets.
const REFUSALS: [(&str, &str); 7] = [
    ("unauthenticated", "401"),
    ("not_found", "404"),
    ("method", "405"),
    ("too_large", "413"),
    ("far_too_large", "413"),
    ("type", "415"),
    ("throttled", "429"),
];

type Statuses = BTreeMap<String, BTreeMap<String, usize>>;

/// Runs the client in Python; fails if a connection broke.
fn post_with_delayed_bodies(port: &str, left_out: &[&str]) -> Statuses {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/delayed_bodies.py");
    let arguments = [script, "127.0.0.1", port, &POSTS.to_string()];
    let ran = Command::new("python3")
        .args(arguments)
        .args(left_out)
        .output()
        .unwrap();
    let broken = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{broken}");
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// Fails unless each request was answered, and each kind was refused as it should be.
#[track_caller]
fn are_refused(statuses: &Statuses) {
    for (kind, expected) in REFUSALS {
        let Some(of_kind) = statuses.get(kind) else {
            continue;
        };
        assert_eq!(of_kind.values().sum::<usize>(), POSTS, "{statuses:?}");
        assert!(of_kind.contains_key(expected), "{kind} in {statuses:?}");
        let strange = of_kind
            .keys()
            .find(|status| !["202", "429", expected].contains(&status.as_str()));
        assert_eq!(strange, None, "{kind} in {statuses:?}");
    }
}

fn port(server: &Server) -> &str {
    server.socket_address().rsplit_once(':').unwrap().1
}

#[test]
fn s19_6_no_refusal_breaks_a_connection_whose_body_comes_later() {
    let server = Server::start(&[("AUTH_THROTTLE", "on")]);
    are_refused(&post_with_delayed_bodies(port(&server), &[]));
}

#[test]
fn s19_6_behind_nginx_no_refusal_becomes_502() {
    let server = Server::start(&[("AUTH_THROTTLE", "on")]);
    for buffering in ["off", "on"] {
        let nginx = Nginx::start(server.socket_address(), buffering);
        // What is far above every limit nginx cuts off itself, when it has seen the answer.
        let statuses = post_with_delayed_bodies(&nginx.port().to_string(), &["far_too_large"]);
        assert_eq!(statuses.len(), REFUSALS.len() - 1);
        are_refused(&statuses);
    }
}

#[test]
fn s19_6_an_answer_to_a_body_that_is_not_read_arrives_and_says_close() {
    let server = Server::start(&[]);
    let head = "POST /api/nothing/ HTTP/1.1\r\nHost: a\r\n";
    // Sent whole before anything is read, as simple clients do: far more than sockets hold.
    let declared = "Content-Length: 12000000\r\n\r\n";
    let mut stream = connect(server.socket_address());
    let sent = format!("{head}{declared}{}", "x".repeat(12_000_000));
    stream.write_all(sent.as_bytes()).unwrap();
    closes_after_404(&read_to_close(&mut stream));

    // Who waits to be asked for the body is not asked, and need not send it.
    let mut stream = connect(server.socket_address());
    let expecting = format!("{head}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    stream.write_all(expecting.as_bytes()).unwrap();
    closes_after_404(&read_to_close(&mut stream));

    // A body that does not come at all.
    let mut stream = connect(server.socket_address());
    let silent = format!("{head}Content-Length: 5\r\n\r\n");
    stream.write_all(silent.as_bytes()).unwrap();
    closes_after_404(&read_to_close(&mut stream));
}

#[track_caller]
fn closes_after_404(received: &str) {
    assert_eq!((status(received), answers(received)), ("404", 1));
    assert!(received.contains("\r\nconnection: close\r\n"), "{received}");
    assert!(received.contains("\"code\":\"not_found\""), "{received}");
}

#[test]
fn s12_2_an_idle_connection_is_kept_as_long_as_its_client_was_told() {
    let server = Server::start(&[("AUTH_KEEP_ALIVE", "2s")]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/idle_agent.mjs");
    let url = server.url("/livez");
    let ran = Command::new("node")
        .args([script, &url, "500", "500", "4000"])
        .output()
        .unwrap();
    let error = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{error}");
    assert_eq!(
        ran.stdout, b"2\n",
        "the pause of 4 seconds needs another connection"
    );

    let mut stream = connect(server.socket_address());
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let received = read_to_close(&mut stream);
    assert!(
        received.contains("\r\nkeep-alive: timeout=2\r\n"),
        "{received}"
    );
    assert!(!received.contains("connection: close"), "{received}");
}

#[test]
fn s12_2_by_default_a_connection_is_kept_for_75_seconds() {
    let server = Server::start(&[]);
    let mut stream = connect(server.socket_address());
    // The second answer ends the connection, and promises nothing.
    stream
        .write_all(
            b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n\
              GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    let received = read_to_close(&mut stream);
    assert_eq!(answers(&received), 2, "{received}");
    assert!(
        received.contains("\r\nkeep-alive: timeout=75\r\n"),
        "{received}"
    );
}
