//! What the listener refuses, and how it stops.

use std::io::{Read as _, Write as _};

use crate::support::raw::{answers, connect, exchange, read_to_close, status};
use crate::support::{Embedded, PASSWORD, Server};

/// A second request that must never be parsed out of the first one's bytes.
const SMUGGLED: &str = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";

#[track_caller]
fn refuses(server: &Server, request: &str, statuses: &[&str]) {
    let received = exchange(
        server.socket_address(),
        format!("{request}{SMUGGLED}").as_bytes(),
    );
    assert!(
        statuses.contains(&status(&received)),
        "{request:?} got {received:?}"
    );
    assert_eq!(answers(&received), 1, "{request:?} got {received:?}");
}

#[test]
fn s10_6_requests_with_doubtful_ends_are_refused_and_end_the_connection() {
    let server = Server::start(&[]);
    let post = "POST /api/auth/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    for framing in [
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        "Content-Length: +5\r\n\r\n{}",
        "Content-Length: -5\r\n\r\n{}",
        "Content-Length: \r\n\r\n{}",
        "Content-Length: 5, 6\r\n\r\n{}",
        "Content-Length: 99999999999999999999\r\n\r\n{}",
        "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2;a\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "Content-Length : 0\r\n\r\n",
        "X-Folded: a\r\n b\r\n\r\n",
        "X-Nul: a\0b\r\n\r\n",
        "X-Bare: a\rb\r\n\r\n",
    ] {
        refuses(&server, &format!("{post}{framing}"), &["400", "501"]);
    }
    let old = "POST /api/auth/token/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    refuses(&server, old, &["400"]);
}

#[test]
fn s10_6_with_both_framings_the_connection_ends_after_one_answer() {
    let server = Server::start(&[]);
    let both = "POST /api/auth/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    refuses(&server, both, &["400"]);
    let other = "POST /api/auth/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                 Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n";
    refuses(&server, other, &["400"]);
}

#[test]
fn s10_6_a_request_names_one_host() {
    let server = Server::start(&[]);
    for hosts in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a b\r\n",
        "Host: user@a\r\n",
        "Host: a/b\r\n",
        "Host: \r\n",
        "Host: a:abc\r\n",
        "Host: a:99999999\r\n",
        "Host: [zz]\r\n",
        "Host: a,b\r\n",
    ] {
        refuses(
            &server,
            &format!("GET /livez HTTP/1.1\r\n{hosts}\r\n"),
            &["400"],
        );
        let old = format!("GET /livez HTTP/1.0\r\n{hosts}\r\n");
        let received = exchange(
            server.socket_address(),
            format!("{old}{SMUGGLED}").as_bytes(),
        );
        // HTTP/1.0 alone may leave the host out.
        let expected = if hosts.is_empty() { "200" } else { "400" };
        assert_eq!(status(&received), expected, "{hosts:?} got {received:?}");
    }
    refuses(
        &server,
        "GET http://other/livez HTTP/1.1\r\nHost: a\r\n\r\n",
        &["400"],
    );
    let good = "GET /livez HTTP/1.1\r\nHost: auth.example.org:8000\r\nConnection: close\r\n\r\n";
    assert_eq!(
        status(&exchange(server.socket_address(), good.as_bytes())),
        "200"
    );
}

#[test]
fn s10_1_a_refusal_of_the_listener_looks_like_any_other() {
    let server = Server::start(&[]);
    let uri = format!("/{}", "a".repeat(4 * 1024));
    for (request, code) in [
        ("GET /livez HTTP/1.1\r\n\r\n", "malformed_request"),
        (
            &format!("GET {uri} HTTP/1.1\r\nHost: a\r\n\r\n"),
            "uri_too_long",
        ),
    ] {
        let received = exchange(server.socket_address(), request.as_bytes());
        for part in [
            "x-content-type-options: nosniff\r\n",
            "cache-control: no-store\r\n",
            "content-type: application/json\r\n",
            "connection: close\r\n",
            "x-request-id: ",
            &format!("\"code\":\"{code}\""),
        ] {
            assert!(received.contains(part), "{part} in {received}");
        }
    }
}

