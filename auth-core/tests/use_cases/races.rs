//! Changes that lose a race: they did nothing, and nobody's access ends.

use std::sync::Arc;

use auth_core::store::{PostgresStore, Store};
use auth_core::{Account, AuthError, EmailChangeRequest, Password, RequestContext, TokenPair};
use sqlx::PgPool;

use crate::revocation::verdict;
use crate::support;
use crate::world::{PASSWORD, World, code};

const OTHER: &str = "staple battery horse";

/// Does the act while the statement has locked the user's row and is not committed: the act has
/// found everything in order, and finds it changed when its turn comes.
async fn lose<T, F>(pool: &PgPool, winner: &'static str, act: F) -> &'static str
where
    F: Future<Output = Result<T, AuthError>> + Send + 'static,
    T: Send + 'static,
{
    let mut winning = pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM auth_users FOR UPDATE")
        .execute(&mut *winning)
        .await
        .unwrap();
    sqlx::query(winner).execute(&mut *winning).await.unwrap();
    let losing = tokio::spawn(act);
    let waits = "SELECT EXISTS (
                     SELECT 1 FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'
                 )";
    while !sqlx::query_scalar::<_, bool>(waits)
        .fetch_one(pool)
        .await
        .unwrap()
    {
        assert!(!losing.is_finished(), "it waited for nobody");
    }
    winning.commit().await.unwrap();
    code(losing.await.unwrap())
}

async fn alice(store: PostgresStore) -> (World, TokenPair) {
    let world = World::new(Arc::new(store) as Arc<dyn Store>);
    world.register_verified("alice").await;
    let pair = world.log_in("alice").await.unwrap();
    (world, pair)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_10_a_reset_that_comes_too_late_ends_nobodys_access() {
    let (_, database) = support::postgres().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    let pool = store.pool().clone();
    let (world, pair) = alice(store).await;
    let engine = world.engine.clone();
    let context = RequestContext::default();
    engine
        .request_password_reset("alice@example.org", &context)
        .await
        .unwrap();
    let token = world.mailed_token().await;
    // As the next login does when the parameters of hashes have changed.
    let winner = "UPDATE auth_users SET password_hash = 'renewed'";
    let reset = async move {
        let password = Password::new(OTHER);
        engine.reset_password(&token, password, &context).await
    };
    assert_eq!(lose(&pool, winner, reset).await, "link_used");
    assert_eq!(
        verdict(&world.engine, pair.access_token.expose()),
        "success"
    );
}

/// Whoever has proved the password a moment before it is replaced does not leave a link behind; nor
/// does one whose account goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_1_s15_2_a_change_of_address_that_comes_too_late_is_not_noted() {
    for winner in [
        "UPDATE auth_users SET password_hash = 'replaced'",
        "DELETE FROM auth_users",
    ] {
        ask_for_an_address_and_lose(winner).await;
    }
}

async fn ask_for_an_address_and_lose(winner: &'static str) {
    let (_, database) = support::postgres().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    let pool = store.pool().clone();
    let (world, pair) = alice(store).await;
    let engine = world.engine.clone();
    let verifier = engine.access_token_verifier();
    let caller = verifier.verify(pair.access_token.expose()).unwrap();
    let ask = async move {
        let request = EmailChangeRequest::new("thief@example.org", Password::new(PASSWORD));
        let context = RequestContext::default();
        engine
            .request_email_change(&caller, request, &context)
            .await
    };
    let lost = lose(&pool, winner, ask).await;
    assert_eq!(lost, "token_revoked", "{winner}");
    assert_eq!(world.worker.deliver_due().await.unwrap().sent, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_10_an_undo_that_comes_too_late_ends_nobodys_access() {
    let (_, database) = support::postgres().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    let pool = store.pool().clone();
    let (world, pair) = alice(store).await;
    let token = world.change_email("alice", "new@example.org").await;
    let engine = world.engine.clone();
    let winner = "UPDATE auth_email_changes SET undone_at = now()";
    let undo = async move {
        let context = RequestContext::default();
        engine.undo_email_change(&token, &context).await
    };
    assert_eq!(lose(&pool, winner, undo).await, "link_used");
    assert_eq!(
        verdict(&world.engine, pair.access_token.expose()),
        "success"
    );
}
