//! Sessions, from the login to their end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use auth_core::store::{PostgresStore, Store};
use auth_core::{
    Argon2Params, AuthService, Engine, JwtKeys, Login, Password, RequestContext, Rotation,
    SecretKeys,
};

use crate::support::on_each_store;
use crate::world::{PASSWORD, World, code, hasher, secret};
use crate::{MINUTE, futures, rotating};

async fn s7_4_a_session_ends_at_its_absolute_lifetime(store: Arc<dyn Store>) {
    let world = World::with(store, rotating);
    world.register_verified("alice").await;
    let mut token = world
        .log_in("alice")
        .await
        .unwrap()
        .refresh_token
        .expose()
        .to_owned();
    for _ in 0..13 {
        world.clock.advance(24 * 60 * MINUTE);
        token = world.refresh(&token).await.unwrap().unwrap();
    }
    world.clock.advance(24 * 60 * MINUTE);
    assert_eq!(world.refresh(&token).await, Err("token_expired"));
    assert_eq!(
        code(
            world
                .engine
                .log_out(&token, &RequestContext::default())
                .await
        ),
        "success"
    );
}

async fn s7_8_a_lost_answer_is_given_again_within_the_grace(store: Arc<dyn Store>) {
    let world = World::with(store, rotating);
    world.register_verified("alice").await;
    let first = world
        .log_in("alice")
        .await
        .unwrap()
        .refresh_token
        .expose()
        .to_owned();
    let second = world.refresh(&first).await.unwrap().unwrap();
    assert_ne!(first, second);
    world.clock.advance(Duration::from_secs(29));
    assert_eq!(world.refresh(&first).await.unwrap(), Some(second.clone()));
    let third = world.refresh(&second).await.unwrap().unwrap();
    assert_eq!(
        world.refresh(&first).await,
        Err("token_revoked"),
        "the successor was used"
    );
    assert_eq!(
        world.refresh(&third).await,
        Err("token_revoked"),
        "reuse ends the session"
    );
}

async fn s7_8_outside_of_the_grace_the_earlier_token_ends_the_session(store: Arc<dyn Store>) {
    let world = World::with(store, rotating);
    world.register_verified("alice").await;
    let first = world
        .log_in("alice")
        .await
        .unwrap()
        .refresh_token
        .expose()
        .to_owned();
    let second = world.refresh(&first).await.unwrap().unwrap();
    world.clock.advance(10 * MINUTE);
    assert_eq!(world.refresh(&first).await, Err("token_revoked"));
    assert_eq!(world.refresh(&second).await, Err("token_revoked"));
}

async fn s7_8_of_many_refreshes_at_once_all_get_the_one_successor(store: Arc<dyn Store>) {
    let world = World::with(store, rotating);
    world.register_verified("alice").await;
    let token = world
        .log_in("alice")
        .await
        .unwrap()
        .refresh_token
        .expose()
        .to_owned();
    let answers = futures(100, || world.refresh(&token)).await;
    let successors: HashSet<_> = answers
        .into_iter()
        .map(|answer| answer.unwrap().unwrap())
        .collect();
    assert_eq!(successors.len(), 1);
    assert!(!successors.contains(&token));
}

async fn s7_7_no_refresh_succeeds_after_a_logout_that_it_raced(store: Arc<dyn Store>) {
    for rotation in [
        Rotation::Off,
        Rotation::On {
            grace: Rotation::DEFAULT_GRACE,
        },
    ] {
        let name = if rotation == Rotation::Off {
            "off"
        } else {
            "on"
        };
        let world = World::with(Arc::clone(&store), |builder| {
            builder.with_rotation(rotation)
        });
        world.register_verified(name).await;
        let token = world
            .log_in(name)
            .await
            .unwrap()
            .refresh_token
            .expose()
            .to_owned();
        let (raced, ()) = tokio::join!(futures(50, || world.refresh(&token)), async {
            world
                .engine
                .log_out(&token, &RequestContext::default())
                .await
                .unwrap();
            assert_eq!(world.refresh(&token).await, Err("token_revoked"));
        });
        for successor in raced.into_iter().flatten().flatten() {
            assert_eq!(world.refresh(&successor).await, Err("token_revoked"));
        }
        assert_eq!(world.refresh(&token).await, Err("token_revoked"));
    }
}

async fn s7_9_logging_out_ends_one_session_and_no_other(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    let one = world.log_in("alice").await.unwrap();
    let other = world.log_in("alice").await.unwrap();
    for garbage in ["", "art_", "garbage", other.access_token.expose()] {
        assert_eq!(
            code(
                world
                    .engine
                    .log_out(garbage, &RequestContext::default())
                    .await
            ),
            "token_invalid",
            "{garbage}"
        );
    }
    world
        .engine
        .log_out(one.refresh_token.expose(), &RequestContext::default())
        .await
        .unwrap();
    world
        .engine
        .log_out(one.refresh_token.expose(), &RequestContext::default())
        .await
        .unwrap();
    assert_eq!(
        world.refresh(one.refresh_token.expose()).await,
        Err("token_revoked")
    );
    assert_eq!(world.refresh(other.refresh_token.expose()).await, Ok(None));
}

async fn s7_2_a_token_made_without_the_key_is_refused_whatever_the_database_holds(
    store: Arc<dyn Store>,
) {
    let world = World::new(Arc::clone(&store));
    world.register_verified("alice").await;
    world.log_in("alice").await.unwrap();
    // Somebody with the whole database and another key.
    let thief = Engine::builder(
        store,
        SecretKeys::new(secret("Another-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0")),
        JwtKeys::hs256(secret("Another-2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg")),
    )
    .with_password_hasher(hasher(Argon2Params::insecure_for_tests()))
    .build()
    .unwrap();
    let forged = thief
        .log_in(
            Login::new("alice", Password::new(PASSWORD)),
            &RequestContext::default(),
        )
        .await
        .unwrap();
    assert_eq!(
        world.refresh(forged.refresh_token.expose()).await,
        Err("token_invalid")
    );
    assert_eq!(
        code(
            world
                .engine
                .log_out(forged.refresh_token.expose(), &RequestContext::default())
                .await
        ),
        "token_invalid"
    );
}

#[tokio::test]
async fn s7_1_a_forged_token_is_refused_without_asking_the_database() {
    // Nothing listens there: whatever asks the database learns that it is away.
    let store = Arc::new(PostgresStore::connect("postgres://nobody@127.0.0.1:1/none").unwrap());
    let world = World::with(store, rotating);
    let forged = format!("art_{}", "A".repeat(71));
    for token in ["", "art_", "garbage", &forged] {
        assert_eq!(world.refresh(token).await, Err("token_invalid"));
        assert_eq!(
            code(
                world
                    .engine
                    .log_out(token, &RequestContext::default())
                    .await
            ),
            "token_invalid"
        );
        assert_eq!(
            code(
                world
                    .engine
                    .verify_email(token, &RequestContext::default())
                    .await
            ),
            "link_invalid"
        );
    }
    assert_eq!(code(world.log_in("alice").await), "storage_unavailable");
}

on_each_store!(
    s7_4_a_session_ends_at_its_absolute_lifetime,
    s7_8_a_lost_answer_is_given_again_within_the_grace,
    s7_8_outside_of_the_grace_the_earlier_token_ends_the_session,
    s7_8_of_many_refreshes_at_once_all_get_the_one_successor,
    s7_7_no_refresh_succeeds_after_a_logout_that_it_raced,
    s7_9_logging_out_ends_one_session_and_no_other,
    s7_2_a_token_made_without_the_key_is_refused_whatever_the_database_holds,
);
