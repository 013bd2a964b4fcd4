//! What is revoked at one node is refused at the others, long before it expires.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use auth_core::audit::AuditEvent;
use auth_core::store::{SqliteStore, Store};
use auth_core::testing::ManualClock;
use auth_core::{
    Administration, Administrator, AuthService, Bootstrap, Clock, Engine, EngineBuilder, Password,
    Registration, RequestContext, Role, Roles, Timestamp, UserId,
};

use crate::support::on_each_store;
use crate::world::{PASSWORD, World, code};

const PATIENCE: Duration = Duration::from_secs(30);

/// A node over the store that learns of what others revoke.
pub(crate) fn follow(engine: &Engine) {
    tokio::spawn(engine.revocation_follower().run(std::future::pending()));
}

pub(crate) async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.unwrap();
}

pub(crate) fn verdict(engine: &Engine, access_token: &str) -> &'static str {
    code(engine.access_token_verifier().verify(access_token))
}

fn remembering(builder: EngineBuilder) -> EngineBuilder {
    builder.with_token_cache(NonZeroUsize::new(100).unwrap())
}

/// Two nodes, of which the other one is asked, and a user of theirs; one remembers tokens.
async fn nodes(store: &Arc<dyn Store>) -> (World, World, UserId) {
    let here = World::new(Arc::clone(store));
    let there = World::with(Arc::clone(store), remembering);
    follow(&there.engine);
    let alice = here.register_verified("alice").await;
    (here, there, alice)
}

fn context() -> RequestContext {
    RequestContext::default()
}

async fn s7_7_a_logout_ends_the_access_token_at_every_node(store: Arc<dyn Store>) {
    let (here, there, _) = nodes(&store).await;
    let [ended, other] = [
        here.log_in("alice").await.unwrap(),
        here.log_in("alice").await.unwrap(),
    ];
    for node in [&here, &there] {
        assert_eq!(
            verdict(&node.engine, ended.access_token.expose()),
            "success"
        );
    }
    let refresh_token = ended.refresh_token.expose();
    here.engine
        .log_out(refresh_token, &context())
        .await
        .unwrap();
    // The node that did it waits for nobody.
    let access_token = ended.access_token.expose();
    assert_eq!(verdict(&here.engine, access_token), "token_revoked");
    until(|| verdict(&there.engine, access_token) == "token_revoked").await;
    for node in [&here, &there] {
        assert_eq!(
            verdict(&node.engine, other.access_token.expose()),
            "success"
        );
    }
}

async fn s7_7_a_node_that_starts_late_knows_what_was_revoked_before(store: Arc<dyn Store>) {
    let (here, _, _) = nodes(&store).await;
    let tokens = here.log_in("alice").await.unwrap();
    let refresh_token = tokens.refresh_token.expose();
    here.engine
        .log_out(refresh_token, &context())
        .await
        .unwrap();
    let late = World::new(Arc::clone(&store));
    assert_eq!(
        verdict(&late.engine, tokens.access_token.expose()),
        "success"
    );
    follow(&late.engine);
    until(|| late.engine.revocations().is_healthy()).await;
    assert_eq!(
        verdict(&late.engine, tokens.access_token.expose()),
        "token_revoked"
    );
}

async fn s9_3_who_is_shut_out_is_refused_at_every_node(store: Arc<dyn Store>) {
    let (here, there, alice) = nodes(&store).await;
    let bob = here.register_verified("bob").await;
    for (name, user) in [("alice", alice), ("bob", bob)] {
        let tokens = here.log_in(name).await.unwrap();
        let by = Administrator::Operator;
        let done = match name {
            "alice" => here.engine.deactivate_user(by, user, &context()).await,
            _ => here.engine.delete_user(by, user, &context()).await,
        };
        done.unwrap();
        let access_token = tokens.access_token.expose();
        assert_ne!(verdict(&here.engine, access_token), "success");
        until(|| verdict(&there.engine, access_token) == "token_revoked").await;
        let refreshed = there.refresh(tokens.refresh_token.expose()).await;
        assert_eq!(refreshed, Err("token_revoked"));
    }
}

