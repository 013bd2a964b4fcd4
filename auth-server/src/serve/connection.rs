//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt as _};

use super::activity::Activity;
use super::limits::Limits;

/// Serves connections, all with one service.
#[derive(Clone)]
pub(super) struct Connections<S> {
    service: S,
    tls: Option<TlsAcceptor>,
    builder: Builder<TokioExecutor>,
    limits: Limits,
}

impl<S, B> Connections<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) fn new(service: S, tls: Option<TlsAcceptor>, limits: Limits) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read)
            .max_headers(limits.headers)
            .max_buf_size(limits.header_bytes);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(100);
        Self {
            service,
            tls,
            builder,
            limits,
        }
    }

    /// Serves a connection to its end, or to the end of the request under way at a shutdown.
    pub(super) fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: Watcher,
    ) -> impl Future<Output = ()> + Send + 'static {
        let this = self.clone();
        async move {
            let _ = stream.set_nodelay(true);
            match this.tls.clone() {
                None => this.talk(stream, peer, watcher).await,
                Some(tls) => {
                    match tokio::time::timeout(this.limits.handshake, tls.accept(stream)).await {
                        Ok(Ok(stream)) => this.talk(stream, peer, watcher).await,
                        Ok(Err(error)) => {
                            tracing::debug!(%peer, %error, "the TLS handshake failed")
                        }
                        Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
                    }
                }
            }
        }
    }

    async fn talk<T>(self, stream: T, peer: SocketAddr, watcher: Watcher)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::default();
        let requests = activity.clone();
        let service = service_fn(move |request| {
            let under_way = requests.begin();
            let answer = self.service.clone().oneshot(request);
            async move {
                let answer = answer.await;
                drop(under_way);
                answer
            }
        });
        let connection = self
            .builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        tokio::select! {
            served = watcher.watch(connection) => {
                if let Err(error) = served {
                    tracing::debug!(%peer, %error, "a connection broke off");
                }
            }
            () = activity.end(self.limits.idle) => {
                tracing::debug!(%peer, "an idle connection was closed");
            }
        }
    }
}
