//! A superuser invites an address, and the link makes the user.

use std::sync::Arc;
use std::time::Duration;

use auth_core::audit::{Actor, AuditAct, AuditEvent};
use auth_core::store::{EventFilter, Store, UserFilter};
use auth_core::testing::MailedLink;
use auth_core::{
    Administrator, AuthError, AuthService, Enrollment, Login, Password, RegistrationMode,
    RequestContext, Superuser, UserId,
};

use crate::support::on_each_store;
use crate::world::{PASSWORD, World, code};
use crate::{MINUTE, futures};

const DAY: Duration = Duration::from_secs(24 * 3600);
const ALICE: &str = "alice@example.org";

fn context() -> RequestContext {
    RequestContext::default()
}

fn world(store: Arc<dyn Store>) -> World {
    World::with(store, |builder| {
        builder.with_registration(RegistrationMode::Invitation)
    })
}

async fn invite(world: &World, email: &str) -> &'static str {
    let by = Administrator::Operator;
    code(world.engine.invite(by, email, &context()).await)
}

async fn accept_with(world: &World, token: &str, name: &str, password: &str) -> &'static str {
    code(try_accept(world, token, name, password).await)
}

async fn try_accept(
    world: &World,
    token: &str,
    name: &str,
    password: &str,
) -> Result<(), AuthError> {
    let login = Login::new(name, Password::new(password));
    let engine = &world.engine;
    engine.accept_invitation(token, login, &context()).await
}

async fn accept(world: &World, token: &str, name: &str) -> &'static str {
    accept_with(world, token, name, PASSWORD).await
}

async fn count_users(world: &World) -> usize {
    let users = world.store.list_users(&UserFilter::default()).await;
    users.unwrap().len()
}

async fn events(world: &World) -> Vec<AuditEvent> {
    world.engine.audit_writer().flush().await.unwrap();
    let events = world.store.list_events(&EventFilter::default()).await;
    events.unwrap()
}

async fn s8_1_s8_8_the_link_makes_a_verified_plain_user_once(store: Arc<dyn Store>) {
    let world = world(store);
    world.register_verified("taken").await;
    let superuser = UserId::generate();
    let by = Administrator::Superuser(Superuser::assume(superuser));
    let id = world
        .engine
        .invite(by, "Alice@example.org", &context())
        .await;
    let id = id.unwrap();
    world.worker.deliver_due().await.unwrap();
    let mails = world.mails.take();
    let [mail] = mails.as_slice() else {
        panic!("not one mail: {mails:?}");
    };
    assert_eq!(mail.to.as_str(), "Alice@example.org");
    let base = "https://auth.example.org/api/register/accept/?token=ait_";
    assert!(mail.text.contains(base), "{}", mail.text);
    assert!(mail.text.contains("7 days"), "{}", mail.text);
    let token = &MailedLink::find(&mail.text).unwrap().token;

    // What is wrong with name and password is told, and the link stays good.
    let Err(AuthError::Validation(errors)) = try_accept(&world, token, "a b", "short").await else {
        panic!("accepted");
    };
    let fields: Vec<_> = errors.iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["password", "username"]);
    let own_address = accept_with(&world, token, "bob", "alice@example.org");
    assert_eq!(own_address.await, "validation_failed");
    assert_eq!(accept(&world, token, "root").await, "validation_failed");
    assert_eq!(accept(&world, token, "TAKEN").await, "username_taken");
    assert_eq!(count_users(&world).await, 1);
    world.clock.advance(MINUTE);
    assert_eq!(accept(&world, token, "Alice").await, "success");
    assert_eq!(accept(&world, token, "alice2").await, "link_used");

    assert_eq!(code(world.log_in("alice").await), "success");
    let name = "alice".parse().unwrap();
    let (alice, _) = world.store.find_credentials(&name).await.unwrap().unwrap();
    assert_eq!(alice.email.as_str(), "Alice@example.org");
    assert!(alice.email_verified_at.is_some());
    assert!(!alice.is_superuser && alice.roles.iter().count() == 0);

    let events = events(&world).await;
    let of = |kind: &str| {
        events
            .iter()
            .find(|event| event.act.kind() == kind)
            .unwrap()
    };
    let invited = of("user_invited");
    assert_eq!(invited.actor, Actor::User(superuser));
    let AuditAct::UserInvited { invitation, .. } = invited.act else {
        unreachable!()
    };
    let accepted = of("invitation_accepted");
    assert_eq!(
        (accepted.actor, accepted.user),
        (Actor::User(alice.id), Some(alice.id))
    );
    let AuditAct::InvitationAccepted {
        invitation: accepted,
        invited_by,
        ..
    } = accepted.act
    else {
        unreachable!()
    };
    assert_eq!(
        (invitation, accepted, invited_by),
        (id, id, Some(superuser))
    );
    let refused = events
        .iter()
        .filter(|event| event.act.kind() == "invitation_refused")
        .filter_map(|event| event.act.reason());
    let mut refused: Vec<_> = refused.collect();
    refused.sort_unstable();
    refused.dedup();
    assert_eq!(
        refused,
        ["link_used", "username_taken", "validation_failed"]
    );
}