async fn s9_2_a_demotion_ends_the_role_at_every_node(store: Arc<dyn Store>) {
    let (here, there, alice) = nodes(&store).await;
    let operator = Registration::new("admin", Password::new(PASSWORD), "admin@localhost");
    let created = here
        .engine
        .create_superuser(operator, Bootstrap::FirstSuperuser);
    created.await.unwrap().unwrap();
    let by = Administrator::Operator;
    let promoted = here.engine.grant_superuser(by, alice, &context()).await;
    promoted.unwrap();
    let tokens = here.log_in("alice").await.unwrap();
    let access_token = tokens.access_token.expose();
    let verifier = there.engine.access_token_verifier();
    let caller = verifier.verify(access_token).unwrap();
    assert!(caller.has_role(Role::SUPERUSER));

    let demoted = here.engine.revoke_superuser(by, alice, &context()).await;
    demoted.unwrap();
    assert_eq!(verdict(&here.engine, access_token), "token_expired");
    until(|| verdict(&there.engine, access_token) == "token_expired").await;

    // The session lives on, without the role.
    here.clock.advance(Duration::from_secs(1));
    there.clock.advance(Duration::from_secs(1));
    let refresh_token = tokens.refresh_token.expose();
    let refreshed = here.engine.refresh(refresh_token, &context()).await;
    let refreshed = refreshed.unwrap();
    let caller = verifier.verify(refreshed.access_token.expose()).unwrap();
    assert!(!caller.has_role(Role::SUPERUSER));
}

async fn s9_2_other_roles_end_the_tokens_at_every_node(store: Arc<dyn Store>) {
    let (here, there, alice) = nodes(&store).await;
    let by = Administrator::Operator;
    let roles = Roles::parse(["editor", "auditor"]).unwrap();
    let given = here.engine.set_roles(by, alice, &roles, &context()).await;
    given.unwrap();
    here.clock.advance(Duration::from_secs(1));
    there.clock.advance(Duration::from_secs(1));
    let tokens = here.log_in("alice").await.unwrap();
    let access_token = tokens.access_token.expose();
    let verifier = there.engine.access_token_verifier();
    let caller = verifier.verify(access_token).unwrap();
    let held: Vec<_> = caller.roles.iter().map(Role::as_str).collect();
    assert_eq!(held, ["auditor", "editor"]);

    let roles = Roles::parse(["editor"]).unwrap();
    let taken = here.engine.set_roles(by, alice, &roles, &context()).await;
    taken.unwrap();
    assert_eq!(verdict(&here.engine, access_token), "token_expired");
    until(|| verdict(&there.engine, access_token) == "token_expired").await;

    // The session lives on, with the roles of now.
    here.clock.advance(Duration::from_secs(1));
    there.clock.advance(Duration::from_secs(1));
    let refresh_token = tokens.refresh_token.expose();
    let refreshed = here.engine.refresh(refresh_token, &context()).await;
    let refreshed = refreshed.unwrap();
    let caller = verifier.verify(refreshed.access_token.expose()).unwrap();
    assert!(caller.has_role("editor") && !caller.has_role("auditor"));
}

async fn s7_10_a_new_password_or_an_order_ends_sessions_at_every_node(store: Arc<dyn Store>) {
    let (here, there, alice) = nodes(&store).await;
    let by = Administrator::Operator;
    let engine = &here.engine;
    for (act, expected) in [
        ("password", "token_revoked"),
        ("user", "token_revoked"),
        ("all", "token_expired"),
    ] {
        let tokens = here.log_in("alice").await.unwrap();
        match act {
            "password" => {
                let password = Password::new(PASSWORD);
                let changed = engine.set_password(by, alice, password, &context()).await;
                changed.unwrap();
            }
            "user" => {
                let ended = engine.end_user_sessions(by, alice, &context()).await;
                assert_eq!(ended.unwrap(), 1);
            }
            _ => {
                let ended = engine.end_all_sessions(by, &context()).await;
                assert_eq!(ended.unwrap(), 1);
            }
        }
        let access_token = tokens.access_token.expose();
        until(|| verdict(&there.engine, access_token) == expected).await;
        let refreshed = there.refresh(tokens.refresh_token.expose()).await;
        assert_eq!(refreshed, Err("token_revoked"), "{act}");
    }
}

