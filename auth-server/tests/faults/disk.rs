//! A disk that is full.

use std::time::Duration;

use crate::harness::site::{Rotation, Site};
use crate::harness::small_disk::SmallDisk;
use crate::harness::trial::{LIMIT, RECOVERY, Trial, readiness_becomes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_2_sqlite_writes_again_when_its_full_disk_has_space() {
    let disk = match SmallDisk::mount() {
        Ok(disk) => disk,
        Err(problem) => {
            eprintln!("SKIPPED: no small disk can be mounted here: {problem}");
            return;
        }
    };
    let site = Site::on_sqlite_in(disk.path(), Rotation::On).await;
    let servers = [site.start(&[])];
    let client = site.client(&servers[0]);
    let trial = Trial::prepare_with(&site, &servers, 1_500).await;
    let fault = async {
        let filling = disk.fill();
        assert!(readiness_becomes(&client, 503, LIMIT).await);
        // Long enough for every client to meet it.
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(filling);
    };
    let verdict = trial.run(&trial.clients(), fault).await;
    assert!(readiness_becomes(&client, 200, RECOVERY).await);
    verdict.is_clean();
}
