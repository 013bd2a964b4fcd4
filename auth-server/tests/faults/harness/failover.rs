//! An address that leads first to the primary, then to the same as a read-only standby, then to the
//! new primary.

use std::cell::Cell;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::client::Client;
use super::cluster::{Pair, Replication, Stop};
use super::database::{Database, Subject};
use super::poll;
use super::proxy::Proxy;
use super::site::{Rotation, Site};
use super::trial::{RECOVERY, Trial, Verdict};

/// How long the address leads to the old primary.
const ASTRAY: Duration = Duration::from_secs(8);

/// What a failover has shown.
pub struct Failover {
    pub verdict: Verdict,
    /// Acts that an asynchronous standby had not received: they were committed after the timelines
    /// had parted.
    pub forgiven: usize,
}

/// Lets two servers go through a failover in mid-load.
pub async fn run(replication: Replication) -> Failover {
    let mut pair = Pair::create(replication, "auth").await;
    let proxy = Proxy::to(pair.primary.upstream()).await;
    let site = Site::on(pair.primary.url("auth"), Rotation::On).await;
    let url = proxy.url(&site.url);
    let servers = [site.start_over(&url, &[]), site.start_over(&url, &[])];
    let clients = [site.client(&servers[0]), site.client(&servers[1])];
    let trial = Trial::prepare(&site, &servers)
        .await
        .settled_at(pair.standby.url("auth"));
    let noting = trial.clients().with_log(Database::connect(&site.url).await);
    let promised_by_the_old = Cell::new(0);
    let fault = async {
        // Who does not wait for the standby learns what a crash costs.
        pair.primary.stop(match replication {
            Replication::Synchronous => Stop::Fast,
            Replication::Asynchronous => Stop::Crash,
        });
        pair.promote().await;
        pair.primary.start_as_standby();
        tokio::time::sleep(ASTRAY).await;
        // What is acknowledged from here on, the new primary has promised.
        promised_by_the_old.set(trial.ledger().len());
        proxy.lead_to(pair.standby.upstream());
    };
    let mut verdict = trial.run(&noting, fault).await;
    let forgiven = match replication {
        Replication::Synchronous => 0,
        Replication::Asynchronous => {
            let parting = pair.parting();
            let balance = &mut verdict.balance;
            balance.forgive_after(parting, promised_by_the_old.get())
        }
    };
    if verdict.is_recovered() {
        let [one, other] = &clients;
        the_feed_is_true(&site, one, other, trial.subject()).await;
        the_feed_is_true(&site, other, one, trial.subject()).await;
    }
    Failover { verdict, forgiven }
}

/// A change at one server ends the access token at the other, which can only know it by the
/// revocation feed: the session itself goes on.
async fn the_feed_is_true(site: &Site, here: &Client, there: &Client, subject: &Subject) {
    let token = site.old_access_token(subject);
    let ask = async || {
        there
            .ask(Method::GET, "/api/auth/me/", Some(&token), None)
            .await
    };
    assert_eq!(ask().await.status, 200);
    let path = format!("/api/admin/users/{}/", subject.user);
    let operator = site.operator_token();
    let body = json!({"roles": ["changed"]});
    let changed = here.ask(Method::PATCH, &path, Some(&operator), Some(&body));
    assert_eq!(changed.await.status, 200);
    let is_refused = async || (ask().await.status == 401).then_some(());
    let refused = poll::until(RECOVERY, is_refused).await;
    assert!(refused.is_some(), "the other server did not hear of it");
}
