//! The application of this example before it had accounts.

use std::error::Error;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bind = std::env::var("BIND").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(bind).await?;
    let url = format!("http://{}", listener.local_addr()?);

    eprintln!("listening on {url}");
    axum::serve(listener, app())
        .with_graceful_shutdown(interrupted())
        .await?;
    Ok(())
}

fn app() -> Router {
    Router::new()
        .route("/me", get(me))
        .route("/", get(everybody))
}

async fn everybody() -> &'static str {
    "Hello, everybody.\n"
}

async fn me() -> String {
    "Hello, whoever you are.\n".to_owned()
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("cannot wait for Ctrl-C: {error}");
    }
}
