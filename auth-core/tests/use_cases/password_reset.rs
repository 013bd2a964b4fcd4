//! A forgotten password, and the link that replaces it.

use std::sync::Arc;
use std::time::Duration;

use auth_core::audit::{Actor, AuditAct};
use auth_core::store::{EventFilter, Store};
use auth_core::testing::MailedLink;
use auth_core::{
    Account, Administration, Administrator, AuthService, EmailVerification, Password,
    RequestContext, UserId,
};

use crate::MINUTE;
use crate::support::on_each_store;
use crate::world::{PASSWORD, World, code};

const OTHER: &str = "staple battery horse";
const ALICE: &str = "alice@example.org";

fn context() -> RequestContext {
    RequestContext::default()
}

async fn ask(world: &World, address: &str) {
    world
        .engine
        .request_password_reset(address, &context())
        .await
        .unwrap();
}

async fn reset(world: &World, token: &str, password: &str) -> &'static str {
    let password = Password::new(password);
    code(
        world
            .engine
            .reset_password(token, password, &context())
            .await,
    )
}

async fn acts(world: &World) -> Vec<(AuditAct, Actor, Option<UserId>)> {
    world.engine.audit_writer().flush().await.unwrap();
    let events = world.store.list_events(&EventFilter::default()).await;
    let events = events.unwrap().into_iter();
    events
        .map(|event| (event.act, event.actor, event.user))
        .collect()
}

async fn s8_1_the_link_replaces_the_password_once_and_ends_all_sessions(store: Arc<dyn Store>) {
    let world = World::new(store);
    let alice = world.register_verified("alice").await;
    let session = world.log_in("alice").await.unwrap();
    ask(&world, "ALICE@Example.org").await;
    world.worker.deliver_due().await.unwrap();
    let mails = world.mails.take();
    let [mail] = mails.as_slice() else {
        panic!("not one mail: {mails:?}");
    };
    assert_eq!(mail.to.as_str(), ALICE);
    let base = "https://auth.example.org/api/auth/password/reset/confirm/?token=";
    assert!(mail.text.contains(base), "{}", mail.text);
    let token = &MailedLink::find(&mail.text).unwrap().token;
    world.clock.advance(MINUTE);

    assert_eq!(reset(&world, token, "short").await, "validation_failed");
    assert_eq!(reset(&world, token, OTHER).await, "success");
    assert_eq!(reset(&world, token, PASSWORD).await, "link_used");
    assert_eq!(code(world.log_in("alice").await), "invalid_credentials");
    assert_eq!(code(world.log_in_with("alice", OTHER).await), "success");
    let refreshed = world.refresh(session.refresh_token.expose()).await;
    assert_eq!(refreshed, Err("token_revoked"));
    let verifier = world.engine.access_token_verifier();
    let refused = verifier.verify(session.access_token.expose());
    assert!(refused.is_err(), "the access token ends with its session");

    let told = acts(&world).await;
    let done = (AuditAct::PasswordReset, Actor::User(alice), Some(alice));
    assert!(told.contains(&done), "{told:?}");
    let refused: Vec<_> = told.iter().filter_map(|(act, ..)| act.reason()).collect();
    for reason in ["validation_failed", "link_used"] {
        assert!(refused.contains(&reason), "{told:?}");
    }
}

/// However the password is replaced, the link dies with it; and with the address.
async fn s8_1_the_link_dies_with_the_password_and_the_address(store: Arc<dyn Store>) {
    let world = World::new(store);
    let alice = world.register_verified("alice").await;
    ask(&world, ALICE).await;
    let token = world.mailed_token().await;
    let (by, password) = (Administrator::Operator, Password::new(OTHER));
    world
        .engine
        .set_password(by, alice, password, &context())
        .await
        .unwrap();
    assert_eq!(reset(&world, &token, PASSWORD).await, "link_used");

    ask(&world, ALICE).await;
    let first = world.mailed_token().await;
    ask(&world, ALICE).await;
    let second = world.mailed_token().await;
    assert_eq!(reset(&world, &second, PASSWORD).await, "success");
    assert_eq!(reset(&world, &first, OTHER).await, "link_used");

    world.clock.advance(MINUTE);
    ask(&world, ALICE).await;
    let token = world.mailed_token().await;
    world.change_email("alice", "new@example.org").await;
    assert_eq!(reset(&world, &token, OTHER).await, "link_used");
    ask(&world, ALICE).await;
    assert_eq!(world.worker.deliver_due().await.unwrap().sent, 0);
}

async fn s8_1_a_link_that_is_late_forged_or_for_something_else_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register("bob").await.unwrap();
    let verification = world.mailed_token().await;
    let alice = world.register_verified("alice").await;
    ask(&world, ALICE).await;
    let token = world.mailed_token().await;
    for forged in ["", "apt_", &verification, &format!("{token}x")] {
        assert_eq!(reset(&world, forged, OTHER).await, "link_invalid");
    }
    let verified = world.engine.verify_email(&token, &context()).await;
    assert_eq!(code(verified), "link_invalid");
    let by = Administrator::Operator;
    world
        .engine
        .deactivate_user(by, alice, &context())
        .await
        .unwrap();
    assert_eq!(reset(&world, &token, OTHER).await, "link_invalid");
    world
        .engine
        .activate_user(by, alice, &context())
        .await
        .unwrap();
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(reset(&world, &token, OTHER).await, "link_expired");
    assert_eq!(code(world.log_in("alice").await), "success");
}

