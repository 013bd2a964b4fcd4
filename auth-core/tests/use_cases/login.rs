//! Who may log in, and what everybody else is told.

use std::sync::Arc;

use auth_core::store::Store;
use auth_core::{
    Argon2Params, AuthService, EmailVerification, Password, Registration, RequestContext,
    Superuser, UserId,
};

use crate::futures;
use crate::support::{self, on_each_store};
use crate::world::{PASSWORD, World, code, hasher};

async fn s4_1_every_refusal_of_a_login_is_the_same(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    world.register("unverified").await.unwrap();
    let mut inactive = support::user("inactive");
    inactive.user.is_active = false;
    inactive.password_hash = world
        .store
        .find_credentials(&"alice".parse().unwrap())
        .await
        .unwrap()
        .unwrap()
        .1;
    world
        .store
        .create_user(&inactive, None, &support::event())
        .await
        .unwrap();
    let long = "x".repeat(1025);
    for (name, password) in [
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("no such\0name", PASSWORD),
        ("alice", "wrong password"),
        ("alice", ""),
        ("alice", long.as_str()),
        ("unverified", "wrong password"),
        ("inactive", PASSWORD),
        ("inactive", "wrong password"),
    ] {
        let refusal = world.log_in_with(name, password).await;
        assert_eq!(code(refusal), "invalid_credentials", "{name} {password}");
    }
}

async fn s4_3_only_the_right_password_tells_that_the_address_is_not_verified(
    store: Arc<dyn Store>,
) {
    let world = World::new(store);
    world.register("alice").await.unwrap();
    assert_eq!(code(world.log_in("alice").await), "email_not_verified");
    assert_eq!(
        code(world.log_in_with("alice", "wrong password").await),
        "invalid_credentials"
    );
}

async fn s8_6_without_verification_required_the_login_gives_tokens(store: Arc<dyn Store>) {
    let optional = World::with(Arc::clone(&store), |builder| {
        builder.with_email_verification(EmailVerification::Optional)
    });
    optional.register("alice").await.unwrap();
    let tokens = optional.log_in("alice").await.unwrap();
    // The same session gives nothing where verification is required.
    let required = World::new(store);
    let refreshed = required.refresh(tokens.refresh_token.expose()).await;
    assert_eq!(refreshed, Err("email_not_verified"));
    assert_eq!(code(required.log_in("alice").await), "email_not_verified");
}

async fn s1_2_a_hash_of_other_parameters_is_replaced_at_the_next_login(store: Arc<dyn Store>) {
    let before = World::new(Arc::clone(&store));
    before.register_verified("alice").await;
    let stored = || async {
        let found = store
            .find_credentials(&"alice".parse().unwrap())
            .await
            .unwrap();
        found.unwrap().1.as_stored().to_owned()
    };
    let old = stored().await;
    let after = World::with(Arc::clone(&store), |builder| {
        builder.with_password_hasher(hasher(Argon2Params::default()))
    });
    assert_eq!(
        code(after.log_in_with("alice", "wrong password").await),
        "invalid_credentials"
    );
    assert_eq!(stored().await, old, "a wrong password changes nothing");
    let logins = futures(4, || after.log_in("alice")).await;
    assert!(
        logins.into_iter().all(|login| login.is_ok()),
        "logins at once all succeed"
    );
    let new = stored().await;
    assert!(new.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{new}");
    after.log_in("alice").await.unwrap();
    assert_eq!(stored().await, new, "a current hash stays");
}

async fn s2_4_a_password_is_measured_alike_at_registration_and_login(store: Arc<dyn Store>) {
    let world = World::new(store);
    // 1,203 bytes as typed, 803 as hashed.
    let typed = format!("{}kv7", "e\u{301}".repeat(400));
    let alice = Registration::new("alice", Password::new(typed.as_str()), "alice@example.org");
    let by = Superuser::assume(UserId::generate());
    world
        .engine
        .register(by, alice, &RequestContext::default())
        .await
        .unwrap();
    assert_eq!(
        code(world.log_in_with("alice", &typed).await),
        "email_not_verified"
    );
}

async fn s3_6_nobody_logs_in_with_an_address(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    assert_eq!(
        code(world.log_in("alice@example.org").await),
        "invalid_credentials"
    );
    // So a name of that shape takes nothing from the address's owner.
    world.register_verified("alice@example.net").await;
    assert_eq!(code(world.log_in("alice@example.net").await), "success");
}

on_each_store!(
    s4_1_every_refusal_of_a_login_is_the_same,
    s4_3_only_the_right_password_tells_that_the_address_is_not_verified,
    s8_6_without_verification_required_the_login_gives_tokens,
    s1_2_a_hash_of_other_parameters_is_replaced_at_the_next_login,
    s2_4_a_password_is_measured_alike_at_registration_and_login,
    s3_6_nobody_logs_in_with_an_address,
);
