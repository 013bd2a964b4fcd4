//! A log that nobody reads.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr};
use std::time::Duration;

use crate::harness::client::Client;
use crate::harness::site::{Rotation, Site};

/// Far more lines than a pipe holds: 64 KiB, some 120 requests.
const REQUESTS: usize = 2_000;

/// A server whose standard error is read no further than to its address.
fn start(site: &Site) -> (Child, Client, BufReader<ChildStderr>) {
    let mut server = site.command(&[], &[("AUTH_LOG", "info")]).spawn().unwrap();
    let mut stderr = BufReader::with_capacity(64, server.stderr.take().unwrap());
    let mut log = String::new();
    let address = loop {
        let mut line = String::new();
        let read = stderr.read_line(&mut line).unwrap();
        assert!(read > 0, "the server did not start:\n{log}");
        if let Some(address) = line.trim().strip_prefix("listening on ") {
            break address.to_owned();
        }
        log.push_str(&line);
    };
    (server, Client::of(address), stderr)
}

async fn all_are_answered(client: &Client, server: &mut Child) {
    for number in 0..REQUESTS {
        let told = client.get("/readyz").await;
        assert_eq!(told.status, 200, "request {number}: {told:?}");
        assert!(told.took < Duration::from_secs(10), "{told:?}");
    }
    assert!(server.try_wait().unwrap().is_none(), "the server has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_3_a_log_that_is_not_read_holds_nobody_up() {
    let site = Site::on_sqlite(Rotation::Off).await;
    let (mut server, client, _unread) = start(&site);
    all_are_answered(&client, &mut server).await;
    server.kill().unwrap();
    server.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_3_a_log_whose_reader_is_gone_ends_nothing() {
    let site = Site::on_sqlite(Rotation::Off).await;
    let (mut server, client, stderr) = start(&site);
    drop(stderr);
    all_are_answered(&client, &mut server).await;
    server.kill().unwrap();
    server.wait().unwrap();
}