#[test]
fn s10_7_headers_and_the_uri_are_limited() {
    let server = Server::start(&[]);
    let many = "X-A: b\r\n".repeat(65);
    refuses(
        &server,
        &format!("GET /livez HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
        &["431"],
    );
    let large = format!("X-A: {}\r\n", "b".repeat(17 * 1024));
    refuses(
        &server,
        &format!("GET /livez HTTP/1.1\r\nHost: a\r\n{large}\r\n"),
        &["431"],
    );
    let path = format!("/livez?{}", "q".repeat(4 * 1024));
    refuses(
        &server,
        &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"),
        &["414"],
    );
    let host = "a".repeat(4 * 1024);
    refuses(
        &server,
        &format!("GET http://{host}/livez HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        &["414"],
    );
}

#[tokio::test]
async fn s10_7_http_2_has_the_same_limits() {
    let server = Server::start(&[]);
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let long = format!("/livez?{}", "q".repeat(4 * 1024));
    let refused = client.get(server.url(&long)).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 414);
    let large = client
        .get(server.url("/livez"))
        .header("x-large", "b".repeat(17 * 1024))
        .send()
        .await;
    assert!(large.is_err() || large.unwrap().status().as_u16() == 431);
    let fine = client.get(server.url("/livez")).send().await.unwrap();
    assert_eq!(fine.status().as_u16(), 200);
}

#[tokio::test]
async fn s12_4_a_stop_finishes_the_request_under_way() {
    let server = Server::start(&[]);
    let mut stream = connect(server.socket_address());
    let body = format!("{{\"username\":\"nobody\",\"password\":\"{PASSWORD}\"}}");
    let request = format!(
        "POST /api/auth/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    // The server asks for the body: the request is under way.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let stopping = std::thread::spawn(move || server.stop());
    stream.write_all(body.as_bytes()).unwrap();
    let received = read_to_close(&mut stream);
    assert_eq!(status(&received), "401", "{received}");
    let (exit, _, log) = stopping.join().unwrap();
    assert!(exit.success(), "{log}");
}

#[tokio::test]
async fn s10_1_every_answer_has_the_protecting_headers_and_an_id_of_its_own() {
    let server = Server::start(&[]);
    let mut ids = std::collections::HashSet::new();
    for path in [
        "/livez",
        "/nowhere",
        "/api/auth/token/",
        "/.well-known/jwks.json",
    ] {
        let answer = server.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.headers.get(name).unwrap(), value, "{path}");
        }
        assert!(!answer.headers.contains_key("server"), "{path}");
        assert!(
            !answer.headers.contains_key("strict-transport-security"),
            "{path}"
        );
        assert!(ids.insert(answer.headers.get("x-request-id").unwrap().clone()));
    }
}

#[tokio::test]
async fn s10_1_behind_tls_browsers_are_told_to_stay_with_it() {
    let server = Server::start(&[("AUTH_BEHIND_TLS_PROXY", "true")]);
    let answer = server.get("/livez").await;
    let hsts = answer.headers.get("strict-transport-security").unwrap();
    assert_eq!(hsts, "max-age=63072000; includeSubDomains");
}

#[tokio::test]
async fn http_2_is_spoken_to_who_begins_with_it() {
    let server = Server::start(&[]);
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let answer = client.get(server.url("/livez")).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.status().as_u16(), 200);
}

#[tokio::test]
async fn s12_3_a_client_that_goes_away_leaves_its_place_in_the_queue() {
    let Embedded { server, password } =
        Embedded::start(&[("AUTH_HASH_THREADS", "1"), ("AUTH_HASH_QUEUE", "1")]);
    let body = format!("{{\"username\":\"admin\",\"password\":\"{PASSWORD}\"}}");
    let request = format!(
        "POST /api/auth/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..50 {
        let mut stream = connect(server.socket_address());
        stream.write_all(request.as_bytes()).unwrap();
    }
    // The one hash that may have begun ends by itself; a place that leaked would never be free.
    loop {
        let login = server.log_in("admin", &password).await;
        if login.status.as_u16() == 200 {
            break;
        }
        login.is_error(503, "overloaded");
    }
}

#[tokio::test]
async fn s12_1_a_full_queue_refuses_and_the_rest_goes_on() {
    let Embedded { server, password } =
        Embedded::start(&[("AUTH_HASH_THREADS", "1"), ("AUTH_HASH_QUEUE", "1")]);
    let refresh_token = server
        .log_in("admin", &password)
        .await
        .text("refresh_token");
    let logins = (0..20).map(|_| server.log_in("admin", &password));
    let (logins, refreshed) = tokio::join!(
        futures_util::future::join_all(logins),
        server.refresh(&refresh_token)
    );
    assert_eq!(refreshed.status.as_u16(), 200);
    let shed: Vec<_> = logins
        .iter()
        .filter(|login| login.status.as_u16() == 503)
        .collect();
    assert!(!shed.is_empty() && shed.len() < 20, "{}", shed.len());
    for login in shed {
        login.is_error(503, "overloaded");
        let wait: u64 = login
            .headers
            .get("retry-after")
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(wait >= 1);
    }
    // Nothing is broken, and whoever sends a flood shall not fill the log.
    let (_, _, log) = server.stop();
    assert!(!log.contains("overloaded"), "{log}");
}
