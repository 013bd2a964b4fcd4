//! Clients that hang up, and servers that are killed, beside clients that are promised something.

use crate::harness::kills;
use crate::harness::site::{Rotation, Site};
use crate::harness::storm;

/// 500 requests are broken off; `cargo bench --bench faults` does as many as one likes.
const ROUNDS: usize = 50;

/// `cargo bench --bench faults` kills as often as one likes.
const KILLS: usize = 5;

async fn storm_over(site: Site) {
    let outcome = storm::run(&site, ROUNDS).await;
    assert!(outcome.faults.is_empty(), "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_1_broken_off_requests_lose_nothing_on_postgresql() {
    storm_over(Site::on_postgres(Rotation::Off).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_1_broken_off_requests_lose_nothing_on_postgresql_with_rotation() {
    storm_over(Site::on_postgres(Rotation::On).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_1_broken_off_requests_lose_nothing_on_sqlite() {
    storm_over(Site::on_sqlite(Rotation::Off).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_1_broken_off_requests_lose_nothing_on_sqlite_with_rotation() {
    storm_over(Site::on_sqlite(Rotation::On).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_6_a_server_that_is_killed_loses_nothing_acknowledged() {
    for site in [
        Site::on_postgres(Rotation::On).await,
        Site::on_sqlite(Rotation::On).await,
    ] {
        let balance = kills::run(&site, KILLS).await;
        assert!(balance.lost.is_empty(), "{balance}");
    }
}
