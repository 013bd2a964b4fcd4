//! What is removed when it is old, and by whom.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use auth_core::store::Store;
use auth_core::{Clock as _, Housekeeper, Removals};
use tokio::sync::oneshot;

use crate::MINUTE;
use crate::support::on_each_store;
use crate::world::World;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A world in which sessions have begun, and their refresh tokens.
async fn with_sessions(store: Arc<dyn Store>, count: usize) -> (World, Vec<String>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    let mut tokens = Vec::new();
    for _ in 0..count {
        let pair = world.log_in("alice").await.unwrap();
        tokens.push(pair.refresh_token.expose().to_owned());
    }
    (world, tokens)
}

async fn sessions_removed(housekeeper: &Housekeeper) -> Option<u64> {
    let removed = housekeeper.clean().await.unwrap();
    removed.map(|Removals { sessions, .. }| sessions)
}

async fn s12_6_one_of_two_housekeepers_cleans_at_a_time(store: Arc<dyn Store>) {
    let (world, _) = with_sessions(store, 3).await;
    let one = world.engine.housekeeper();
    let other = world.engine.housekeeper();
    world.clock.advance(45 * DAY);
    assert_eq!(sessions_removed(&one).await, Some(3));
    assert_eq!(sessions_removed(&other).await, None);
    world.clock.advance(10 * MINUTE - Duration::from_secs(1));
    assert_eq!(sessions_removed(&other).await, None);
    // The one may have crashed meanwhile: nobody has to give the lease back.
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(sessions_removed(&other).await, Some(0));
    assert_eq!(sessions_removed(&one).await, None);
}

async fn s12_6_an_expired_session_stays_for_its_retention(store: Arc<dyn Store>) {
    let (world, tokens) = with_sessions(store, 2).await;
    let housekeeper = world.engine.housekeeper();
    // A session lives for 14 days, less up to 5 %.
    world.clock.advance(43 * DAY);
    assert_eq!(sessions_removed(&housekeeper).await, Some(0));
    let before = world.refresh(tokens.first().unwrap()).await.unwrap_err();
    world.clock.advance(DAY + MINUTE);
    assert_eq!(sessions_removed(&housekeeper).await, Some(2));
    let after = world.refresh(tokens.first().unwrap()).await.unwrap_err();
    assert_eq!((before, after), ("token_expired", "token_revoked"));
}

async fn s12_6_live_sessions_are_left_alone(store: Arc<dyn Store>) {
    let (world, _) = with_sessions(store, 1).await;
    world.clock.advance(44 * DAY + MINUTE);
    let alive = world.log_in("alice").await.unwrap();
    let removed = world.engine.housekeeper().clean().await.unwrap();
    assert_eq!(removed.map(|removed| removed.sessions), Some(1));
    let refreshed = world.refresh(alive.refresh_token.expose()).await;
    assert_eq!(refreshed, Ok(None));
}

async fn s12_6_batch_after_batch_is_removed_until_nothing_is_left(store: Arc<dyn Store>) {
    let (world, _) = with_sessions(store, 5).await;
    world.clock.advance(45 * DAY);
    let housekeeper = world.engine.housekeeper();
    let housekeeper = housekeeper.with_batch(NonZeroU32::new(2).unwrap());
    assert_eq!(sessions_removed(&housekeeper).await, Some(5));
}

async fn s12_6_mails_that_were_given_up_stay_for_thirty_days(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register("alice").await.unwrap();
    let now = world.clock.now();
    let owed = world.store.claim_mail(now, MINUTE).await.unwrap().unwrap();
    world.store.abandon_mail(&owed, now, "550").await.unwrap();
    let housekeeper = world.engine.housekeeper();
    world.clock.advance(30 * DAY);
    let removed = housekeeper.clean().await.unwrap().unwrap();
    assert_eq!(removed.mails, 0);
    world.clock.advance(10 * MINUTE);
    let removed = housekeeper.clean().await.unwrap().unwrap();
    assert_eq!(removed.mails, 1);
}

async fn s12_6_a_housekeeper_cleans_at_once_and_ends_when_it_is_told(store: Arc<dyn Store>) {
    let (world, tokens) = with_sessions(store, 1).await;
    world.clock.advance(45 * DAY);
    let (stop, stopped) = oneshot::channel::<()>();
    let housekeeper = world.engine.housekeeper();
    let running = tokio::spawn(housekeeper.run(async move { drop(stopped.await) }));
    let cleaned = async {
        while world.refresh(tokens.first().unwrap()).await != Err("token_revoked") {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, cleaned).await.unwrap();
    drop(stop);
    tokio::time::timeout(limit, running).await.unwrap().unwrap();
}

on_each_store!(
    s12_6_one_of_two_housekeepers_cleans_at_a_time,
    s12_6_an_expired_session_stays_for_its_retention,
    s12_6_live_sessions_are_left_alone,
    s12_6_batch_after_batch_is_removed_until_nothing_is_left,
    s12_6_mails_that_were_given_up_stay_for_thirty_days,
    s12_6_a_housekeeper_cleans_at_once_and_ends_when_it_is_told,
);
