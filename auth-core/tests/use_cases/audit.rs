//! The audit trail of the use cases.

use std::sync::{Arc, Mutex};

use auth_core::audit::{Actor, AuditAct, AuditEvent, LoginRule, Outcome};
use auth_core::store::{EventFilter, Store};
use auth_core::{
    AuthService, Login, Password, Registration, RequestContext, RequestId, Superuser, UserId,
};

use crate::support::on_each_store;
use crate::world::{PASSWORD, World, code};
use crate::{MINUTE, rotating};

/// The client of every request of these tests.
fn context() -> RequestContext {
    RequestContext::default()
        .with_request_id(RequestId::parse("the-request").unwrap())
        .with_peer([10, 0, 0, 1].into())
        .with_client([192, 0, 2, 7].into())
}

/// What is stored, the earliest first, when nothing waits any more; what follows is later.
async fn trail(world: &World) -> Vec<AuditEvent> {
    world.engine.audit_writer().flush().await.unwrap();
    let filter = EventFilter::default();
    let mut events = world.store.list_events(&filter).await.unwrap();
    events.reverse();
    world.clock.advance(MINUTE);
    events
}

async fn last(world: &World) -> AuditEvent {
    trail(world).await.pop().unwrap()
}

async fn s14_4_a_refused_login_tells_the_operator_the_rule(store: Arc<dyn Store>) {
    let world = World::new(store);
    let alice = world.register_verified("alice").await;
    let bob = world.register("bob").await.unwrap();
    world.clock.advance(MINUTE);
    for (name, password, rule, user) in [
        ("nobody", PASSWORD, LoginRule::UnknownUser, None),
        (
            "alice",
            "a wrong password",
            LoginRule::WrongPassword,
            Some(alice),
        ),
        ("bob", PASSWORD, LoginRule::EmailNotVerified, Some(bob)),
        ("alice", &"x".repeat(2000), LoginRule::PasswordTooLong, None),
    ] {
        let login = Login::new(name, Password::new(password));
        world.engine.log_in(login, &context()).await.unwrap_err();
        let event = last(&world).await;
        assert_eq!(event.act.kind(), "login_refused");
        assert_eq!(event.act.reason(), Some(rule.as_str()));
        assert_eq!(event.act.outcome(), Outcome::Refused);
        assert_eq!((event.user, event.actor), (user, Actor::Anonymous));
        assert_eq!(event.request_id, context().request_id);
        assert_eq!(
            (event.peer, event.client),
            (context().peer, context().client)
        );
    }
}

async fn s14_4_a_login_and_its_logout_are_the_users(store: Arc<dyn Store>) {
    let world = World::new(store);
    let alice = world.register_verified("alice").await;
    world.clock.advance(MINUTE);
    let login = Login::new("alice", Password::new(PASSWORD));
    let pair = world.engine.log_in(login, &context()).await.unwrap();
    let event = last(&world).await;
    assert_eq!(event.act, AuditAct::LoggedIn);
    assert_eq!((event.user, event.actor), (Some(alice), Actor::User(alice)));
    let session = event.session;
    assert!(session.is_some());
    for _ in 0..2 {
        let token = pair.refresh_token.expose();
        world.engine.log_out(token, &context()).await.unwrap();
        let event = last(&world).await;
        assert_eq!(event.act, AuditAct::LoggedOut);
        assert_eq!((event.user, event.session), (Some(alice), session));
    }
    let logouts = trail(&world).await;
    let logouts = logouts
        .iter()
        .filter(|event| event.act == AuditAct::LoggedOut);
    assert_eq!(logouts.count(), 1);
}

async fn s14_4_a_registration_is_told_of_whether_done_or_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    let admin = UserId::generate();
    let alice = || Registration::new("alice", Password::new(PASSWORD), "alice@example.org");
    let by = Superuser::assume(admin);
    let id = world
        .engine
        .register(by, alice(), &context())
        .await
        .unwrap();
    let event = last(&world).await;
    assert_eq!(event.act, AuditAct::UserRegistered);
    assert_eq!((event.user, event.actor), (Some(id), Actor::User(admin)));
    world.clock.advance(MINUTE);
    world
        .engine
        .register(by, alice(), &context())
        .await
        .unwrap_err();
    let event = last(&world).await;
    assert_eq!(event.act.reason(), Some("username_taken"));
    assert_eq!((event.user, event.actor), (None, Actor::User(admin)));
}

