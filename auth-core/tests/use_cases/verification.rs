//! A user proves to read mail at the address.

use std::sync::Arc;

use auth_core::store::Store;
use auth_core::testing::MailedLink;
use auth_core::{AuthService, RequestContext};

use crate::MINUTE;
use crate::support::on_each_store;
use crate::world::{World, code};

async fn s8_1_a_verification_link_works_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register("alice").await.unwrap();
    let token = world.mailed_token().await;
    let tampered: String = token.chars().rev().collect();
    assert_eq!(
        code(
            world
                .engine
                .verify_email(&tampered, &RequestContext::default())
                .await
        ),
        "link_invalid"
    );
    assert_eq!(
        code(
            world
                .engine
                .verify_email("", &RequestContext::default())
                .await
        ),
        "link_invalid"
    );
    assert_eq!(
        code(
            world
                .engine
                .verify_email(&token, &RequestContext::default())
                .await
        ),
        "success"
    );
    assert_eq!(
        code(
            world
                .engine
                .verify_email(&token, &RequestContext::default())
                .await
        ),
        "link_used"
    );
}

async fn s8_1_a_newer_mail_ends_the_earlier_link(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register("alice").await.unwrap();
    let first = world.mailed_token().await;
    world
        .engine
        .resend_verification("ALICE@example.org", &RequestContext::default())
        .await
        .unwrap();
    let second = world.mailed_token().await;
    assert_eq!(
        code(
            world
                .engine
                .verify_email(&first, &RequestContext::default())
                .await
        ),
        "link_invalid"
    );
    assert_eq!(
        code(
            world
                .engine
                .verify_email(&second, &RequestContext::default())
                .await
        ),
        "success"
    );
}

async fn s8_1_a_verification_link_expires(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register("alice").await.unwrap();
    let token = world.mailed_token().await;
    world.clock.advance(24 * 60 * MINUTE);
    assert_eq!(
        code(
            world
                .engine
                .verify_email(&token, &RequestContext::default())
                .await
        ),
        "link_expired"
    );
    assert_eq!(code(world.log_in("alice").await), "email_not_verified");
}

async fn s4_6_a_resend_answers_the_same_for_unknown_addresses(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    for address in ["nobody@example.org", "alice@example.org"] {
        assert_eq!(
            code(
                world
                    .engine
                    .resend_verification(address, &RequestContext::default())
                    .await
            ),
            "success"
        );
    }
    world.worker.deliver_due().await.unwrap();
    assert!(world.mails.take().is_empty(), "neither is unverified");
    assert_eq!(
        code(
            world
                .engine
                .resend_verification("nonsense", &RequestContext::default())
                .await
        ),
        "validation_failed"
    );
}

/// Five mails at once, then one after an hour, two hours and so on up to a day, which is how long
/// the newest link is good.
async fn s5_8_strangers_cannot_drown_who_has_not_verified(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register("alice").await.unwrap();
    let mut newest = world.mailed_token().await;
    let mut sent = Vec::new();
    for _ in 0..6 {
        let (engine, context) = (&world.engine, RequestContext::default());
        let again = engine.resend_verification("alice@example.org", &context);
        assert_eq!(code(again.await), "success");
        world.worker.deliver_due().await.unwrap();
        let mails = world.mails.take();
        sent.push(mails.len());
        for mail in mails {
            newest = MailedLink::find(&mail.text).unwrap().token;
        }
    }
    assert_eq!(sent, [1, 1, 1, 1, 0, 0]);
    let verified = world
        .engine
        .verify_email(&newest, &RequestContext::default())
        .await;
    assert_eq!(code(verified), "success");
}

on_each_store!(
    s8_1_a_verification_link_works_once,
    s8_1_a_newer_mail_ends_the_earlier_link,
    s8_1_a_verification_link_expires,
    s4_6_a_resend_answers_the_same_for_unknown_addresses,
    s5_8_strangers_cannot_drown_who_has_not_verified,
);
