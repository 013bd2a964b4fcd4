//! Connections to the database that die, hang, or may not do what they should.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::harness::proxy::{Proxy, Upstream, Way};
use crate::harness::site::{Rotation, Site, shared_postgres};
use crate::harness::trial::{LASTING, LIMIT, RECOVERY, Trial, readiness_becomes};

/// A site, a proxy to its database, and the URL through it.
async fn behind_a_proxy() -> (Site, Proxy, String) {
    let site = Site::on_postgres(Rotation::On).await;
    let proxy = Proxy::to(Upstream::of(&site.url)).await;
    let url = proxy.url(&site.url);
    (site, proxy, url)
}

/// A connection to the database `postgres` of the server that the sites share.
async fn administrator() -> PgConnection {
    let url = shared_postgres().url("postgres");
    PgConnection::connect(&url).await.unwrap()
}

/// Runs a statement about the database of a site, whose name takes the place of `{}`.
async fn administer(site: &Site, statement: &str) {
    let options: PgConnectOptions = site.url.parse().unwrap();
    let name = options.get_database().unwrap();
    let statement = sqlx::AssertSqlSafe(statement.replace("{}", name));
    administrator().await.execute(statement).await.unwrap();
}

const CUT_ALL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_2_dead_connections_are_replaced() {
    let (site, proxy, url) = behind_a_proxy().await;
    let servers = [site.start_over(&url, &[])];
    let trial = Trial::prepare(&site, &servers).await;
    // New connections work all the time: the fault is over as soon as it has happened, but who waits
    // for a statement on a dead connection waits for its limit first.
    let fault = async {
        proxy.set_open(Way::BlackHole);
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    trial.run(&trial.clients(), fault).await.is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_2_a_black_hole_is_answered_503() {
    let (site, proxy, url) = behind_a_proxy().await;
    let servers = [site.start_over(&url, &[])];
    let client = site.client(&servers[0]);
    let trial = Trial::prepare(&site, &servers).await;
    let fault = async {
        proxy.set(Way::BlackHole);
        assert!(readiness_becomes(&client, 503, LIMIT).await);
        tokio::time::sleep(LASTING).await;
        // Those that were swallowed never come back.
        proxy.set_next(Way::Pass);
    };
    let verdict = trial.run(&trial.clients(), fault).await;
    verdict.is_clean();
    assert!(readiness_becomes(&client, 200, RECOVERY).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_2_reset_refused_and_slow_connections_are_answered_503() {
    let (site, mut proxy, url) = behind_a_proxy().await;
    let servers = [site.start_over(&url, &[])];
    let trial = Trial::prepare(&site, &servers).await;
    let fault = async {
        proxy.set_open(Way::Reset);
        proxy.set_next(Way::Delay(Duration::from_millis(20)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        proxy.refuse();
        // Longer than a request waits for a connection.
        tokio::time::sleep(Duration::from_secs(5)).await;
        proxy.set_next(Way::Pass);
        proxy.listen().await;
    };
    trial.run(&trial.clients(), fault).await.is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_2_a_locked_table_is_answered_503() {
    let site = Site::on_postgres(Rotation::On).await;
    let servers = [site.start(&[])];
    let trial = Trial::prepare(&site, &servers).await;
    let fault = async {
        let mut locker = PgConnection::connect(&site.url).await.unwrap();
        locker.execute("BEGIN").await.unwrap();
        locker.execute("LOCK TABLE auth_sessions").await.unwrap();
        tokio::time::sleep(LASTING).await;
        locker.execute("ROLLBACK").await.unwrap();
    };
    trial.run(&trial.clients(), fault).await.is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_2_a_database_that_can_only_be_read_is_answered_503() {
    let site = Site::on_postgres(Rotation::On).await;
    let servers = [site.start(&[])];
    let client = site.client(&servers[0]);
    let trial = Trial::prepare(&site, &servers).await;
    let fault = async {
        let read_only = "ALTER DATABASE {} SET default_transaction_read_only = on";
        administer(&site, read_only).await;
        administer(&site, CUT_ALL).await;
        assert!(readiness_becomes(&client, 503, LIMIT).await);
        let reset = "ALTER DATABASE {} RESET default_transaction_read_only";
        administer(&site, reset).await;
    };
    let verdict = trial.run(&trial.clients(), fault).await;
    verdict.is_clean();
    assert!(readiness_becomes(&client, 200, RECOVERY).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_2_a_database_that_takes_no_connections_is_answered_503() {
    let site = Site::on_postgres(Rotation::On).await;
    let servers = [site.start(&[])];
    let client = site.client(&servers[0]);
    let trial = Trial::prepare(&site, &servers).await;
    let fault = async {
        administer(&site, "ALTER DATABASE {} ALLOW_CONNECTIONS false").await;
        administer(&site, CUT_ALL).await;
        assert!(readiness_becomes(&client, 503, LIMIT).await);
        tokio::time::sleep(Duration::from_secs(2)).await;
        administer(&site, "ALTER DATABASE {} ALLOW_CONNECTIONS true").await;
    };
    trial.run(&trial.clients(), fault).await.is_clean();
}
