//! Serves the endpoints in front of a service: their paths are theirs, all others the service's.
//!
//! For whatever has no router of its own that takes a service: a hyper service, a gRPC server, a
//! stack of layers. In axum, `fallback_service` does the same.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use auth_core::{Engine, Principal};
//! use auth_tower::{AuthApi, MountLayer, VerifyLayer};
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Service, ServiceBuilder};
//!
//! async fn hello(request: Request<Full<bytes::Bytes>>) -> Result<Response<String>, Infallible> {
//!     let caller = request.extensions().get::<Principal>().map(|caller| caller.user_id);
//!     Ok(Response::new(format!("hello, {caller:?}")))
//! }
//!
//! fn app(engine: &Engine) -> impl Service<Request<Full<bytes::Bytes>>> {
//!     ServiceBuilder::new()
//!         .layer(MountLayer::new(AuthApi::for_engine(engine)))
//!         .layer(VerifyLayer::new(engine.access_token_verifier()))
//!         .service_fn(hello)
//! }
//! ```

mod future;
pub(crate) mod layer;
mod service;

pub use future::ResponseFuture;
pub use service::Mount;