async fn s7_5_the_session_that_makes_room_is_refused_at_every_node(store: Arc<dyn Store>) {
    let (_, there, _) = nodes(&store).await;
    let here = World::with(Arc::clone(&store), |builder| {
        builder.with_max_sessions_per_user(std::num::NonZeroU32::MIN)
    });
    let first = here.log_in("alice").await.unwrap();
    let second = here.log_in("alice").await.unwrap();
    let first = first.access_token.expose();
    until(|| verdict(&there.engine, first) == "token_revoked").await;
    let second = second.access_token.expose();
    assert_eq!(verdict(&there.engine, second), "success");
}

/// A set that grew with all that was ever revoked would end at its bound.
async fn a_node_forgets_what_has_expired(store: Arc<dyn Store>) {
    let (here, there, _) = nodes(&store).await;
    let tokens = here.log_in("alice").await.unwrap();
    let refresh_token = tokens.refresh_token.expose();
    here.engine
        .log_out(refresh_token, &context())
        .await
        .unwrap();
    until(|| there.engine.revocations().len() == 1).await;
    there.clock.advance(Duration::from_secs(10 * 60));
    until(|| there.engine.revocations().is_empty()).await;
    let access_token = tokens.access_token.expose();
    assert_eq!(verdict(&there.engine, access_token), "token_expired");
}

on_each_store![
    s7_7_a_logout_ends_the_access_token_at_every_node,
    s7_7_a_node_that_starts_late_knows_what_was_revoked_before,
    s9_3_who_is_shut_out_is_refused_at_every_node,
    s9_2_a_demotion_ends_the_role_at_every_node,
    s9_2_other_roles_end_the_tokens_at_every_node,
    s7_10_a_new_password_or_an_order_ends_sessions_at_every_node,
    s7_5_the_session_that_makes_room_is_refused_at_every_node,
    a_node_forgets_what_has_expired,
];

#[tokio::test]
async fn an_engine_remembers_tokens_where_it_is_told_to() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.migrate().await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let (plain, remembering) = (
        World::new(Arc::clone(&store)),
        World::with(store, remembering),
    );
    plain.register_verified("alice").await;
    for (node, remembered) in [(&plain, "cache: None"), (&remembering, "capacity: 100")] {
        let tokens = node.log_in("alice").await.unwrap();
        let access_token = tokens.access_token.expose();
        assert_eq!(verdict(&node.engine, access_token), "success");
        let shown = format!("{:?}", node.engine.access_token_verifier());
        assert!(shown.contains(remembered), "{shown}");
    }
}

/// A token that were issued as of later would outlive a change that was committed in between.
#[tokio::test]
async fn s9_2_a_token_is_as_old_as_what_it_says_of_its_user() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.migrate().await.unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(
        1_700_000_000,
    )));
    let node = World::with(Arc::new(store), |builder| {
        let slow = Arc::clone(&clock);
        let hook = move |_: &AuditEvent| slow.advance(Duration::from_secs(7));
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        builder.with_clock(clock).with_audit_hook(Arc::new(hook))
    });
    node.register_verified("alice").await;
    let asked_at = clock.now();
    let tokens = node.log_in("alice").await.unwrap();
    assert!(asked_at < clock.now(), "the login takes a while");
    let verifier = node.engine.access_token_verifier();
    let caller = verifier.verify(tokens.access_token.expose()).unwrap();
    assert_eq!(caller.issued_at, asked_at);
}

#[tokio::test]
async fn a_node_that_cannot_follow_is_not_ready() {
    let store = SqliteStore::in_memory().await.unwrap();
    let node = World::new(Arc::new(store.clone()));
    node.engine.check().await.unwrap();
    follow(&node.engine);
    // There is no table to read.
    let stale = async { while node.engine.check().await.is_ok() {} };
    tokio::time::timeout(PATIENCE, stale).await.unwrap();
    let refusal = node.engine.check().await.unwrap_err();
    assert_eq!(refusal.code(), "storage_unavailable");
    assert_eq!(refusal.to_string(), "the revocation feed is stale");

    store.migrate().await.unwrap();
    let ready = async { while node.engine.check().await.is_err() {} };
    tokio::time::timeout(PATIENCE, ready).await.unwrap();
}
