//! Verifies bearer tokens: the caller goes into the request's extensions, or the request back.
//!
//! The verdict is synchronous and asks nobody: no store, no waiting for a lock, no allocation but
//! the [`Principal`](auth_core::Principal) itself, and what a verifier that
//! [remembers tokens](auth_core::AccessTokenVerifier::with_token_cache) keeps of a new one. An
//! unauthenticated request is answered with the [error](crate::ApiError) that its client
//! understands, gRPC clients included, and never reaches the inner service.
//!
//! ```
//! use auth_core::{AccessTokenVerifier, Principal};
//! use auth_tower::VerifyLayer;
//! use http::{Request, Response};
//! use std::convert::Infallible;
//! use tower::{Layer, service_fn};
//!
//! async fn hello(request: Request<String>) -> Result<Response<String>, Infallible> {
//!     let caller = request.extensions().get::<Principal>().map(|caller| caller.user_id);
//!     Ok(Response::new(format!("hello, {caller:?}")))
//! }
//!
//! fn protect(verifier: AccessTokenVerifier) {
//!     let everybody_logged_in = VerifyLayer::new(verifier.clone()).layer(service_fn(hello));
//!     let guests_too = VerifyLayer::new(verifier).optional().layer(service_fn(hello));
//! }
//! ```

mod future;
pub(crate) mod layer;
mod service;

pub use future::ResponseFuture;
pub use service::Verify;
