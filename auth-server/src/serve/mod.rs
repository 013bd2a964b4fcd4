//! Serving HTTP: connections, their limits, and what every request passes through.

mod activity;
mod body;
mod connection;
mod count;
mod framing;
mod layers;
mod limits;
mod slots;
mod tasks;
mod tls;
mod wire;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use auth_tower::{CorsLayer, IdentifyLayer};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper_util::server::graceful::GracefulShutdown;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tower::Service;

use connection::Connections;
use slots::Slots;
use tasks::Tasks;

pub use body::RequestBody;
pub use limits::Limits;
pub use tls::{Tls, TlsError, TlsFiles};

/// How to serve.
#[derive(Debug, Default)]
pub struct ServeSettings {
    /// What a client may ask of us.
    pub limits: Limits,
    /// Without it HTTP is served in the clear.
    pub tls: Option<Tls>,
    /// Whether to tell browsers to come by TLS only.
    pub hsts: bool,
    /// From which origins pages may call; without it from none.
    pub cors: Option<CorsLayer>,
    /// How to find out who the clients are.
    pub identify: IdentifyLayer,
    /// Names the route of a path, to [count](metrics) requests by; without it none is counted.
    pub route_of: Option<fn(&str) -> Option<&'static str>>,
    /// Networks of proxies, from which as many connections may come as there may be in all.
    pub proxies: Vec<IpNet>,
}

/// Serves HTTP/1.1 and HTTP/2 until `shutdown` is done; then finishes the requests under way.
///
/// What is not finished at the end of the grace is dropped: nothing of a request goes on after this.
///
/// Nothing that a client does ends the server: not a panic of the service, nor more connections
/// than the operating system has room for.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    settings: ServeSettings,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let limits = settings.limits;
    let slots = Arc::new(Slots::new(&limits, settings.proxies));
    let graceful = GracefulShutdown::new();
    let tasks = Tasks::new();
    let spawner = tasks.spawner();
    let service = layers::around(
        service,
        &limits,
        settings.identify,
        settings.cors,
        settings.hsts,
        settings.route_of,
    );
    let connections = Connections::new(service, settings.tls, limits, spawner.clone());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Without a free slot the connection is closed at once.
                if let Some(slot) = slots.take(peer.ip()) {
                    let serving = connections.serve(stream, peer, graceful.watcher());
                    spawner.spawn(async move {
                        serving.await;
                        drop(slot);
                    });
                }
            }
            Err(error) => pause_after(&error).await,
        }
    }
    drop((listener, connections, spawner));
    tasks.stop();
    if tokio::time::timeout(limits.shutdown_grace, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests under way are cut off at the end of the grace");
    }
    tasks.cut_off().await;
}

/// A connection that was lost before it was accepted is nothing; being out of file descriptors
/// passes when others close theirs.
async fn pause_after(error: &io::Error) {
    let lost = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
    ];
    if !lost.contains(&error.kind()) {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "no connection can be accepted"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests;
