//! PgBouncer between the server and its database, and few connections.

use std::time::Duration;

use crate::harness::bouncer::{Bouncer, Pooling};
use crate::harness::site::{Rotation, Site};
use crate::harness::trial::Trial;
use crate::support::Server;

/// The server works through a pooler as it does without one.
async fn works_through(pooling: Pooling, more: &[(&str, &str)]) {
    let site = Site::on_postgres(Rotation::On).await;
    let bouncer = Bouncer::start(&site.url, pooling);
    let server = site.start_over(&bouncer.url(&site.url), more);
    works(&site, server).await;
}

/// All that is asked for while nothing is wrong is done.
async fn works(site: &Site, server: Server) {
    let servers = [server];
    let trial = Trial::prepare(site, &servers).await;
    let nothing = tokio::time::sleep(Duration::from_secs(2));
    let verdict = trial.run(&trial.clients(), nothing).await;
    verdict.is_harmless();
    assert_eq!(verdict.refusals(), 0, "{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a13_pgbouncer_in_session_mode_works_with_its_defaults() {
    works_through(Pooling::Session, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a7_pgbouncer_in_transaction_mode_works_or_is_refused_by_name() {
    works_through(
        Pooling::Transaction,
        &[("AUTH_DATABASE_POOLING", "transaction")],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a8_two_connections_are_enough() {
    let site = Site::on_postgres(Rotation::On).await;
    let server = site.start(&[("AUTH_DATABASE_CONNECTIONS", "2")]);
    works(&site, server).await;
}
