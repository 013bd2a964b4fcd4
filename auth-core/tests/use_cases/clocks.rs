//! Nodes whose clocks are wrong, on one PostgreSQL: they go by its clock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth_core::mail::{Deliveries, Mail, MailError, MailTransport};
use auth_core::revocation::RevokedTokens;
use auth_core::store::Store;
use auth_core::testing::postgres::TemporaryDatabase;
use auth_core::{
    Administration as _, Administrator, AuthService, Bootstrap, Clock, Password, Registration,
    RequestContext, Roles, SystemClock, Timestamp, UserId,
};
use tokio::sync::Semaphore;

use crate::revocation::{follow, until, verdict};
use crate::support;
use crate::world::{PASSWORD, World};

const PATIENCE: Duration = Duration::from_secs(30);

/// Access tokens live so long.
const LIFETIME: Duration = Duration::from_secs(2);

const MINUTE: i64 = 60;

/// A clock that is wrong by so many seconds.
#[derive(Debug)]
struct WrongClock(i64);

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        let right = SystemClock.now();
        Timestamp::from_unix_micros(right.unix_micros() + self.0 * 1_000_000)
    }
}

/// A node with such a clock, once it has heard of the database's.
async fn node(store: &Arc<dyn Store>, wrong_by: i64) -> World {
    let node = World::with(Arc::clone(store), |builder| {
        builder
            .with_node_clock(Arc::new(WrongClock(wrong_by)))
            .with_access_ttl(LIFETIME)
            .with_clock_leeway(Duration::ZERO)
    });
    follow(&node.engine);
    until(|| node.engine.revocations().is_healthy()).await;
    node
}

/// A node whose clock is right, one whose clock is not, and a user of theirs.
async fn nodes(wrong_by: i64) -> (TemporaryDatabase, World, World, UserId) {
    let (store, database) = support::postgres().await;
    let right = node(&store, 0).await;
    let wrong = node(&store, wrong_by).await;
    let operator = Registration::new("admin", Password::new(PASSWORD), "admin@localhost");
    let created = right
        .engine
        .create_superuser(operator, Bootstrap::FirstSuperuser);
    created.await.unwrap().unwrap();
    let alice = right.register_verified("alice").await;
    (database, right, wrong, alice)
}

fn context() -> RequestContext {
    RequestContext::default()
}

async fn each_wrong_clock<F: Future<Output = ()>>(test: impl Fn(i64) -> F) {
    for wrong_by in [-5 * MINUTE, -83, 30, 5 * MINUTE] {
        test(wrong_by).await;
    }
}

#[tokio::test]
async fn fault_b7a_a_token_logged_out_through_a_node_whose_clock_is_wrong_stays_refused() {
    each_wrong_clock(async |wrong_by| {
        let (_database, right, wrong, _) = nodes(wrong_by).await;
        // From both, through the one.
        for issuing in [&right, &wrong] {
            let tokens = issuing.log_in("alice").await.unwrap();
            let access_token = tokens.access_token.expose();
            assert_eq!(
                verdict(&right.engine, access_token),
                "success",
                "{wrong_by}"
            );
            assert_eq!(wrong.log_out(&tokens).await, "success");
            until(|| verdict(&right.engine, access_token) == "token_revoked").await;
            until(|| match verdict(&right.engine, access_token) {
                "token_revoked" => false,
                "token_expired" => true,
                other => panic!("{other} with a clock that is wrong by {wrong_by} s"),
            })
            .await;
        }
    })
    .await;
}

/// While one of the clocks is wrong, it is unknown which rows are old.
#[tokio::test]
async fn fault_b7a_a_node_that_is_far_from_the_databases_clock_removes_nothing() {
    let (_database, right, wrong, _) = nodes(5 * MINUTE).await;
    assert_eq!(wrong.engine.housekeeper().clean().await.unwrap(), None);
    let removed = right.engine.housekeeper().clean().await.unwrap();
    assert!(removed.is_some());
}

