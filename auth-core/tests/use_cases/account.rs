//! What users do to their own accounts, and what ends with it.

use std::net::IpAddr;
use std::sync::Arc;

use auth_core::audit::{Actor, AuditAct};
use auth_core::store::{EventFilter, Store};
use auth_core::{
    Account, Administration as _, Administrator, AuthService as _, Login, OwnSessions, Password,
    PasswordChange, Principal, RequestContext, SessionId, TokenPair, UserId,
};

use crate::MINUTE;
use crate::support::on_each_store;
use crate::world::{PASSWORD, World, code};

const OTHER_PASSWORD: &str = "battery horse correct";

fn from(address: [u8; 4]) -> RequestContext {
    let mut context = RequestContext::default();
    context.client = Some(IpAddr::from(address));
    context
}

/// Alice, logged in here and there, and Bob.
struct Case {
    world: World,
    alice: UserId,
    here: Principal,
    there: Principal,
    there_pair: TokenPair,
    bob: Principal,
}

impl Case {
    async fn new(store: Arc<dyn Store>) -> Self {
        let world = World::new(store);
        let alice = world.register_verified("alice").await;
        world.register_verified("bob").await;
        let (there, there_pair) = begin(&world, "alice", [198, 51, 100, 9]).await;
        world.clock.advance(MINUTE);
        let (here, _) = begin(&world, "alice", [192, 0, 2, 7]).await;
        let (bob, _) = begin(&world, "bob", [192, 0, 2, 8]).await;
        world.clock.advance(MINUTE);
        Self {
            world,
            alice,
            here,
            there,
            there_pair,
            bob,
        }
    }

    async fn change(&self, current: &str, new: &str) -> &'static str {
        let change = PasswordChange::new(Password::new(current), Password::new(new));
        let engine = &self.world.engine;
        let context = RequestContext::default();
        code(
            engine
                .change_own_password(&self.here, change, &context)
                .await,
        )
    }

    async fn sessions(&self) -> Vec<SessionId> {
        let listed = self.world.engine.list_own_sessions(&self.here).await;
        listed.unwrap().iter().map(|session| session.id).collect()
    }

    async fn last_act(&self) -> (AuditAct, Actor, Option<UserId>) {
        self.world.engine.audit_writer().flush().await.unwrap();
        let events = self.world.store.list_events(&EventFilter::default()).await;
        let events = events.unwrap();
        let newest = events.first().unwrap();
        (newest.act.clone(), newest.actor, newest.user)
    }

    fn by_alice(&self, act: AuditAct) -> (AuditAct, Actor, Option<UserId>) {
        (act, Actor::User(self.alice), Some(self.alice))
    }
}

async fn begin(world: &World, name: &str, address: [u8; 4]) -> (Principal, TokenPair) {
    let login = Login::new(name, Password::new(PASSWORD));
    let pair = world.engine.log_in(login, &from(address)).await.unwrap();
    let verifier = world.engine.access_token_verifier();
    (verifier.verify(pair.access_token.expose()).unwrap(), pair)
}

async fn tells_users_who_they_are_and_where_they_are_logged_in(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let me = case.world.engine.read_account(&case.here).await.unwrap();
    assert_eq!((me.id, me.username.as_str()), (case.alice, "alice"));

    let listed = case.world.engine.list_own_sessions(&case.here).await;
    let listed = listed.unwrap();
    let clients: Vec<_> = listed
        .iter()
        .map(|session| (session.id, session.client.unwrap().to_string()))
        .collect();
    let expected = [
        (case.here.session_id, "192.0.2.7".to_owned()),
        (case.there.session_id, "198.51.100.9".to_owned()),
    ];
    assert_eq!(clients, expected, "the latest first");
}

async fn s7_9_s7_10_users_end_one_of_their_sessions_and_nobody_elses(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    let context = RequestContext::default();
    for foreign in [case.bob.session_id, SessionId::generate()] {
        let refused = engine.end_own_session(&case.here, foreign, &context).await;
        assert_eq!(code(refused), "not_found");
    }
    assert_eq!(code(engine.read_account(&case.bob).await), "success");

    case.world.clock.advance(MINUTE);
    let there = case.there.session_id;
    let ended = engine.end_own_session(&case.here, there, &context).await;
    assert_eq!(code(ended), "success");
    let told = case.by_alice(AuditAct::SessionEnded);
    assert_eq!(case.last_act().await, told);
    assert_eq!(case.sessions().await, [case.here.session_id]);
    assert_eq!(
        code(engine.read_account(&case.there).await),
        "token_revoked"
    );
    let refreshed = case.world.refresh(case.there_pair.refresh_token.expose());
    assert_eq!(refreshed.await, Err("token_revoked"));
    let again = engine.end_own_session(&case.here, there, &context).await;
    assert_eq!(code(again), "not_found");
}

