//! Who is registered, and under which names.

use std::sync::Arc;

use auth_core::store::Store;
use auth_core::{
    AuthError, AuthService, Bootstrap, Password, Registration, RequestContext, Superuser, UserId,
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
    s8_9_of_many_registrations_at_once_one_succeeds,
    s17_1_of_two_first_superusers_at_once_one_is_created,
);
