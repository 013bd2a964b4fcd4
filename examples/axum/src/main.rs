//! An axum application with accounts: a page for everybody, one for users, and the login API.
//!
//! Run it with `cargo run -p example-axum`; it keeps its database and its mails in the current
//! folder and prints what to try.

use std::error::Error;
use std::sync::Arc;

use auth_core::mail::FolderTransport;
use auth_core::store::SqliteStore;
use auth_core::{Bootstrap, Engine, JwtKeys, Password, Registration, SecretKey, SecretKeys};
use auth_tower::axum::Authenticated;
use auth_tower::{AuthApi, VerifyLayer};
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bind = std::env::var("BIND").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(bind).await?;
    let url = format!("http://{}", listener.local_addr()?);

    let store = SqliteStore::open("example.sqlite3").await?;
    store.migrate().await?;
    // A real application keeps its keys: with new ones everybody has to log in again.
    let secret_keys = SecretKeys::new(SecretKey::generate()?);
    let jwt_keys = JwtKeys::hs256(SecretKey::generate()?);
    let engine = Engine::builder(Arc::new(store), secret_keys, jwt_keys)
        .with_public_url(&url)
        .build()?;

    let outbox = FolderTransport::new("outbox", "auth@localhost".parse()?)?;
    let mails = tokio::spawn(engine.mail_worker(Arc::new(outbox)).run(interrupted()));
    tokio::spawn(engine.revocation_follower().run(interrupted()));
    create_admin(&engine).await?;
    eprintln!("listening on {url}");
    axum::serve(listener, app(engine))
        .with_graceful_shutdown(interrupted())
        .await?;
    mails.await?;
    Ok(())
}

fn app(engine: Engine) -> Router {
    let verifier = engine.access_token_verifier();
    Router::new()
        .route("/me", get(me))
        .route_layer(VerifyLayer::new(verifier.clone()))
        .route("/", get(hello))
        .fallback_service(AuthApi::new(Arc::new(engine), verifier))
}

async fn hello() -> &'static str {
    "Hello, everybody.\n"
}

async fn me(Authenticated(caller): Authenticated) -> String {
    format!("Hello, user {}.\n", caller.user_id)
}

/// Makes the first user, who can register the others.
async fn create_admin(engine: &Engine) -> Result<(), Box<dyn Error>> {
    let random = SecretKey::generate()?;
    let password = std::str::from_utf8(random.expose())?;
    let admin = Registration::new("admin", Password::new(password), "admin@example.org");
    let created = engine
        .create_superuser(admin, Bootstrap::FirstSuperuser)
        .await?;
    if created.is_some() {
        eprintln!("superuser: admin password: {password}");
    }
    Ok(())
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("cannot wait for Ctrl-C: {error}");
    }
}
