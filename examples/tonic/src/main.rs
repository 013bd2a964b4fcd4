//! A gRPC service with accounts: the login API over HTTP, and the service for users only.
//!
//! Run it with `cargo run -p example-tonic`; it keeps its database, its keys and its mails in the
//! folder `auth-data`, and prints who can log in. Who has no good token is answered with the gRPC
//! status `UNAUTHENTICATED`.

use std::error::Error;
use std::sync::Arc;

use auth_core::Engine;
use auth_core::mail::FolderTransport;
use auth_tower::tonic::caller;
use auth_tower::{AuthApi, MountLayer, VerifyLayer};
use example_tonic::greeter::greeter_server::{Greeter, GreeterServer};
use example_tonic::greeter::{GreetReply, GreetRequest};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

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
    Server::builder()
        .accept_http1(true)
        .layer(MountLayer::new(AuthApi::for_engine(&engine)))
        .layer(VerifyLayer::new(engine.access_token_verifier()))
        .add_service(GreeterServer::new(Polite))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), interrupted())
        .await?;
    workers.stop().await;
    Ok(())
}

struct Polite;

#[tonic::async_trait]
impl Greeter for Polite {
    async fn greet(&self, request: Request<GreetRequest>) -> Result<Response<GreetReply>, Status> {
        let greeting = format!("Hello, user {}.", caller(&request)?.user_id);
        Ok(Response::new(GreetReply { greeting }))
    }
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("cannot wait for Ctrl-C: {error}");
    }
}

#[cfg(test)]
mod tests;
