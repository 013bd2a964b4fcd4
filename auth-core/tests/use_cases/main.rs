//! The use cases, through the library, on both databases.

#![cfg(all(feature = "testing", feature = "sqlite", feature = "postgres", unix))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod administration;
mod audit;
mod housekeeping;
mod outage;
mod revocation;
#[path = "../support/mod.rs"]
mod support;
mod throttle;
mod world;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use auth_core::store::{PostgresStore, Store};
use auth_core::{
    Argon2Params, AuthError, AuthService, Bootstrap, EmailVerification, Engine, EngineBuilder,
    JwtKeys, Login, Password, Registration, RequestContext, Role, Rotation, SecretKeys,
    SettingsError, Superuser, UserId,
};

use world::{PASSWORD, World, code, hasher, secret};

const MINUTE: Duration = Duration::from_secs(60);

fn rotating(builder: EngineBuilder) -> EngineBuilder {
    builder.with_rotation(Rotation::On {
        grace: Rotation::DEFAULT_GRACE,
    })
}

async fn a_user_is_registered_verified_logs_in_refreshes_and_logs_out(store: Arc<dyn Store>) {
    let world = World::new(store);
    let operator = Registration::new("admin", Password::new(PASSWORD), "admin@localhost");
    world
        .engine
        .create_superuser(operator, Bootstrap::FirstSuperuser)
        .await
        .unwrap()
        .unwrap();
    let admin = world.log_in("admin").await.unwrap();
    let principal = world
        .engine
        .access_token_verifier()
        .verify(admin.access_token.expose())
        .unwrap();
    assert!(principal.has_role(Role::SUPERUSER));
    let superuser = world
        .engine
        .require_superuser(&principal, &RequestContext::default())
        .await
        .unwrap();

    let alice = Registration::new("Alice", Password::new(PASSWORD), "Alice@example.org");
    let id = world
        .engine
        .register(superuser, alice, &RequestContext::default())
        .await
        .unwrap();
    let token = world.mailed_token().await;
    world
        .engine
        .verify_email(&token, &RequestContext::default())
        .await
        .unwrap();

    let tokens = world.log_in("ALICE").await.unwrap();
    let principal = world
        .engine
        .access_token_verifier()
        .verify(tokens.access_token.expose())
        .unwrap();
    assert_eq!(principal.user_id, id);
    assert!(principal.roles.is_empty());
    assert_eq!(
        code(
            world
                .engine
                .require_superuser(&principal, &RequestContext::default())
                .await
        ),
        "permission_denied"
    );

    let refresh_token = tokens.refresh_token.expose();
    let refreshed = world
        .engine
        .refresh(refresh_token, &RequestContext::default())
        .await
        .unwrap();
    assert!(refreshed.refresh_token.is_none());
    let again = world
        .engine
        .access_token_verifier()
        .verify(refreshed.access_token.expose())
        .unwrap();
    assert_eq!(
        (again.user_id, again.session_id),
        (id, principal.session_id)
    );

    world
        .engine
        .log_out(refresh_token, &RequestContext::default())
        .await
        .unwrap();
    assert_eq!(world.refresh(refresh_token).await, Err("token_revoked"));
    assert_eq!(
        code(
            world
                .engine
                .require_superuser(&principal, &RequestContext::default())
                .await
        ),
        "token_revoked"
    );
    world
        .engine
        .log_out(refresh_token, &RequestContext::default())
        .await
        .unwrap();
}

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

async fn registration_names_every_field_that_breaks_a_rule(store: Arc<dyn Store>) {
    let world = World::new(store);
    let by = Superuser::assume(UserId::generate());
    let wrong = Registration::new("no spaces", Password::new("short"), "nowhere");
    let Err(AuthError::Validation(errors)) = world
        .engine
        .register(by, wrong, &RequestContext::default())
        .await
    else {
        panic!("accepted");
    };
    let fields: Vec<&str> = errors.iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["email", "password", "username"]);
}

async fn s3_3_reserved_names_are_refused_in_any_spelling(store: Arc<dyn Store>) {
    let world = World::new(store);
    for name in ["root", "ROOT", "Postmaster", "system"] {
        assert_eq!(
            code(world.register(name).await),
            "validation_failed",
            "{name}"
        );
    }
    assert_eq!(code(world.register("admin").await), "success");
}

async fn s8_9_of_many_registrations_at_once_one_succeeds(store: Arc<dyn Store>) {
    let world = World::new(store);
    let codes: Vec<&str> = futures(100, || world.register("alice"))
        .await
        .into_iter()
        .map(code)
        .collect();
    assert_eq!(
        codes.iter().filter(|&&code| code == "success").count(),
        1,
        "{codes:?}"
    );
    let refused = |code: &&&str| **code == "username_taken" || **code == "email_taken";
    assert_eq!(codes.iter().filter(refused).count(), 99, "{codes:?}");
    world.mailed_token().await;
    world.worker.deliver_due().await.unwrap();
    assert!(world.mails.take().is_empty(), "one mail");
}

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
    world.clock.advance(9 * MINUTE);
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