/// A superuser may know who has an account.
async fn s4_5_an_address_that_is_known_is_told_to_who_invites_it(store: Arc<dyn Store>) {
    let world = world(store);
    world.register_verified("alice").await;
    assert_eq!(invite(&world, "ALICE@example.org").await, "email_taken");
    assert_eq!(invite(&world, "nowhere").await, "validation_failed");
    assert_eq!(world.worker.deliver_due().await.unwrap().sent, 0);
    let events = events(&world).await;
    let refused = events.iter().filter_map(|event| match event.act.kind() {
        "invitation_refused" => event.act.reason().map(|code| (event.actor, code)),
        _ => None,
    });
    let mut refused: Vec<_> = refused.map(|(actor, code)| (actor.kind(), code)).collect();
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            ("operator", "email_taken"),
            ("operator", "validation_failed")
        ]
    );
}

async fn s8_1_an_invitation_expires_and_a_newer_one_replaces_it(store: Arc<dyn Store>) {
    let world = world(store);
    assert_eq!(invite(&world, ALICE).await, "success");
    let first = world.mailed_token().await;
    world.clock.advance(DAY);
    assert_eq!(invite(&world, "ALICE@example.org").await, "success");
    let second = world.mailed_token().await;
    assert_eq!(accept(&world, &first, "alice").await, "link_invalid");
    world.clock.advance(7 * DAY);
    assert_eq!(accept(&world, &second, "alice").await, "link_expired");

    // Of two that wait at once only the newer is mailed.
    assert_eq!(invite(&world, ALICE).await, "success");
    assert_eq!(invite(&world, ALICE).await, "success");
    let newest = world.mailed_token().await;
    assert_eq!(accept(&world, &newest, "alice").await, "success");
}

async fn s8_1_an_invitation_is_good_for_nothing_else_nor_anything_else_for_it(
    store: Arc<dyn Store>,
) {
    let world = world(store);
    invite(&world, ALICE).await;
    let token = world.mailed_token().await;
    let verified = world.engine.verify_email(&token, &context()).await;
    assert_eq!(code(verified), "link_invalid");
    let renamed = token.replace("ait_", "ast_");
    let verified = world.engine.verify_email(&renamed, &context()).await;
    assert_eq!(code(verified), "link_invalid");
    world.register("bob").await.unwrap();
    let verification = world.mailed_token().await;
    for other in [verification.as_str(), "", "ait_", &format!("{token}x")] {
        assert_eq!(accept(&world, other, "alice").await, "link_invalid");
    }
    assert_eq!(accept(&world, &token, "alice").await, "success");
}

/// Who has an account by now needs no other one.
async fn an_address_that_was_taken_meanwhile_is_refused(store: Arc<dyn Store>) {
    let world = world(store);
    invite(&world, ALICE).await;
    let token = world.mailed_token().await;
    world.register("alice").await.unwrap();
    assert_eq!(accept(&world, &token, "alicia").await, "email_taken");
    assert_eq!(count_users(&world).await, 1);
}

async fn s8_9_of_many_acceptances_of_one_invitation_one_makes_a_user(store: Arc<dyn Store>) {
    let world = world(store);
    invite(&world, ALICE).await;
    let token = world.mailed_token().await;
    let mut codes = futures(100, || accept(&world, &token, "alice")).await;
    codes.sort_unstable();
    let (last, others) = codes.split_last().unwrap();
    assert_eq!(*last, "success");
    assert!(others.iter().all(|code| *code == "link_used"), "{codes:?}");
    assert_eq!(count_users(&world).await, 1);
    assert_eq!(code(world.log_in("alice").await), "success");
}

async fn s12_6_old_invitations_are_removed(store: Arc<dyn Store>) {
    let world = world(store);
    invite(&world, ALICE).await;
    let housekeeper = world.engine.housekeeper();
    world.clock.advance(11 * DAY);
    let removed = housekeeper.clean().await.unwrap().unwrap();
    assert_eq!(removed.enrollments, 0);
    world.clock.advance(10 * MINUTE);
    let removed = housekeeper.clean().await.unwrap().unwrap();
    assert_eq!(removed.enrollments, 1);
}

on_each_store!(
    s8_1_s8_8_the_link_makes_a_verified_plain_user_once,
    s4_5_an_address_that_is_known_is_told_to_who_invites_it,
    s8_1_an_invitation_expires_and_a_newer_one_replaces_it,
    s8_1_an_invitation_is_good_for_nothing_else_nor_anything_else_for_it,
    an_address_that_was_taken_meanwhile_is_refused,
    s8_9_of_many_acceptances_of_one_invitation_one_makes_a_user,
    s12_6_old_invitations_are_removed,
);
