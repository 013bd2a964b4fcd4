//! Database servers that stop, hang and are replaced.

use std::time::Duration;

use serde_json::json;

use crate::harness::acts::Clients;
use crate::harness::cluster::{Cluster, Pair, Replication, Stop};
use crate::harness::database::Database;
use crate::harness::failover;
use crate::harness::ledger::{Act, Kind, Ledger};
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

/// The new primary lacks rotations that were acknowledged while the standby was cut off, a
/// synchronous one included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_6_a_failover_that_loses_rotations_loses_no_session() {
    for replication in [Replication::Synchronous, Replication::Asynchronous] {
        let mut pair = Pair::create(replication, "auth").await;
        let site = Site::on(pair.primary.url("auth"), Rotation::On).await;
        let mut database = site.connect().await;
        let mut subjects = database.add_subjects("rotating", 10).await;
        let ended = subjects.pop().unwrap();
        let server = site.start(&[]);
        let ledger = Ledger::default();
        let clients = Clients::new(&site, &ledger);
        let client = site.client(&server);
        let logout = clients.perform(&client, Kind::Logout, &ended).await;
        assert!(logout.is_success(), "{logout:?}");

        pair.part().await;
        let mut newest = Vec::new();
        for subject in &subjects {
            let told = clients.perform(&client, Kind::Rotation, subject).await;
            newest.push(told.text("refresh_token").expect(&told.body));
        }
        pair.primary.stop(Stop::Crash);
        pair.standby.resume();
        pair.promote().await;

        let url = pair.standby.url("auth");
        let mut database = Database::connect(&url).await;
        let server = site.start_over(&url, &[]);
        let client = site.client(&server);
        let refresh = async |token: String| {
            let body = json!({"refresh_token": token});
            client.post("/api/auth/token/refresh/", &body).await
        };
        for (subject, newest) in subjects.iter().zip(newest) {
            let first = Act::Rotation {
                session: subject.session,
                generation: 1,
                newest: String::new(),
            };
            assert!(!database.has(&first).await, "the standby has a rotation");
            let next = refresh(newest.clone()).await.text("refresh_token");
            assert!(next.is_some());
            assert_eq!(refresh(newest).await.text("refresh_token"), next);
        }
        let refused = refresh(site.refresh_token(ended.session)).await;
        assert_eq!(refused.summary(), "401 token_revoked");
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
