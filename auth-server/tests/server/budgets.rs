//! Who is taken for the client, and what it may ask.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{PASSWORD, Server, run};
use reqwest::Client;

const ON: (&str, &str) = ("AUTH_THROTTLE", "on");

/// More than the budget of logins; a machine that is too slow for this has spent minutes.
const MANY: usize = 400;

/// The status of a login without credentials, which costs a request and no hash.
async fn log_in(server: &Server, http: &Client, header: (&str, &str)) -> u16 {
    let request = http
        .post(server.url("/api/auth/token/"))
        .header("content-type", "application/json")
        .header(header.0, header.1)
        .body("{}");
    let answer = request.send().await.unwrap();
    if answer.status().as_u16() == 429 {
        let wait = answer.headers().get("retry-after").unwrap();
        assert!(wait.to_str().unwrap().parse::<u64>().unwrap() >= 1);
        assert!(answer.text().await.unwrap().contains("too_many_attempts"));
        return 429;
    }
    answer.status().as_u16()
}

/// Whether one of many logins with such a header is refused; its value gets the number.
async fn meets_429(server: &Server, header: &str, value: impl Fn(usize) -> String) -> bool {
    let http = Client::new();
    for number in 0..MANY {
        match log_in(server, &http, (header, &value(number))).await {
            429 => return true,
            status => assert_eq!(status, 400),
        }
    }
    false
}

#[tokio::test]
async fn s5_4_an_untrusted_peer_that_rotates_forwarded_headers_is_one_client() {
    for (header, name) in [("x-forwarded-for", ""), ("forwarded", "for=")] {
        let value = |number| format!("{name}198.51.100.{number}");
        let server = Server::start(&[ON]);
        let folder = server.folder();
        assert!(meets_429(&server, header, value).await, "{header}");
        let (_, _, log) = server.stop();
        assert!(log.contains(r#""client":"127.0.0.1""#), "{log}");
        assert!(!log.contains("198.51.100."), "{log}");
        let events = run(folder.path(), &["events", "--json"], &[]);
        let events = String::from_utf8(events.stdout).unwrap();
        assert!(!events.contains("198.51.100."), "{events}");
    }
}

#[tokio::test]
async fn s5_4_the_audit_trail_names_the_peer_where_no_proxy_is_trusted() {
    let server = Server::start(&[]);
    let folder = server.folder();
    let body = format!(r#"{{"username":"nobody","password":"{PASSWORD}"}}"#);
    let login = Client::new()
        .post(server.url("/api/auth/token/"))
        .header("content-type", "application/json")
        .header("x-forwarded-for", "198.51.100.7")
        .body(body);
    assert_eq!(login.send().await.unwrap().status().as_u16(), 401);
    server.stop();
    let events = run(folder.path(), &["events", "--json"], &[]);
    let events = String::from_utf8(events.stdout).unwrap();
    assert!(events.contains(r#""client":"127.0.0.1""#), "{events}");
    assert!(!events.contains("198.51.100.7"), "{events}");
}

#[tokio::test]
async fn s5_4_each_client_of_a_trusted_proxy_has_its_own_budget() {
    let server = Server::start(&[ON, ("AUTH_TRUSTED_PROXIES", "127.0.0.0/8, ::1")]);
    let one = |_| "203.0.113.9, 198.51.100.1".to_owned();
    assert!(meets_429(&server, "x-forwarded-for", one).await);
    let http = Client::new();
    let mut others = Vec::new();
    // One of them may share a cell of the table with the first, but hardly all.
    for other in ["198.51.100.2", "198.51.100.3", "2001:db8::1"] {
        others.push(log_in(&server, &http, ("x-forwarded-for", other)).await);
    }
    assert!(others.contains(&400), "{others:?}");
    let (_, _, log) = server.stop();
    assert!(log.contains(r#""client":"198.51.100.1""#), "{log}");
    assert!(log.contains(r#""peer":"127.0.0.1""#), "{log}");
    assert!(!log.contains("203.0.113.9"), "{log}");
}

#[tokio::test]
async fn s5_4_behind_an_unnamed_proxy_nobody_is_limited_by_address_and_the_start_says_so() {
    let server = Server::start(&[ON, ("AUTH_BEHIND_TLS_PROXY", "true")]);
    let client = |_| "198.51.100.1".to_owned();
    assert!(!meets_429(&server, "x-forwarded-for", client).await);
    let (_, _, log) = server.stop();
    assert!(log.contains("AUTH_TRUSTED_PROXIES does not name"), "{log}");
    assert!(!log.contains(r#""client":"#), "{log}");
}

/// How many events of a kind `auth-server events` prints, and the last of them.
fn events_of(folder: &std::path::Path, kind: &str) -> (usize, String) {
    let printed = run(
        folder,
        &["events", "--kind", kind, "--json", "--limit", "10000"],
        &[],
    );
    let printed = String::from_utf8(printed.stdout).unwrap();
    let last = printed.lines().next().unwrap_or_default();
    (printed.lines().count(), last.to_owned())
}

#[tokio::test]
async fn s19_4_a_flood_of_refusals_is_counted_and_hides_no_failed_login() {
    const FLOOD: usize = 3_000;
    const LOGINS: usize = 40;
    let server = Server::start(&[ON, ("AUTH_TRUSTED_PROXIES", "127.0.0.1")]);
    let folder = server.folder();
    let http = Client::new();
    let post = async |path: &str, client: String, body: String| {
        let request = http
            .post(server.url(path))
            .header("content-type", "application/json")
            .header("x-forwarded-for", client)
            .body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let flood = async {
        let mut refused = 0;
        for _ in 0..FLOOD {
            let client = "198.51.100.1".to_owned();
            let status = post("/api/register/resend/", client, "{}".to_owned()).await;
            refused += usize::from(status == 429);
        }
        refused
    };
    let logins = async {
        for number in 0..LOGINS {
            let body = format!(r#"{{"username":"user{number}","password":"{PASSWORD}"}}"#);
            let client = format!("203.0.113.{number}");
            assert_eq!(post("/api/auth/token/", client, body).await, 401);
        }
    };
    let (refused, ()) = tokio::join!(flood, logins);
    assert!(refused > FLOOD / 2, "{refused}");
    let (_, _, log) = server.stop();
    assert_eq!(events_of(folder.path(), "login_refused").0, LOGINS);
    assert_eq!(events_of(folder.path(), "request_throttled").0, 1);
    let (counts, count) = events_of(folder.path(), "refusals_counted");
    assert_eq!(counts, 1, "{count}");
    let expected = format!(r#""refusals":{},"#, refused - 1);
    assert!(count.contains(&expected), "{expected} in {count}");
    assert!(count.contains(r#""client":"198.51.100.1""#), "{count}");
    let lines = log.lines().filter(|line| line.contains("198.51.100.1"));
    let lines = lines.count();
    assert!(lines < 100, "{lines} lines of the flood");
}

#[tokio::test]
async fn without_throttling_there_are_no_budgets() {
    let server = Server::start(&[("AUTH_THROTTLE", "off")]);
    assert!(!meets_429(&server, "x-none", |number| number.to_string()).await);
}
