//! Who is registered, and under which names.

use std::sync::Arc;

use auth_core::store::Store;
use auth_core::{
    AuthError, AuthService, Bootstrap, Password, Registration, RequestContext, Superuser, UserId,
    UsernamePolicy,
};

use crate::futures;
use crate::support::on_each_store;
use crate::world::{PASSWORD, World, code};

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

async fn s3_2_names_of_all_scripts_are_admitted_on_demand(store: Arc<dyn Store>) {
    let ascii = World::new(Arc::clone(&store));
    for name in ["Ольга", "Zoë"] {
        assert_eq!(code(ascii.register(name).await), "validation_failed");
    }
    assert_eq!(code(ascii.register("modern").await), "success");
    assert_eq!(code(ascii.register("scope").await), "success");

    let world = World::with(store, |builder| {
        builder.with_username_policy(UsernamePolicy::Unicode)
    });
    world.engine.fill_username_skeletons().await.unwrap();
    let mut number = 0;
    let mut register = async |name: &str| {
        number += 1;
        let email = format!("u{number}@example.org");
        let user = Registration::new(name, Password::new(PASSWORD), email);
        let by = Superuser::assume(UserId::generate());
        let context = RequestContext::default();
        code(world.engine.register(by, user, &context).await)
    };
    for (name, expected) in [
        ("Ольга", "success"),
        ("ОЛЬГА", "username_taken"),
        (" Zoë ", "success"),
        ("山田太郎", "success"),
        // Cyrillic altogether, and Latin: like a user of before.
        ("ѕсоре", "username_taken"),
        ("modem", "username_taken"),
        // Mixed.
        ("pаypal", "validation_failed"),
        ("a\u{200b}b", "validation_failed"),
        ("no spaces", "validation_failed"),
        // Like a reserved name.
        ("r00t", "validation_failed"),
        ("aIice", "success"),
        ("alice", "username_taken"),
    ] {
        assert_eq!(register(name).await, expected, "{name}");
    }
    let admin = Registration::new("aliсe", Password::new(PASSWORD), "op@example.org");
    let created = world
        .engine
        .create_superuser(admin, Bootstrap::AnySuperuser);
    assert_eq!(code(created.await), "validation_failed");
    let admin = Registration::new("rnodern", Password::new(PASSWORD), "op@example.org");
    let created = world
        .engine
        .create_superuser(admin, Bootstrap::AnySuperuser);
    assert_eq!(code(created.await), "username_taken");
    for name in ["ольга", "  zoë"] {
        let refused = code(world.log_in(name).await);
        assert_eq!(refused, "email_not_verified", "the password is right");
    }
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

on_each_store!(
    registration_names_every_field_that_breaks_a_rule,
    s3_3_reserved_names_are_refused_in_any_spelling,
    s3_2_names_of_all_scripts_are_admitted_on_demand,
    s8_9_of_many_registrations_at_once_one_succeeds,
    s17_1_of_two_first_superusers_at_once_one_is_created,
);
