//! A service beside the login server: it verifies access tokens by the keys that the issuer
//! publishes, without a database and without a secret.
//!
//! Start the issuer with `AUTH_JWT_ALGORITHM=EdDSA cargo run -p auth-server`, then this with
//! `ISSUER=http://127.0.0.1:8000 cargo run -p example-resource-server`.

use std::error::Error;
use std::sync::Arc;

use auth_core::signature::Algorithm;
use auth_core::{AccessTokenVerifier, SystemClock};
use auth_tower::axum::Authenticated;
use auth_tower::jwks::JwksClient;
use auth_tower::{RequireRoleLayer, VerifyLayer};
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = std::env::var("ISSUER").unwrap_or_else(|_| "http://127.0.0.1:8000".to_owned());
    let bind = std::env::var("BIND").unwrap_or_else(|_| "127.0.0.1:3001".to_owned());
    let jwks = format!("{issuer}/.well-known/jwks.json");
    let client = JwksClient::new(&jwks, Algorithm::EdDsa)?;
    // What `auth-server` writes into its tokens: its own URL as the issuer and the audience.
    let clock = Arc::new(SystemClock);
    let verifier = AccessTokenVerifier::new(client.keys(), &issuer, &issuer, clock);
    // It starts without its issuer, too: until the keys have come, every token is refused.
    if let Err(error) = client.fetch().await {
        eprintln!("no keys yet: {error}");
    }
    tokio::spawn(client.run(interrupted()));

    let listener = TcpListener::bind(bind).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app(verifier))
        .with_graceful_shutdown(interrupted())
        .await?;
    Ok(())
}

fn app(verifier: AccessTokenVerifier) -> Router {
    Router::new()
        .route("/reports", get(async || "All reports.\n"))
        .route_layer(RequireRoleLayer::new(auth_core::Role::SUPERUSER))
        .route("/me", get(me))
        .route_layer(VerifyLayer::new(verifier))
        .route("/", get(async || "Hello, everybody.\n"))
}

async fn me(Authenticated(caller): Authenticated) -> String {
    format!("Hello, user {}.\n", caller.user_id)
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("cannot wait for Ctrl-C: {error}");
    }
}
