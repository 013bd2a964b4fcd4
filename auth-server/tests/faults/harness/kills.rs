//! A server that is paused and killed while clients are promised something.

use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt as _;

use super::acts::Clients;
use super::ledger::{Balance, Kind, Ledger};
use super::site::Site;

/// Acts under way when the server is killed.
const ACTS: usize = 24;

/// The latest moment of the kill, in milliseconds: most acts are done by then.
const LATEST: u64 = 300;

const TURNS: [Kind; 6] = [
    Kind::Logout,
    Kind::Rotation,
    Kind::Registration,
    Kind::RoleChange,
    Kind::PasswordChange,
    Kind::RevocationOfAll,
];

/// Starts a server, pauses it once, and kills it, so many times; then looks everything up.
pub async fn run(site: &Site, kills: usize) -> Balance {
    let ledger = Ledger::default();
    let clients = Clients::new(site, &ledger);
    for kill in 0..kills {
        let series = format!("kill-{kill}");
        let subjects = site.connect().await.add_subjects(&series, ACTS).await;
        let server = site.start(&[]);
        let client = site.client(&server);
        let acts = subjects.iter().zip(TURNS.iter().cycle());
        let acts = join_all(acts.map(|(subject, kind)| clients.perform(&client, *kind, subject)));
        let end = async {
            let after = rand::rng().random_range(0..LATEST);
            tokio::time::sleep(Duration::from_millis(after)).await;
            let process = server.process_id().to_string();
            for signal in ["-STOP", "-CONT"] {
                let sent = Command::new("kill").args([signal, &process]).status();
                assert!(sent.unwrap().success());
                tokio::time::sleep(Duration::from_millis(after / 10)).await;
            }
            server.kill();
        };
        tokio::join!(acts, end);
    }
    ledger.settle(&site.url, 0).await
}