async fn s6_8_tokens_of_one_kind_never_pass_as_another(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register("alice").await.unwrap();
    let link = world.mailed_token().await;
    world
        .engine
        .verify_email(&link, &RequestContext::default())
        .await
        .unwrap();
    let tokens = world.log_in("alice").await.unwrap();
    let (access, refresh) = (tokens.access_token.expose(), tokens.refresh_token.expose());
    let verifier = world.engine.access_token_verifier();
    for other in [refresh, link.as_str()] {
        assert_eq!(code(verifier.verify(other)), "token_invalid");
    }
    for other in [access, link.as_str()] {
        assert_eq!(world.refresh(other).await, Err("token_invalid"));
    }
    for other in [access, refresh] {
        assert_eq!(
            code(
                world
                    .engine
                    .verify_email(other, &RequestContext::default())
                    .await
            ),
            "link_invalid"
        );
    }
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

async fn s6_2_access_tokens_live_five_minutes_and_never_more_than_an_hour(store: Arc<dyn Store>) {
    let world = World::new(Arc::clone(&store));
    world.register_verified("alice").await;
    let token = world.log_in("alice").await.unwrap().access_token;
    let principal = world
        .engine
        .access_token_verifier()
        .verify(token.expose())
        .unwrap();
    let lifetime = principal.expires_at.saturating_since(principal.issued_at);
    assert!(lifetime <= 5 * MINUTE && lifetime >= 5 * MINUTE * 95 / 100);
    let build = |ttl| {
        let keys = SecretKeys::new(secret("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0"));
        let jwt_keys = JwtKeys::hs256(secret("Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg"));
        Engine::builder(Arc::clone(&store), keys, jwt_keys)
            .with_access_ttl(ttl)
            .build()
    };
    assert!(build(60 * MINUTE).is_ok());
    for ttl in [60 * MINUTE + Duration::from_secs(1), Duration::ZERO] {
        assert!(matches!(build(ttl), Err(SettingsError::AccessTtl)));
    }
}

async fn s17_1_of_two_first_superusers_at_once_one_is_created(store: Arc<dyn Store>) {
    let world = World::new(store);
    let create = |name: &'static str, bootstrap| {
        let email = format!("{name}@example.org");
        let registration = Registration::new(name, Password::new(PASSWORD), email);
        world.engine.create_superuser(registration, bootstrap)
    };
    let (one, two) = tokio::join!(
        create("one", Bootstrap::FirstSuperuser),
        create("two", Bootstrap::FirstSuperuser)
    );
    assert_eq!([one.unwrap(), two.unwrap()].iter().flatten().count(), 1);
    assert_eq!(
        create("three", Bootstrap::FirstSuperuser).await.unwrap(),
        None
    );
    assert!(
        create("four", Bootstrap::AnySuperuser)
            .await
            .unwrap()
            .is_some()
    );
    let weak = Registration::new("five", Password::new("password"), "five@example.org");
    let refused = world
        .engine
        .create_superuser(weak, Bootstrap::AnySuperuser)
        .await;
    assert_eq!(code(refused), "validation_failed");
}

/// Runs the same future many times at once.
async fn futures<F, T>(count: usize, make: impl Fn() -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    futures_util::future::join_all((0..count).map(|_| make())).await
}

support::on_each_store![
    a_user_is_registered_verified_logs_in_refreshes_and_logs_out,
    s4_1_every_refusal_of_a_login_is_the_same,
    s4_3_only_the_right_password_tells_that_the_address_is_not_verified,
    s8_6_without_verification_required_the_login_gives_tokens,
    s1_2_a_hash_of_other_parameters_is_replaced_at_the_next_login,
    registration_names_every_field_that_breaks_a_rule,
    s3_3_reserved_names_are_refused_in_any_spelling,
    s8_9_of_many_registrations_at_once_one_succeeds,
    s8_1_a_verification_link_works_once,
    s8_1_a_newer_mail_ends_the_earlier_link,
    s8_1_a_verification_link_expires,
    s4_6_a_resend_answers_the_same_for_unknown_addresses,
    s7_4_a_session_ends_at_its_absolute_lifetime,
    s7_8_a_lost_answer_is_given_again_within_the_grace,
    s7_8_outside_of_the_grace_the_earlier_token_ends_the_session,
    s7_8_of_many_refreshes_at_once_all_get_the_one_successor,
    s7_7_no_refresh_succeeds_after_a_logout_that_it_raced,
    s7_9_logging_out_ends_one_session_and_no_other,
    s6_8_tokens_of_one_kind_never_pass_as_another,
    s7_2_a_token_made_without_the_key_is_refused_whatever_the_database_holds,
    s2_4_a_password_is_measured_alike_at_registration_and_login,
    s3_6_nobody_logs_in_with_an_address,
    s6_2_access_tokens_live_five_minutes_and_never_more_than_an_hour,
    s17_1_of_two_first_superusers_at_once_one_is_created,
];

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
