//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use auth_tower::identify::PeerAddr;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderName, HeaderValue, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio_rustls::server::TlsStream;
use tower::{Service, ServiceExt as _};

use super::activity::{Activity, Ended, IdleLimits};
use super::limits::Limits;
use super::tasks::Spawner;
use super::tls::Tls;
use super::wire::Wire;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// How much longer a connection is kept than its client is told, so that a request which the client
/// sends at the last moment does not meet a closed one.
const KEEP_ALIVE_GRACE: Duration = Duration::from_secs(1);

/// Serves connections, all with one service.
#[derive(Clone)]
pub(super) struct Connections<S> {
    service: S,
    tls: Option<Tls>,
    builder: Builder<Spawner>,
    limits: Limits,
    spawner: Spawner,
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
    pub(super) fn new(service: S, tls: Option<Tls>, limits: Limits, spawner: Spawner) -> Self {
        let mut builder = Builder::new(spawner.clone());
        builder
            .http1()
            .timer(TokioTimer::new())
            // It would count the idle time in; `Activity` tells the two apart.
            .header_read_timeout(None)
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
            spawner,
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
            match this.tls.as_ref().map(Tls::acceptor) {
                None => this.talk(stream, peer, watcher).await,
                Some(tls) => {
                    let limit = this.limits.handshake;
                    let handshake = tokio::time::timeout(limit, tls.accept(stream));
                    // No request is under way, so the stop does not wait.
                    let stopping = this.spawner.clone().stopping();
                    if let Some(stream) = shaken(handshake, stopping, peer).await {
                        this.talk(stream, peer, watcher).await;
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
        let keep_alive = keep_alive(self.limits.keep_alive);
        let stream = Wire::new(stream, activity.clone(), self.limits, self.spawner);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddr::new(peer));
            let version = request.version();
            let under_way = requests.begin(version == Version::HTTP_2);
            let answer = self.service.clone().oneshot(request);
            let keep_alive = keep_alive.clone();
            async move {
                let mut answer = answer.await;
                drop(under_way);
                if let Ok(answer) = &mut answer
                    && version <= Version::HTTP_11
                    && !answer.headers().contains_key(CONNECTION)
                {
                    answer.headers_mut().insert(KEEP_ALIVE, keep_alive);
                }
                answer
            }
        });
        let connection = self
            .builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let limits = IdleLimits {
            headers: self.limits.header_read,
            keep_alive: self.limits.keep_alive.saturating_add(KEEP_ALIVE_GRACE),
        };
        tokio::select! {
            served = watcher.watch(connection) => {
                if let Err(error) = served {
                    tracing::debug!(%peer, %error, "a connection broke off");
                }
            }
            ended = activity.end(limits) => match ended {
                Ended::Idle => tracing::debug!(%peer, "an idle connection was closed"),
                Ended::SlowHeaders => {
                    tracing::debug!(%peer, "a connection was closed: its headers took too long");
                }
            }
        }
    }
}

/// Tells a client how long it may leave a connection idle, which Node's agents and others heed.
fn keep_alive(limit: Duration) -> HeaderValue {
    HeaderValue::try_from(format!("timeout={}", limit.as_secs()))
        .expect("a number is a header's value")
}

/// The stream after the handshake, if it succeeds in time.
async fn shaken(
    handshake: impl Future<Output = Result<io::Result<TlsStream<TcpStream>>, Elapsed>>,
    stopping: impl Future<Output = ()>,
    peer: SocketAddr,
) -> Option<TlsStream<TcpStream>> {
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = stopping => return None,
    };
    match shaken {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
    }
    None
}
