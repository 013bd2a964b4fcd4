//! The use cases, through the library, on both databases.

#![cfg(all(feature = "testing", feature = "sqlite", feature = "postgres", unix))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod account;
mod administration;
mod audit;
mod auto_traits;
mod claims;
mod clocks;
mod email_change;
mod embedded;
#[cfg(feature = "foreign-hashes")]
mod foreign_hashes;
mod housekeeping;
#[cfg(feature = "foreign-hashes")]
mod imported;
mod invitation;
mod login;
mod lost_rotations;
mod outage;
mod password_reset;
mod races;
mod refresh;
mod registration;
mod revocation;
mod sessions;
mod sign_up;
#[path = "../support/mod.rs"]
mod support;
mod throttle;
mod tokens;
mod verification;
mod world;

use std::sync::Arc;
use std::time::Duration;

use auth_core::store::Store;
use auth_core::{
    AuthService, Bootstrap, EngineBuilder, Password, Registration, RequestContext, Role, Rotation,
};

use world::{PASSWORD, World, code};

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

/// Runs the same future many times at once.
async fn futures<F, T>(count: usize, make: impl Fn() -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    futures_util::future::join_all((0..count).map(|_| make())).await
}

support::on_each_store![a_user_is_registered_verified_logs_in_refreshes_and_logs_out,];
