//! PgBouncer between the server and its database, and few connections.

use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::harness::bouncer::{Bouncer, Pooling};
use crate::harness::refusal::refusal;
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

/// The lock of a migration would stay with a session that serves others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a14_a_migration_through_pgbouncer_in_transaction_mode_is_refused() {
    let site = Site::on_postgres(Rotation::Off).await;
    let mut database = PgConnection::connect(&site.url).await.unwrap();
    let last = "DELETE FROM auth_migrations
                WHERE version = (SELECT max(version) FROM auth_migrations)";
    database.execute(last).await.unwrap();
    let bouncer = Bouncer::start(&site.url, Pooling::Transaction);
    let url = bouncer.url(&site.url);
    for pooling in ["session", "transaction"] {
        let migrate = || {
            let variables = [
                ("DATABASE_URL", url.as_str()),
                ("AUTH_DATABASE_POOLING", pooling),
            ];
            let migrate = site.command(&["migrate"], &variables);
            tokio::task::spawn_blocking(move || refusal(migrate))
        };
        let at_once: [_; 4] = std::array::from_fn(|_| migrate());
        for migration in at_once {
            let log = migration.await.unwrap();
            assert!(log.contains("a pooler"), "{log}");
        }
    }
    let held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert!(database.fetch_optional(held).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a8_two_connections_are_enough() {
    let site = Site::on_postgres(Rotation::On).await;
    let server = site.start(&[("AUTH_DATABASE_CONNECTIONS", "2")]);
    works(&site, server).await;
}
