//! Servers of a few lines to measure beside ours, each a process of its own: this program again.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _, stderr, stdin};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use auth_core::{AccessTokenVerifier, SystemClock};
use auth_server::serve::{ServeSettings, serve};
use auth_tower::VerifyLayer;
use bytes::Bytes;
use clap::ValueEnum;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;
use tokio::net::TcpListener;
use tower::{Layer as _, Service, service_fn};

use crate::Outcome;
use crate::processes::Processes;
use crate::site::{ISSUER, jwt_keys};
use crate::support::SECRETS;

/// How the answer of each begins.
pub(crate) const START: &str = r#"{"hello":"#;

const ANSWER: &str = r#"{"hello":"world"}"#;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// hyper with a fixed answer: nothing can be faster.
    Bare,
    /// The same behind `VerifyLayer`: what a host application pays.
    Guarded,
    /// The same behind all that `auth-server` puts around its endpoints.
    Served,
    /// The same, verified by `jsonwebtoken::decode`.
    Decoded,
}

/// A running stand-in, which ends with this value.
pub(crate) struct StandIn {
    child: Child,
    address: SocketAddr,
}

impl StandIn {
    pub(crate) fn start(kind: Kind) -> Outcome<Self> {
        let name = kind.to_possible_value().ok_or("a kind without a name")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--stand-in", name.get_name()])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stderr) = child.stderr.take() {
            BufReader::new(stderr).read_line(&mut line)?;
        }
        let address = line.trim().parse();
        let address = address.map_err(|_| format!("a stand-in did not start: {line}"))?;
        Ok(Self { child, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn processes(&self) -> Processes {
        Processes::one(self.child.id())
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until standard input ends, which it does with the process that has started this one.
pub(crate) fn run(kind: Kind) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(stderr(), "{}", listener.local_addr()?)?;
        let verifier =
            AccessTokenVerifier::new(&jwt_keys()?, ISSUER, ISSUER, Arc::new(SystemClock));
        let guard = VerifyLayer::new(verifier);
        match kind {
            Kind::Bare => tokio::spawn(accept(listener, service_fn(hello))),
            Kind::Guarded => tokio::spawn(accept(listener, guard.layer(service_fn(hello)))),
            Kind::Decoded => tokio::spawn(accept(listener, service_fn(decoder()))),
            Kind::Served => tokio::spawn(async move {
                let service = guard.layer(service_fn(hello));
                serve(
                    listener,
                    service,
                    ServeSettings::default(),
                    std::future::pending(),
                )
                .await;
                Ok(())
            }),
        };
        tokio::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new())).await??;
        Ok(())
    })
}

async fn hello<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(answer(StatusCode::OK, ANSWER))
}

fn answer(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

async fn accept<S, B>(listener: TcpListener, service: S) -> std::io::Result<()>
where
    S: Service<Request<hyper::body::Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// What many services do: the convenience function for each request.
fn decoder<B>()
-> impl Fn(Request<B>) -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>
+ Clone
+ Send
+ 'static {
    let [_, (_, secret)] = SECRETS;
    let key = DecodingKey::from_secret(secret.as_bytes());
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[ISSUER]);
    let shared = Arc::new((key, validation));
    move |request| {
        let (key, validation) = &*shared;
        let token = request.headers().get(AUTHORIZATION);
        let token = token.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let good = token.is_some_and(|token| decode::<Value>(token, key, validation).is_ok());
        std::future::ready(Ok(match good {
            true => answer(StatusCode::OK, ANSWER),
            false => answer(StatusCode::UNAUTHORIZED, "{}"),
        }))
    }
}
