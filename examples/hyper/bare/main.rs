//! The service of this example before it had accounts.

use std::convert::Infallible;
use std::error::Error;

use hyper::body::Body;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bind = std::env::var("BIND").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(bind).await?;
    let url = format!("http://{}", listener.local_addr()?);

    eprintln!("listening on {url}");
    let app = service_fn(me);
    while let Some(connection) = accept(&listener).await? {
        tokio::spawn(Builder::new().serve_connection(connection, app));
    }
    Ok(())
}

async fn me<B: Body>(_request: Request<B>) -> Result<Response<String>, Infallible> {
    Ok(Response::new("Hello, whoever you are.\n".to_owned()))
}

/// The next connection; none any more after Ctrl-C.
async fn accept(listener: &TcpListener) -> std::io::Result<Option<TokioIo<TcpStream>>> {
    tokio::select! {
        accepted = listener.accept() => accepted.map(|(stream, _)| Some(TokioIo::new(stream))),
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None),
    }
}
