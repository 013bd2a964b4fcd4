//! Database servers that stop, hang and are replaced.

use std::time::Duration;

use crate::harness::cluster::{Cluster, Pair, Replication, Stop};
use crate::harness::failover;
use crate::harness::site::{Rotation, Site};
use crate::harness::trial::{LASTING, LIMIT, Trial, readiness_becomes};

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn s19_2_a_failover_to_a_synchronous_standby_loses_nothing() {
    failover::run(Replication::Synchronous)
        .await
        .verdict
        .is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn s19_2_a_failover_to_an_asynchronous_standby_loses_the_end_of_the_log_alone() {
    let done = failover::run(Replication::Asynchronous).await;
    done.verdict.is_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn s19_2_a_database_that_hangs_stops_or_waits_for_a_standby_is_answered_503() {
    let mut cluster = Cluster::create(&["fsync = off"]);
    cluster.run("CREATE DATABASE auth").await;
    let site = Site::on(cluster.url("auth"), Rotation::On).await;
    let servers = [site.start(&[])];
    let client = site.client(&servers[0]);

    let trial = Trial::prepare(&site, &servers).await;
    let paused = async {
        cluster.pause();
        assert!(readiness_becomes(&client, 503, LIMIT).await);
        tokio::time::sleep(LASTING).await;
        cluster.resume();
    };
    let paused = trial.run(&trial.clients(), paused).await;

    let restarted = async {
        for stop in [Stop::Fast, Stop::Crash] {
            cluster.stop(stop);
            tokio::time::sleep(Duration::from_secs(2)).await;
            cluster.start();
        }
    };
    let restarted = trial.run(&trial.clients(), restarted).await;

    let waiting = async {
        cluster
            .run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            .await;
        cluster.run("SELECT pg_reload_conf()").await;
        tokio::time::sleep(LASTING).await;
        cluster
            .run("ALTER SYSTEM RESET synchronous_standby_names")
            .await;
        cluster.run("SELECT pg_reload_conf()").await;
    };
    let waiting = trial.run(&trial.clients(), waiting).await;
    for (what, verdict) in [
        ("paused", paused),
        ("restarted", restarted),
        ("waiting for a standby", waiting),
    ] {
        eprintln!("{what}:");
        verdict.is_clean();
    }
}

/// The old primary goes on, and its proxy with it, but none of its commits ends: its standby is a
/// primary now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a15_a_node_at_a_primary_that_cannot_commit_is_not_ready() {
    let pair = Pair::create(Replication::Synchronous, "auth").await;
    let site = Site::on(pair.primary.url("auth"), Rotation::Off).await;
    let server = site.start(&[]);
    let client = site.client(&server);
    assert!(readiness_becomes(&client, 200, LIMIT).await);
    pair.promote().await;
    assert!(readiness_becomes(&client, 503, LIMIT * 2).await);
}
