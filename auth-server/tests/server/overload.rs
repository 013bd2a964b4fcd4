//! More logins at once than can be hashed.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Embedded, PASSWORD, Server};
use reqwest::{Client, StatusCode};
use serde_json::json;

const LOGINS: usize = 500;
const THREADS: u64 = 2;
/// What one hash takes, by the default parameters.
const HASH_KIB: u64 = 19_456;
/// For 500 connections with their buffers, and what is not given back yet.
const SLACK_KIB: u64 = 64 * 1024;

/// A field of the process's status, in KiB.
fn memory(server: &Server, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process_id())).unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(field)).unwrap();
    let digits = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    digits.parse().unwrap()
}

/// How long the answer takes, and what it is.
async fn timed_login(client: &Client, url: &str, name: &str) -> (StatusCode, bool, Duration) {
    let body = json!({"username": name, "password": PASSWORD});
    let started = Instant::now();
    let answer = client.post(url).json(&body).send().await.unwrap();
    let says_when = answer.headers().contains_key("retry-after");
    (answer.status(), says_when, started.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s12_1_500_logins_at_once_take_the_memory_of_the_pool_and_leave_others_time() {
    let Embedded { server, .. } =
        Embedded::start(&[("AUTH_HASH_THREADS", "2"), ("AUTH_HASH_QUEUE", "64")]);
    let client = Client::new();
    let (login, live) = (server.url("/api/auth/token/"), server.url("/livez"));
    // The program is in memory, and what a login costs is known.
    for _ in 0..4 {
        timed_login(&client, &login, "nobody").await;
    }
    let before = memory(&server, "VmRSS");

    let flood_goes_on = Arc::new(AtomicBool::new(true));
    let cheap = tokio::spawn({
        let (client, flood_goes_on) = (client.clone(), Arc::clone(&flood_goes_on));
        async move {
            let mut times = Vec::new();
            while flood_goes_on.load(Ordering::SeqCst) || times.len() < 20 {
                let started = Instant::now();
                let answer = client.get(&live).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
                times.push(started.elapsed());
            }
            times
        }
    });
    let mut logins = tokio::task::JoinSet::new();
    for number in 0..LOGINS {
        let (client, login) = (client.clone(), login.clone());
        logins.spawn(async move { timed_login(&client, &login, &format!("n{number}")).await });
    }
    let answers = logins.join_all().await;
    flood_goes_on.store(false, Ordering::SeqCst);
    let cheap = cheap.await.unwrap();

    let of = |status| answers.iter().filter(move |(found, ..)| *found == status);
    let refused = of(StatusCode::SERVICE_UNAVAILABLE);
    let (hashed, shed) = (
        of(StatusCode::UNAUTHORIZED).count(),
        refused.clone().count(),
    );
    assert_eq!(hashed + shed, LOGINS, "{answers:?}");
    assert!(
        hashed >= 64 && shed >= 300,
        "{hashed} hashed, {shed} refused"
    );
    assert!(refused.clone().all(|(_, says_when, _)| *says_when));

    let used = memory(&server, "VmHWM").saturating_sub(before);
    let allowed = THREADS * HASH_KIB + SLACK_KIB;
    assert!(used <= allowed, "{used} KiB more, {allowed} allowed");
    let slow = percentile(cheap, 95);
    assert!(slow < Duration::from_millis(250), "{slow:?}");
}

#[tokio::test]
async fn s12_1_a_login_that_cannot_be_hashed_is_refused_within_100_ms() {
    let Embedded { server, .. } =
        Embedded::start(&[("AUTH_HASH_THREADS", "1"), ("AUTH_HASH_QUEUE", "1")]);
    let client = Client::new();
    let login = server.url("/api/auth/token/");
    let mut refusals = Vec::new();
    while refusals.len() < 20 {
        // Two take the thread and the place before it, as long as one of them is there.
        let (busy, waiting) = (client.clone(), client.clone());
        let late = async {
            let mut late = Vec::new();
            for _ in 0..4 {
                late.push(timed_login(&client, &login, "nobody").await);
            }
            late
        };
        let (_, _, late) = tokio::join!(
            timed_login(&busy, &login, "nobody"),
            timed_login(&waiting, &login, "nobody"),
            late
        );
        let refused = |(status, ..): &(StatusCode, bool, Duration)| {
            *status == StatusCode::SERVICE_UNAVAILABLE
        };
        for (_, says_when, time) in late.into_iter().filter(refused) {
            assert!(says_when, "it says when to try again");
            refusals.push(time);
        }
    }
    // Half of them, since the machine may be busy with something else now and then.
    let usual = percentile(refusals, 50);
    assert!(usual < Duration::from_millis(100), "{usual:?}");
}

fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort();
    *times.get((times.len() - 1) * percent / 100).unwrap()
}
