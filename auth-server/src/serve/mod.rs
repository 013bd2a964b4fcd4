//! The HTTP listener (interim).
use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::Service;

#[derive(Debug, Default)]
pub struct ServeSettings {
    pub hsts: bool,
    pub tls: Option<TlsFiles>,
}
#[derive(Debug)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("x")]
    X,
}
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    _settings: ServeSettings,
    until: impl Future<Output = ()>,
) -> Result<(), ServeError>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let mut until = pin!(until);
    let graceful = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    loop {
        tokio::select! {
            () = &mut until => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let conn = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service.clone())).into_owned();
                let conn = graceful.watch(conn);
                tokio::spawn(async move { let _ = conn.await; });
            }
        }
    }
    graceful.shutdown().await;
    Ok(())
}
