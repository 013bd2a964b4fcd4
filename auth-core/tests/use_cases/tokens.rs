//! Which tokens are good for what, and for how long.

use std::sync::Arc;
use std::time::Duration;

use auth_core::store::Store;
use auth_core::{AuthService, Engine, JwtKeys, RequestContext, SecretKeys, SettingsError};

use crate::MINUTE;
use crate::support::on_each_store;
use crate::world::{World, code, secret};

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

on_each_store!(
    s6_8_tokens_of_one_kind_never_pass_as_another,
    s6_2_access_tokens_live_five_minutes_and_never_more_than_an_hour,
);
