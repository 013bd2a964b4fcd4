//! The service of this example before it had accounts.

use std::error::Error;

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

    eprintln!("listening on {url}");
    Server::builder()
        .add_service(GreeterServer::new(Polite))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), interrupted())
        .await?;
    Ok(())
}

struct Polite;

#[tonic::async_trait]
impl Greeter for Polite {
    async fn greet(&self, _: Request<GreetRequest>) -> Result<Response<GreetReply>, Status> {
        let greeting = "Hello, whoever you are.".to_owned();
        Ok(Response::new(GreetReply { greeting }))
    }
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("cannot wait for Ctrl-C: {error}");
    }
}
