//! Refresh token rotation against a model: random clients, every order of their store calls.
//!
//! A script lets clients refresh, lose answers, retry with and without their idempotency keys,
//! copy tokens, log out, and lets time pass. Each call of a use case to the store waits until the
//! script lets it through, so that use cases interleave in ways that no race would meet, and the
//! same way each time. Every answer must be the model's. Besides, whatever the model says:
//!
//! - a generation has one successor;
//! - no refresh that begins after an acknowledged end of the session succeeds;
//! - an access token is issued for a live session only;
//! - a client that retries within the grace keeps its session, unless there is a copy or a logout.
#![cfg(all(feature = "testing", feature = "sqlite", feature = "postgres", unix))]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and tells how much it has seen"
)]

mod gate;
mod model;
mod play;
mod script;
mod world;

use std::sync::Arc;
use std::time::Duration;

use auth_core::store::{PostgresStore, SqliteStore, Store};
use auth_core::testing::postgres::TemporaryDatabase;
use proptest::test_runner::{Config, TestRunner};

use self::play::play;
use self::script::{Act, HONEST, script};
use self::world::{Tally, World};

/// Five times as many take four minutes: change it for a run by hand.
const SQLITE_INTERLEAVINGS: u32 = 20_000;
const POSTGRES_INTERLEAVINGS: u32 = 2_000;

/// Each has a store of its own.
const THREADS: u32 = 2;

/// What must have happened, or the scripts are too tame.
const EXPECTED: &[&str] = &[
    "Rotated",
    "Followed",
    "RepeatedWithinTheGrace",
    "RepeatedByItsKey",
    "Contested",
    "ReusedLostAnswer",
    "ReusedByAnother",
    "ReusedOldGeneration",
    "Revoked",
    "ReachedItsEnd",
    "Idle",
    "logged out",
    "a revocation overtook a refresh",
    "a use was noted",
    "rotations were lost",
    "a token of before the loss was used",
];

#[test]
fn s7_8_rotation_is_as_the_model_says_on_sqlite() {
    explore(SQLITE_INTERLEAVINGS, async || {
        let store = SqliteStore::in_memory().await.unwrap();
        store.migrate().await.unwrap();
        (Arc::new(store) as Arc<dyn Store>, ())
    });
}

#[test]
fn s7_8_rotation_is_as_the_model_says_on_postgres() {
    explore(POSTGRES_INTERLEAVINGS, async || {
        let database = TemporaryDatabase::create().await;
        let store = PostgresStore::connect(database.url()).unwrap();
        store.migrate().await.unwrap();
        (Arc::new(store) as Arc<dyn Store>, database)
    });
}

/// A thief's refresh finds out about the reuse when an hour has passed: the access token of another
/// refresh, which the store answered in between, ends too.
#[tokio::test]
async fn s7_7_an_end_that_comes_late_ends_the_tokens_of_meanwhile() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.migrate().await.unwrap();
    let mut world = World::new(Arc::new(store)).await;
    let refresh = |client, key| Act::Refresh {
        client,
        key,
        heard: false,
    };
    let script = [
        refresh(HONEST, Some(0)),
        Act::Copy {
            from: HONEST,
            to: 2,
        },
        Act::Wait(Duration::from_secs(660)),
        refresh(2, None),
        Act::Step(0),
        Act::Wait(Duration::from_secs(3900)),
        refresh(HONEST, Some(0)),
        Act::Step(1),
        Act::Step(1),
    ];
    play(&mut world, &script).await.unwrap();
}

fn explore<G>(interleavings: u32, store: impl AsyncFn() -> (Arc<dyn Store>, G) + Sync) {
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let explorers: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| explore_alone(interleavings / THREADS, &store)))
            .collect();
        let done = explorers.into_iter().map(|explorer| explorer.join());
        done.collect::<Result<_, _>>().unwrap()
    });
    let mut total = Tally::new();
    for (what, times) in tallies.into_iter().flatten() {
        *total.entry(what).or_default() += times;
    }
    println!("{interleavings} interleavings: {total:#?}");
    for what in EXPECTED {
        assert!(total.contains_key(*what), "never happened: {what}");
    }
}

fn explore_alone<G>(interleavings: u32, store: impl AsyncFn() -> (Arc<dyn Store>, G)) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (store, guard) = runtime.block_on(store());
    let world = std::cell::RefCell::new(runtime.block_on(World::new(store)));
    let config = Config {
        cases: interleavings,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&script(), |script| {
        runtime.block_on(play(&mut world.borrow_mut(), &script))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    drop(guard);
    world.into_inner().tally
}
