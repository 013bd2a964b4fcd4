//! How many requests a client may make, and what it is told then.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{GOOD, Scripted, api, error, post, request, send, with};
use auth_core::RequestContext;
use auth_tower::AuthApi;
use auth_tower::budgets::{Budget, RequestBudgets};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

const HOUR: Duration = Duration::from_secs(3_600);
const PLENTY: Budget = Budget::new(NonZeroU32::MAX, HOUR);
const ONE: Budget = Budget::new(NonZeroU32::MIN, HOUR);

/// One request of each kind an hour, for each client.
fn one_of_each() -> RequestBudgets {
    RequestBudgets::default()
        .with_log_in(ONE)
        .with_refresh(ONE)
        .with_log_out(ONE)
        .with_verify_email(ONE)
        .with_resend_verification(ONE)
        .with_register(ONE)
}

/// Each kind of request that has a budget.
fn requests() -> [Request<Full<Bytes>>; 6] {
    let refresh_token = r#"{"refresh_token":"a"}"#;
    let user = r#"{"username":"a","password":"b","email":"c"}"#;
    [
        post("/api/auth/token/", r#"{"username":"a","password":"b"}"#),
        post("/api/auth/token/refresh/", refresh_token),
        post("/api/auth/logout/", refresh_token),
        post("/api/register/verify/", r#"{"token":"a"}"#),
        post("/api/register/resend/", r#"{"email":"a"}"#),
        with(post("/api/register/", user), "authorization", &GOOD),
    ]
}

/// The same request from this client.
fn from(client: Option<&str>, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let mut context = RequestContext::default();
    if let Some(client) = client {
        context = context.with_client(client.parse::<IpAddr>().unwrap());
    }
    request.extensions_mut().insert(context);
    request
}

async fn status(api: &AuthApi, request: Request<Full<Bytes>>) -> String {
    let answer = send(api.clone(), request).await;
    answer.lines().next().unwrap().to_owned()
}

/// The seconds that a refused client is to wait, an hour at most.
#[track_caller]
fn wait(refused: &str) -> u64 {
    let mut lines = refused.lines();
    let wait = lines.find_map(|line| line.strip_prefix("retry-after: "));
    let wait = wait.unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&wait), "{refused}");
    wait
}

#[tokio::test]
async fn s5_8_each_kind_of_request_has_a_budget_of_its_own() {
    let service = Arc::default();
    let api = api(&service).with_request_budgets(one_of_each());
    for request in requests() {
        assert!(
            status(&api, from(Some("192.0.2.7"), request))
                .await
                .starts_with("20")
        );
    }
    let calls = service.calls();
    for request in requests() {
        let refused = send(api.clone(), from(Some("192.0.2.7"), request)).await;
        let wait = wait(&refused);
        let message = "too many attempts, try again later";
        let extra = [("retry-after", wait.to_string())];
        let extra = extra.each_ref().map(|(name, wait)| (*name, wait.as_str()));
        assert_eq!(refused, error(429, &extra, "too_many_attempts", message));
    }
    // A refused request is told of, and not looked at.
    let told = [
        "login",
        "refresh",
        "logout",
        "verification",
        "resend",
        "register",
    ];
    let told = told.map(|budget| format!("note_throttled {budget} Some(192.0.2.7)"));
    assert_eq!(service.calls(), [calls, told.to_vec()].concat());
}

#[tokio::test]
async fn s5_8_only_the_budget_that_is_used_up_refuses() {
    let budgets = one_of_each().with_refresh(PLENTY);
    let api = api(&Arc::default()).with_request_budgets(budgets);
    for _ in 0..3 {
        for request in requests() {
            let is_refresh = request.uri().path().contains("refresh");
            let status = status(&api, from(Some("192.0.2.7"), request)).await;
            assert!(!is_refresh || status == "200");
        }
    }
}

#[tokio::test]
async fn s5_3_a_client_is_an_address_of_ipv4_or_a_64_of_ipv6() {
    for (one, neighbour) in [
        ("2001:db8::1", "2001:db8::ffff"),
        ("192.0.2.7", "::ffff:192.0.2.7"),
    ] {
        assert_eq!(one_after_the_other(one, neighbour).await, ["200", "429"]);
    }
    for (one, other) in [
        ("2001:db8::1", "2001:db8:0:1::1"),
        ("192.0.2.7", "192.0.2.8"),
    ] {
        // Two networks may share a cell, but hardly under three random keys.
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(one_after_the_other(one, other).await);
        }
        assert!(
            seen.contains(&["200", "200"].map(str::to_owned)),
            "{seen:?}"
        );
    }
}

/// The answers to a login from each of two addresses, of which each client may make one.
async fn one_after_the_other(one: &str, other: &str) -> [String; 2] {
    let api = api(&Arc::default()).with_request_budgets(one_of_each());
    let log_in = async |client| {
        let [log_in, ..] = requests();
        status(&api, from(Some(client), log_in)).await
    };
    [log_in(one).await, log_in(other).await]
}

#[tokio::test]
async fn s5_8_the_pages_form_is_refused_with_a_page() {
    let service: Arc<Scripted> = Arc::default();
    let api = api(&service).with_request_budgets(one_of_each());
    let form = || {
        let form = Request::post("/api/register/verify/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from("token=a"));
        from(Some("192.0.2.7"), form.unwrap())
    };
    assert_eq!(status(&api, form()).await, "200");
    let refused = send(api.clone(), form()).await;
    assert!(refused.starts_with("429\n"), "{refused}");
    assert!(wait(&refused) >= 1);
    assert!(refused.contains("<html"), "{refused}");
    assert_eq!(
        service.calls(),
        [
            "verify_email a",
            "note_throttled verification Some(192.0.2.7)"
        ]
    );
    let page = request("GET", "/api/register/verify/?token=a");
    assert_eq!(status(&api, from(Some("192.0.2.7"), page)).await, "200");
}

#[tokio::test]
async fn s5_8_clients_that_are_not_known_share_no_budget() {
    let api = api(&Arc::default()).with_request_budgets(one_of_each());
    for _ in 0..3 {
        for request in requests() {
            assert!(status(&api, from(None, request)).await.starts_with("20"));
        }
        for request in requests() {
            assert!(status(&api, request).await.starts_with("20"));
        }
    }
}

#[tokio::test]
async fn nothing_is_limited_without_budgets() {
    let api = api(&Arc::default());
    for _ in 0..3 {
        for request in requests() {
            assert!(
                status(&api, from(Some("192.0.2.7"), request))
                    .await
                    .starts_with("20")
            );
        }
    }
}
