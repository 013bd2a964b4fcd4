//! The password of the database, and what else can be wrong with its URL.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::harness::cluster::Cluster;
use crate::harness::refusal::refusal;
use crate::harness::site::{Rotation, Site};
use crate::harness::trial::Trial;
use crate::support::{SECRETS, command};

/// How long a server may take to say in its log why it cannot work.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server whose user `app` has the password `first`.
async fn guarded() -> (Cluster, PgConnection) {
    let cluster = Cluster::create(&["fsync = off"]);
    let mut administrator = PgConnection::connect(&cluster.url("postgres"))
        .await
        .unwrap();
    let create = "CREATE ROLE app LOGIN SUPERUSER PASSWORD 'first'";
    administrator.execute(create).await.unwrap();
    administrator.execute("CREATE DATABASE auth").await.unwrap();
    let rules = cluster.folder().join("data/pg_hba.conf");
    let trusting = fs::read_to_string(&rules).unwrap();
    let guarded = format!("host all app 127.0.0.1/32 scram-sha-256\n{trusting}");
    fs::write(&rules, guarded).unwrap();
    administrator
        .execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    (cluster, administrator)
}

fn url_with(cluster: &Cluster, password: &str) -> String {
    let url = cluster.url("auth");
    url.replacen("postgres@", &format!("app:{password}@"), 1)
}

fn write_secret(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
    // As those do it who replace secrets: never half a file.
    fs::rename(&beside, path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_2_a_replaced_password_is_read_again() {
    let (cluster, mut administrator) = guarded().await;
    let site = Site::on(cluster.url("auth"), Rotation::On).await;
    let file = site.folder.path().join("database-url");
    write_secret(&file, &url_with(&cluster, "first"));
    let variables = [("DATABASE_URL_FILE", file.to_str().unwrap())];
    let servers = [site.start(&variables)];
    let trial = Trial::prepare(&site, &servers).await;
    let fault = async {
        let replace = "ALTER ROLE app PASSWORD 'second'";
        administrator.execute(replace).await.unwrap();
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
        administrator.execute(cut).await.unwrap();
        // Longer than a request waits for a connection.
        tokio::time::sleep(Duration::from_secs(5)).await;
        write_secret(&file, &url_with(&cluster, "second"));
    };
    trial.run(&trial.clients(), fault).await.is_clean();
}

/// What a server said that refused to start.
fn refusal_to_start(database_url: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut variables = SECRETS.to_vec();
    variables.extend([
        ("AUTH_BIND", "127.0.0.1:0"),
        ("DATABASE_URL", database_url),
        ("AUTH_PUBLIC_URL", "http://127.0.0.1:8000"),
        ("AUTH_MAIL", "folder:outbox"),
    ]);
    refusal(command(folder.path(), &[], &variables))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a10_what_never_works_is_refused_at_the_start_with_its_cause() {
    let (cluster, _administrator) = guarded().await;
    let no_such_database = cluster.url("nowhere");
    for (url, cause) in [
        (
            url_with(&cluster, "wrong"),
            "password authentication failed",
        ),
        (no_such_database, "\"nowhere\" does not exist"),
    ] {
        let log = refusal_to_start(&url);
        assert!(log.contains(cause), "{log}");
        assert!(!log.contains("wrong@"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a10_a_server_that_is_away_is_named_in_the_log() {
    let site = Site::on_postgres(Rotation::Off).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let url = format!("postgres://app@{address}/auth");
    let server = site.start_over(&url, &[]);
    let started = Instant::now();
    let port = address.port().to_string();
    loop {
        let log = server.log();
        let is_named = log
            .lines()
            .any(|line| line.contains("refused") && line.contains(&port));
        if is_named {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "no cause is named: {log}");
        assert_eq!(server.get("/readyz").await.status.as_u16(), 503);
    }
}