/// Five mails at once, then one in an hour: a link in the newest is good as long as no other comes,
/// so that nobody who asks in the owner's name keeps the owner from one.
async fn s5_8_strangers_cannot_drown_a_user_in_resets(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    let mut sent = Vec::new();
    let mut newest = String::new();
    for _ in 0..7 {
        ask(&world, ALICE).await;
        world.worker.deliver_due().await.unwrap();
        let mails = world.mails.take();
        sent.push(mails.len());
        for mail in mails {
            newest = MailedLink::find(&mail.text).unwrap().token;
        }
    }
    assert_eq!(sent, [1, 1, 1, 1, 1, 0, 0]);
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(3600));
        ask(&world, ALICE).await;
        newest = world.mailed_token().await;
        ask(&world, ALICE).await;
        assert_eq!(world.worker.deliver_due().await.unwrap().sent, 0);
    }
    world.clock.advance(Duration::from_secs(3599));
    assert_eq!(reset(&world, &newest, OTHER).await, "success");
}

/// What the owner of an address asks for by undoing a change is none of the mails that strangers
/// use up.
async fn s5_8_the_link_after_an_undo_comes_whoever_asked_before(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    for _ in 0..6 {
        ask(&world, ALICE).await;
        world.worker.deliver_due().await.unwrap();
    }
    assert_eq!(world.mails.take().len(), 5);
    let undo = world.change_email("alice", "thief@example.org").await;
    let undone = world.engine.undo_email_change(&undo, &context()).await;
    assert_eq!(code(undone), "success");
    let token = world.mailed_token().await;
    assert_eq!(reset(&world, &token, OTHER).await, "success");
}

/// Known, unknown, unverified or deactivated: the answer is one, and what it costs the store too.
async fn s4_6_only_the_worker_finds_out_who_has_the_address(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register("unverified").await.unwrap();
    world.mailed_token().await;
    let gone = world.register_verified("gone").await;
    let by = Administrator::Operator;
    world
        .engine
        .deactivate_user(by, gone, &context())
        .await
        .unwrap();
    let addresses = ["nobody", "unverified", "gone"].map(|name| format!("{name}@example.org"));
    for address in &addresses {
        ask(&world, address).await;
    }
    let deliveries = world.worker.deliver_due().await.unwrap();
    assert_eq!((deliveries.sent, deliveries.not_owed), (0, 3));
    let told = acts(&world).await;
    let asked = told
        .iter()
        .filter(|(act, _, user)| *act == AuditAct::PasswordResetRequested && user.is_none());
    assert_eq!(asked.count(), 3);
    let malformed = world
        .engine
        .request_password_reset("nowhere", &context())
        .await;
    assert_eq!(code(malformed), "validation_failed");
}

async fn where_addresses_need_no_proof_every_user_gets_the_link(store: Arc<dyn Store>) {
    let world = World::with(store, |builder| {
        builder.with_email_verification(EmailVerification::Optional)
    });
    world.register("alice").await.unwrap();
    world.mailed_token().await;
    ask(&world, ALICE).await;
    let token = world.mailed_token().await;
    assert_eq!(reset(&world, &token, OTHER).await, "success");
}

/// Of many uses at once one replaces the password.
async fn s8_1_of_many_uses_of_the_link_one_succeeds(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    ask(&world, ALICE).await;
    let token = world.mailed_token().await;
    let uses = (0..20).map(|index| {
        let (engine, token) = (world.engine.clone(), token.clone());
        tokio::spawn(async move {
            let password = Password::new(format!("{OTHER} {index}"));
            engine.reset_password(&token, password, &context()).await
        })
    });
    let mut codes = Vec::new();
    for using in uses.collect::<Vec<_>>() {
        codes.push(code::<()>(using.await.unwrap()));
    }
    codes.sort_unstable();
    let (last, others) = codes.split_last().unwrap();
    assert_eq!(*last, "success");
    assert!(others.iter().all(|code| *code == "link_used"), "{codes:?}");
}

on_each_store!(
    s8_1_the_link_replaces_the_password_once_and_ends_all_sessions,
    s8_1_the_link_dies_with_the_password_and_the_address,
    s8_1_a_link_that_is_late_forged_or_for_something_else_is_refused,
    s8_1_of_many_uses_of_the_link_one_succeeds,
    s5_8_strangers_cannot_drown_a_user_in_resets,
    s5_8_the_link_after_an_undo_comes_whoever_asked_before,
    s4_6_only_the_worker_finds_out_who_has_the_address,
    where_addresses_need_no_proof_every_user_gets_the_link,
);
