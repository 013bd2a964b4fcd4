//! The application of this example before it had accounts.

use std::error::Error;

use tokio::net::TcpListener;
use warp::filters::BoxedFilter;
use warp::{Filter, Reply};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bind = std::env::var("BIND").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(bind).await?;
    let url = format!("http://{}", listener.local_addr()?);

    eprintln!("listening on {url}");
    warp::serve(app())
        .incoming(listener)
        .graceful(interrupted())
        .run()
        .await;
    Ok(())
}

fn app() -> BoxedFilter<(impl Reply,)> {
    let hello = warp::path::end().map(|| "Hello, everybody.\n");
    let me = warp::path!("me").map(|| "Hello, whoever you are.\n".to_owned());
    hello.or(me).boxed()
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("cannot wait for Ctrl-C: {error}");
    }
}
