//! Tables that are not as the server expects them.

use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::harness::poll;
use crate::harness::refusal::refusal;
use crate::harness::site::{Rotation, Site};

const PATIENCE: Duration = Duration::from_secs(30);

/// The message is the same for both databases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a11_tables_of_a_newer_version_are_refused_by_name() {
    for site in [
        Site::on_postgres(Rotation::Off).await,
        Site::on_sqlite(Rotation::Off).await,
    ] {
        let migrated_by_tomorrow = "INSERT INTO auth_migrations
                 (version, description, success, checksum, execution_time)
             SELECT 9999, 'tomorrow', success, checksum, execution_time
             FROM auth_migrations WHERE version = 1";
        site.connect().await.run(migrated_by_tomorrow).await;
        for arguments in [&[][..], &["check"], &["migrate"]] {
            let log = refusal(site.command(arguments, &[]));
            let sentence = "the database was made by a newer version of this program \
                            (migration 9999): use that version or a later one";
            assert!(log.contains(sentence), "{arguments:?}: {log}");
        }
    }
}

/// For example, if the server's role lacks a right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a17_a_step_of_housekeeping_that_fails_keeps_none_of_the_others_from_it() {
    let site = Site::on_postgres(Rotation::Off).await;
    let mut database = PgConnection::connect(&site.url).await.unwrap();
    for statement in [
        "UPDATE auth_sessions SET created_at = now() - interval '9 years',
             expires_at = now() - interval '8 years'",
        "INSERT INTO auth_events (id, at, kind, event)
         VALUES ('00000000-0000-7000-8000-000000000000', '1970-01-01Z', 'login', '{}')",
        "DELETE FROM auth_leases",
        "CREATE ROLE a17 LOGIN",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO a17",
        "REVOKE DELETE ON auth_sessions FROM a17",
    ] {
        database.execute(statement).await.unwrap();
    }
    let url = site.url.replacen("postgres@", "a17@", 1);
    let server = site.start_over(&url, &[("AUTH_OBSERVE_BIND", "127.0.0.1:0")]);

    let metrics = server.observe_url("/metrics").unwrap();
    let failed = "auth_housekeeping_failures_total{rows=\"sessions\"} 1";
    let is_told = async || {
        let page = reqwest::get(&metrics).await.ok()?.text().await.ok()?;
        page.contains(failed).then_some(())
    };
    assert!(poll::until(PATIENCE, is_told).await.is_some());
    let old = "SELECT id FROM auth_events WHERE at < now() - interval '8 years'";
    let others_are_done = async || {
        let mut database = PgConnection::connect(&site.url).await.ok()?;
        let found = database.fetch_optional(old).await.ok()?;
        found.is_none().then_some(())
    };
    assert!(poll::until(PATIENCE, others_are_done).await.is_some());
    let log = server.log();
    assert!(log.contains("old rows could not be removed"), "{log}");
    assert!(log.contains("permission denied"), "{log}");
}
