//! A small axum application: its own routes, our login beside them, one route for users only.
//!
//! `ADMIN_PASSWORD='correct horse battery' cargo run -p example-axum -- /tmp/notes`

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use auth_core::mail::FolderTransport;
use auth_core::store::SqliteStore;
use auth_core::{Bootstrap, Engine, JwtKeys, Password, Registration, Role, SecretKey, SecretKeys};
use auth_tower::axum::Authenticated;
use auth_tower::{AuthApi, VerifyLayer};
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

/// The routes of the application, and the login API for every other path.
fn app(engine: Engine) -> Router {
    let verifier = engine.access_token_verifier();
    Router::new()
        .route("/notes", get(notes))
        .route_layer(VerifyLayer::new(verifier.clone()))
        .route(
            "/",
            get(|| async { "Log in at /api/auth/token/, then read /notes" }),
        )
        .fallback_service(AuthApi::new(Arc::new(engine), verifier))
}

/// For users only: the extractor gives the caller.
async fn notes(Authenticated(caller): Authenticated) -> String {
    let of = if caller.has_role(Role::SUPERUSER) {
        "all"
    } else {
        "your own"
    };
    format!("{}, here are {of} notes", caller.user_id)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);

    let store = SqliteStore::open(folder.join("notes.sqlite3")).await?;
    store.migrate().await?;
    // An application that is started twice reads its keys from where it keeps its secrets.
    let secret_keys = SecretKeys::new(SecretKey::generate()?);
    let jwt_keys = JwtKeys::hs256(SecretKey::generate()?);
    let engine = Engine::builder(Arc::new(store), secret_keys, jwt_keys)
        .with_public_url(&url)
        .build()?;

    let password = Password::new(std::env::var("ADMIN_PASSWORD")?);
    let admin = Registration::new("admin", password, "admin@localhost");
    engine
        .create_superuser(admin, Bootstrap::FirstSuperuser)
        .await?;

    let mails = FolderTransport::new(folder.join("outbox"), "notes@localhost".parse()?)?;
    tokio::spawn(
        engine
            .mail_worker(Arc::new(mails))
            .run(std::future::pending()),
    );
    eprintln!("listening on {url}");
    axum::serve(listener, app(engine)).await?;
    Ok(())
}