async fn s14_4_a_verification_is_told_of_whether_done_or_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    let alice = world.register("alice").await.unwrap();
    world.clock.advance(MINUTE);
    let token = world.mailed_token().await;
    world.engine.verify_email(&token, &context()).await.unwrap();
    let event = last(&world).await;
    assert_eq!(
        (event.act, event.user),
        (AuditAct::EmailVerified, Some(alice))
    );
    world.clock.advance(MINUTE);
    world
        .engine
        .verify_email("no token", &context())
        .await
        .unwrap_err();
    assert_eq!(last(&world).await.act.reason(), Some("link_invalid"));
}

async fn s14_4_a_denied_authorisation_is_told_of(store: Arc<dyn Store>) {
    let world = World::new(store);
    let alice = world.register_verified("alice").await;
    let pair = world.log_in("alice").await.unwrap();
    let verifier = world.engine.access_token_verifier();
    let caller = verifier.verify(pair.access_token.expose()).unwrap();
    world.clock.advance(MINUTE);
    let verdict = world.engine.require_superuser(&caller, &context()).await;
    assert_eq!(code(verdict), "permission_denied");
    let event = last(&world).await;
    assert_eq!(event.act.kind(), "access_denied");
    assert_eq!(
        (event.user, event.session),
        (Some(alice), Some(caller.session_id))
    );
}

async fn s7_8_s14_4_reuse_is_told_of_with_its_kind_and_age(store: Arc<dyn Store>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    let hook = move |event: &AuditEvent| ears.lock().unwrap().push(event.clone());
    let world = World::with(store, |builder| {
        rotating(builder).with_audit_hook(Arc::new(hook))
    });
    let alice = world.register_verified("alice").await;
    for (refreshes, kind) in [(1, "lost_answer"), (2, "old_generation")] {
        world.clock.advance(MINUTE);
        let pair = world.log_in("alice").await.unwrap();
        let first = pair.refresh_token.expose().to_owned();
        let mut token = first.clone();
        for _ in 0..refreshes {
            token = world.refresh(&token).await.unwrap().unwrap();
        }
        world.clock.advance(MINUTE * 11);
        assert_eq!(world.refresh(&first).await, Err("token_revoked"));
        let events = trail(&world).await;
        let detected = events
            .iter()
            .rfind(|event| event.act.kind() == "reuse_detected")
            .unwrap();
        assert_eq!(detected.act.reason(), Some(kind));
        let AuditAct::ReuseDetected { age_seconds, .. } = detected.act else {
            panic!("{detected:?}")
        };
        assert_eq!((age_seconds, detected.user), (660, Some(alice)));
        assert!(
            heard.lock().unwrap().contains(detected),
            "the host's hook has heard"
        );
    }
}

async fn s14_4_a_refresh_is_heard_and_not_stored(store: Arc<dyn Store>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    let hook = move |event: &AuditEvent| ears.lock().unwrap().push(event.act.kind());
    let world = World::with(store, |builder| builder.with_audit_hook(Arc::new(hook)));
    world.register_verified("alice").await;
    let pair = world.log_in("alice").await.unwrap();
    let before = trail(&world).await;
    heard.lock().unwrap().clear();
    world.refresh(pair.refresh_token.expose()).await.unwrap();
    assert_eq!(world.refresh("art_forged").await, Err("token_invalid"));
    assert_eq!(*heard.lock().unwrap(), ["refreshed", "refresh_refused"]);
    assert_eq!(trail(&world).await, before);
}

async fn s14_4_a_change_of_keys_is_told_of_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.engine.note_keys().await.unwrap();
    world.engine.note_keys().await.unwrap();
    let events = trail(&world).await;
    assert_eq!(events.len(), 1);
    assert_eq!(last(&world).await.act.kind(), "keys_changed");
}

on_each_store!(
    s14_4_a_refused_login_tells_the_operator_the_rule,
    s14_4_a_login_and_its_logout_are_the_users,
    s14_4_a_registration_is_told_of_whether_done_or_refused,
    s14_4_a_verification_is_told_of_whether_done_or_refused,
    s14_4_a_denied_authorisation_is_told_of,
    s7_8_s14_4_reuse_is_told_of_with_its_kind_and_age,
    s14_4_a_refresh_is_heard_and_not_stored,
    s14_4_a_change_of_keys_is_told_of_once,
);
