//! A bare hyper service with accounts: the login API, and everything else for users only.
//!
//! Run it with `cargo run -p example-hyper`; it keeps its database, its keys and its mails in the
//! folder `auth-data`, and prints who can log in.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use auth_core::mail::FolderTransport;
use auth_core::{Engine, Principal};
use auth_tower::{AuthApi, MountLayer, VerifyLayer};
use hyper::body::Body;
use hyper::server::conn::http1::Builder;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, service_fn};

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
    let users_only = VerifyLayer::new(engine.access_token_verifier()).layer(service_fn(me));
    let app = MountLayer::new(AuthApi::for_engine(&engine)).layer(users_only);
    let app = TowerToHyperService::new(app);
    while let Some(connection) = accept(&listener).await? {
        tokio::spawn(Builder::new().serve_connection(connection, app.clone()));
    }
    workers.stop().await;
    Ok(())
}

async fn me<B: Body>(request: Request<B>) -> Result<Response<String>, Infallible> {
    let caller = request.extensions().get::<Principal>();
    let caller = caller.expect("the layer lets nobody else through");
    Ok(Response::new(format!("Hello, user {}.\n", caller.user_id)))
}

/// The next connection; none any more after Ctrl-C.
async fn accept(listener: &TcpListener) -> std::io::Result<Option<TokioIo<TcpStream>>> {
    tokio::select! {
        accepted = listener.accept() => accepted.map(|(stream, _)| Some(TokioIo::new(stream))),
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None),
    }
}

#[cfg(test)]
mod tests;
