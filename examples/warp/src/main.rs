//! A warp application with accounts: a page for everybody, one for users, and the login API.
//!
//! Run it with `cargo run -p example-warp`; it keeps its database, its keys and its mails in the
//! folder `auth-data`, and prints who can log in.

use std::error::Error;
use std::sync::Arc;

use auth_core::mail::FolderTransport;
use auth_core::{Engine, Principal};
use auth_tower::AuthApi;
use auth_tower::warp::{authenticated, endpoints, recover};
use tokio::net::TcpListener;
use warp::filters::BoxedFilter;
use warp::{Filter, Reply};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bind = std::env::var("BIND").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(bind).await?;
    let url = format!("http://{}", listener.local_addr()?);

    let engine = Engine::embedded("auth-data", &url).await?.build()?;
    let workers = engine.start_workers(Arc::new(FolderTransport::local("auth-data/outbox")?));
    if let Some(password) = engine.ensure_superuser("admin", "admin@localhost").await? {
        eprintln!("superuser: admin password: {}", password.expose());
    }

    eprintln!("listening on {url}");
    warp::serve(app(&engine))
        .incoming(listener)
        .graceful(interrupted())
        .run()
        .await;
    workers.stop().await;
    Ok(())
}

fn app(engine: &Engine) -> BoxedFilter<(impl Reply + use<>,)> {
    let hello = warp::path::end().map(|| "Hello, everybody.\n");
    let me = warp::path!("me")
        .and(authenticated(engine.access_token_verifier()))
        .map(|caller: Principal| format!("Hello, user {}.\n", caller.user_id));
    let auth = endpoints(AuthApi::for_engine(engine));
    hello.or(me).or(auth).recover(recover).boxed()
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("cannot wait for Ctrl-C: {error}");
    }
}

#[cfg(test)]
mod tests;