async fn s7_10_users_log_out_elsewhere_or_everywhere(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    let context = RequestContext::default();
    let ended = engine.end_own_sessions(&case.here, OwnSessions::Others, &context);
    assert_eq!(ended.await.unwrap(), 1);
    assert_eq!(case.sessions().await, [case.here.session_id]);

    case.world.clock.advance(MINUTE);
    let ended = engine.end_own_sessions(&case.here, OwnSessions::All, &context);
    assert_eq!(ended.await.unwrap(), 1);
    let told = case.by_alice(AuditAct::SessionsEnded);
    assert_eq!(case.last_act().await, told);
    let refused = engine.list_own_sessions(&case.here).await;
    assert_eq!(code(refused), "token_revoked");
    assert_eq!(code(engine.read_account(&case.bob).await), "success");
    assert_eq!(code(case.world.log_in("alice").await), "success");
}

async fn s7_10_a_new_password_ends_the_other_sessions(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    case.world.clock.advance(MINUTE);
    assert_eq!(case.change(PASSWORD, OTHER_PASSWORD).await, "success");
    let told = case.by_alice(AuditAct::PasswordChanged);
    assert_eq!(case.last_act().await, told);
    assert_eq!(case.sessions().await, [case.here.session_id]);
    let engine = &case.world.engine;
    assert_eq!(
        code(engine.read_account(&case.there).await),
        "token_revoked"
    );
    assert_eq!(
        code(case.world.log_in("alice").await),
        "invalid_credentials"
    );
    let logged_in = case.world.log_in_with("alice", OTHER_PASSWORD).await;
    assert_eq!(code(logged_in), "success");
}

async fn a_new_password_needs_the_current_one_and_keeps_the_rules(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    case.world.clock.advance(MINUTE);
    let too_long = "x".repeat(2000);
    for wrong in ["a wrong password", "", too_long.as_str()] {
        let refused = case.change(wrong, OTHER_PASSWORD).await;
        assert_eq!(refused, "invalid_credentials");
    }
    let (act, _, user) = case.last_act().await;
    assert_eq!(act.kind(), "account_change_refused");
    assert_eq!(
        (act.reason(), user),
        (Some("invalid_credentials"), Some(case.alice))
    );
    for weak in ["short", "alice", "password12345678"] {
        assert_eq!(case.change(PASSWORD, weak).await, "validation_failed");
    }
    assert_eq!(case.sessions().await.len(), 2);
    assert_eq!(code(case.world.log_in("alice").await), "success");
}

async fn s5_1_guessing_the_current_password_slows_down(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    for _ in 0..10 {
        let refused = case.change("a wrong password", OTHER_PASSWORD).await;
        assert_eq!(refused, "invalid_credentials");
    }
    let refused = case.change(PASSWORD, OTHER_PASSWORD).await;
    assert_eq!(refused, "too_many_attempts", "also for the right one");
    let logged_in = code(case.world.log_in("alice").await);
    assert_eq!(logged_in, "too_many_attempts", "one budget for both");
    case.world.clock.advance(MINUTE);
    assert_eq!(case.change(PASSWORD, OTHER_PASSWORD).await, "success");
}

async fn s9_3_who_is_deactivated_can_do_nothing_here(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    let context = RequestContext::default();
    engine
        .deactivate_user(Administrator::Operator, case.alice, &context)
        .await
        .unwrap();
    let here = &case.here;
    let ended = engine.end_own_session(here, here.session_id, &context);
    let all = engine.end_own_sessions(here, OwnSessions::All, &context);
    for refused in [
        code(engine.read_account(here).await),
        code(engine.list_own_sessions(here).await),
        code(ended.await),
        code(all.await),
        case.change(PASSWORD, OTHER_PASSWORD).await,
    ] {
        assert_eq!(refused, "token_revoked");
    }
}

on_each_store!(
    tells_users_who_they_are_and_where_they_are_logged_in,
    s7_9_s7_10_users_end_one_of_their_sessions_and_nobody_elses,
    s7_10_users_log_out_elsewhere_or_everywhere,
    s7_10_a_new_password_ends_the_other_sessions,
    a_new_password_needs_the_current_one_and_keeps_the_rules,
    s5_1_guessing_the_current_password_slows_down,
    s9_3_who_is_deactivated_can_do_nothing_here,
);
