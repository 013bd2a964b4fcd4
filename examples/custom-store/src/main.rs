//! An axum application that keeps its accounts in a store of its own, the one of `lib.rs`.
//!
//! Run it with `cargo run -p example-custom-store`; it writes its mails into the folder
//! `auth-data/outbox`, prints who can log in, and forgets everything when it ends.

use std::error::Error;
use std::sync::Arc;

use auth_core::mail::FolderTransport;
use auth_core::{Engine, JwtKeys, SecretKey, SecretKeys};
use auth_tower::axum::Authenticated;
use auth_tower::{AuthApi, VerifyLayer};
use axum::Router;
use axum::routing::get;
use example_custom_store::MemoryStore;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bind = std::env::var("BIND").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(bind).await?;
    let url = format!("http://{}", listener.local_addr()?);

    let secret_keys = SecretKeys::new(SecretKey::generate()?);
    let jwt_keys = JwtKeys::hs256(SecretKey::generate()?);
    let engine = Engine::builder(Arc::new(MemoryStore::default()), secret_keys, jwt_keys);
    let engine = engine.with_public_url(&url).build()?;
    let _workers = engine.start_workers(Arc::new(FolderTransport::local("auth-data/outbox")?));
    if let Some(password) = engine.ensure_superuser("admin", "admin@localhost").await? {
        eprintln!("superuser: admin password: {}", password.expose());
    }

    eprintln!("listening on {url}");
    axum::serve(listener, app(&engine))
        .with_graceful_shutdown(interrupted())
        .await?;
    Ok(())
}

fn app(engine: &Engine) -> Router {
    Router::new()
        .route("/me", get(me))
        .route_layer(VerifyLayer::new(engine.access_token_verifier()))
        .route("/", get(everybody))
        .fallback_service(AuthApi::for_engine(engine))
}

async fn everybody() -> &'static str {
    "Hello, everybody.\n"
}

async fn me(Authenticated(caller): Authenticated) -> String {
    format!("Hello, user {}.\n", caller.user_id)
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("cannot wait for Ctrl-C: {error}");
    }
}
