//! Serving HTTP: connections, their limits, and what every request passes through.

mod body;
mod connection;
mod framing;
mod layers;
mod limits;
mod slots;
mod tls;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tower::Service;

use connection::Connections;
use slots::Slots;

pub use body::RequestBody;
pub use limits::Limits;
pub use tls::{TlsError, TlsFiles, check as check_tls};

/// How to serve.
#[derive(Debug, Default)]
pub struct ServeSettings {
    /// What a client may ask of us.
    pub limits: Limits,
    /// The certificate and key; without them HTTP is served in the clear.
    pub tls: Option<TlsFiles>,
    /// Whether to tell browsers to come by TLS only.
    pub hsts: bool,
}

/// Serves HTTP/1.1 and HTTP/2 until `shutdown` is done; then finishes the requests under way.
///
/// Nothing that a client does ends the server: not a panic of the service, nor more connections
/// than the operating system has room for.
///
/// # Errors
///
/// [`TlsError`] if the certificate or the key cannot be used.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    settings: ServeSettings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), TlsError>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
    let limits = settings.limits;
    let slots = Arc::new(Slots::new(
        limits.connections,
        limits.connections_per_address,
    ));
    let graceful = GracefulShutdown::new();
    let connections =
        Connections::new(layers::around(service, &limits, settings.hsts), tls, limits);
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
                    tokio::spawn(async move {
                        serving.await;
                        drop(slot);
                    });
                }
            }
            Err(error) => pause_after(&error).await,
        }
    }
    drop(listener);
    if tokio::time::timeout(limits.shutdown_grace, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests under way were cut off at the end of the grace");
    }
    Ok(())
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
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use http::StatusCode;
    use tokio::sync::oneshot;
    use tower::service_fn;

    use super::*;

    #[tokio::test]
    async fn s12_5_a_panic_answers_500_in_the_error_format_and_the_server_goes_on() {
        static PANICS: AtomicBool = AtomicBool::new(true);
        let service = service_fn(|_: Request<RequestBody>| async {
            assert!(!PANICS.swap(false, Ordering::SeqCst), "a secret reason");
            Ok(Response::new(auth_tower::ApiBody::default()))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, service, ServeSettings::default(), async {
            let _ = stopped.await;
        }));
        let panicked = reqwest::get(&url).await.unwrap();
        assert_eq!(panicked.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(panicked.headers().contains_key("x-request-id"));
        assert_eq!(
            panicked.text().await.unwrap(),
            r#"{"is_error":1,"code":"internal_error","message":"internal error"}"#
        );
        assert_eq!(reqwest::get(&url).await.unwrap().status(), StatusCode::OK);
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }
}