/// Which a test cannot wait for with tokens of five minutes.
#[tokio::test]
async fn fault_b7a_what_is_recorded_for_other_nodes_is_in_the_databases_time() {
    each_wrong_clock(async |wrong_by| {
        let (_database, right, wrong, alice) = nodes(wrong_by).await;
        let tokens = right.log_in("alice").await.unwrap();
        let began = SystemClock.now();
        assert_eq!(wrong.log_out(&tokens).await, "success");
        let by = Administrator::Operator;
        let roles = Roles::parse(["editor"]).unwrap();
        let given = wrong.engine.set_roles(by, alice, &roles, &context()).await;
        given.unwrap();
        let ended = wrong.engine.end_all_sessions(by, &context()).await;
        ended.unwrap();
        let done = SystemClock.now();
        let second = Duration::from_secs(1);
        let mut feed = right.store.follow_revocations().await.unwrap();
        let told = feed.next().await.unwrap().revocations;
        assert_eq!(told.len(), 3, "{told:?}");
        for revocation in told {
            // Its lifetime, the longest leeway, and an act under way.
            let remembered = LIFETIME + Duration::from_secs(60 + 60);
            let window = began + remembered - second..done + remembered + second;
            assert!(
                window.contains(&revocation.expires_at),
                "{wrong_by}: {revocation:?}"
            );
            let issued_before = match revocation.tokens {
                RevokedTokens::OfUser { issued_before, .. }
                | RevokedTokens::All { issued_before } => issued_before,
                _ => continue,
            };
            let window = began..done + second * 2;
            assert!(
                window.contains(&issued_before),
                "{wrong_by}: {revocation:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn fault_b7a_users_log_in_after_a_change_through_a_node_whose_clock_is_wrong() {
    each_wrong_clock(async |wrong_by| {
        let (_database, right, wrong, alice) = nodes(wrong_by).await;
        let by = Administrator::Operator;
        let both = [&right, &wrong];
        let old = right.log_in("alice").await.unwrap();
        let roles = Roles::parse(["editor"]).unwrap();
        let given = wrong.engine.set_roles(by, alice, &roles, &context()).await;
        given.unwrap();
        let old = old.access_token.expose();
        until(|| verdict(&right.engine, old) == "token_expired").await;
        for issuing in both {
            let new = issuing.log_in("alice").await.unwrap();
            for node in both {
                let verdict = verdict(&node.engine, new.access_token.expose());
                assert_eq!(verdict, "success", "{wrong_by}");
            }
        }
        // This goes by the time: a login of the same second has to refresh once more.
        wrong.engine.end_all_sessions(by, &context()).await.unwrap();
        for issuing in both {
            let good = async {
                loop {
                    let new = issuing.log_in("alice").await.unwrap();
                    let token = new.access_token.expose();
                    if both
                        .iter()
                        .all(|node| verdict(&node.engine, token) == "success")
                    {
                        return;
                    }
                }
            };
            tokio::time::timeout(PATIENCE, good).await.unwrap();
        }
    })
    .await;
}

/// Sends nothing until it may.
#[derive(Debug)]
struct SlowTransport {
    sending: Semaphore,
    may_send: Semaphore,
}

#[async_trait]
impl MailTransport for SlowTransport {
    async fn send(&self, _: &Mail) -> Result<(), MailError> {
        self.sending.add_permits(1);
        self.may_send.acquire().await.unwrap().forget();
        Ok(())
    }

    async fn check(&self) -> Result<(), MailError> {
        Ok(())
    }
}

#[tokio::test]
async fn fault_b7a_a_mail_goes_once_whichever_clock_is_wrong() {
    each_wrong_clock(async |wrong_by| {
        let (_database, right, wrong, _) = nodes(wrong_by).await;
        for (sending, other, name) in [(&right, &wrong, "bob"), (&wrong, &right, "carol")] {
            let slow = Arc::new(SlowTransport {
                sending: Semaphore::new(0),
                may_send: Semaphore::new(0),
            });
            let transport: Arc<dyn MailTransport> = Arc::<SlowTransport>::clone(&slow);
            let worker = sending.engine.mail_worker(transport);
            other.register(name).await.unwrap();
            // It is due by the other's clock, and two clocks agree to milliseconds.
            let delivery = tokio::spawn(async move {
                while worker.deliver_due().await.unwrap() == Deliveries::default() {}
            });
            let sent = tokio::time::timeout(PATIENCE, slow.sending.acquire()).await;
            sent.unwrap().unwrap().forget();
            // The mail is under way.
            other.worker.deliver_due().await.unwrap();
            let twice = other.mails.take();
            assert!(twice.is_empty(), "{wrong_by}: {twice:?}");
            slow.may_send.add_permits(1);
            delivery.await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn fault_b7a_a_node_whose_clock_is_wrong_is_not_ready_and_says_why() {
    let (_database, right, wrong, _) = nodes(-83).await;
    right.engine.check().await.unwrap();
    let refusal = wrong.engine.check().await.unwrap_err();
    assert_eq!(refusal.code(), "storage_unavailable");
    assert!(refusal.to_string().contains("clock"), "{refusal}");
}

/// As before the first request, and for a command.
#[tokio::test]
async fn fault_b7a_an_engine_that_follows_nothing_is_set_by_hand() {
    let (store, _database) = support::postgres().await;
    let right = node(&store, 0).await;
    let wrong = World::with(store, |builder| {
        builder.with_node_clock(Arc::new(WrongClock(5 * MINUTE)))
    });
    wrong.engine.set_clock().await.unwrap();
    right.register_verified("alice").await;
    let tokens = wrong.log_in("alice").await.unwrap();
    let access_token = tokens.access_token.expose();
    assert_eq!(verdict(&right.engine, access_token), "success");
}
