//! Login endpoints and bearer-token verification for every framework built on tower.
//!
//! Two kinds of things, over whatever implements [`AuthService`](auth_core::AuthService):
//!
//! - a *service*, [`AuthApi`]: the endpoints, to be mounted beside the host's own routes;
//! - *layers*: [`VerifyLayer`] turns a bearer token into a [`Principal`](auth_core::Principal),
//!   [`RequireRoleLayer`] lets only callers with a role through, [`RequireSuperuserLayer`] only
//!   superusers, [`IdentifyLayer`] finds out where requests come from, [`MountLayer`] puts the
//!   endpoints in front of a service.
//!
//! In axum (hyper and warp: see [`api`]):
//!
//! ```
//! use std::sync::Arc;
//!
//! use auth_core::{AccessTokenVerifier, AuthService, Principal};
//! use auth_tower::{AuthApi, VerifyLayer};
//! use axum::{Extension, Router, routing::get};
//!
//! async fn me(Extension(caller): Extension<Principal>) -> String {
//!     format!("you are {}", caller.user_id)
//! }
//!
//! fn app(auth: Arc<dyn AuthService>, verifier: AccessTokenVerifier) -> Router {
//!     Router::new()
//!         .route("/me", get(me))
//!         .route_layer(VerifyLayer::new(verifier.clone()))
//!         .fallback_service(AuthApi::new(auth, verifier))
//! }
//! ```
//!
//! Everything is generic over the bodies of requests and responses. A refusal is an answer, never
//! an `Err`, which would cut the connection; how errors look stands in one table, [`ApiError`].
//!
//! # Map
//!
//! | module | what |
//! |---|---|
//! | [`api`] | the endpoints, and how to mount them |
//! | [`budgets`] | how many requests a client may make |
//! | [`identify`] | where a request comes from |
//! | [`verify`] | bearer token to principal |
//! | [`require`] | roles, and rights that must hold now |
//! | `jwks` | the keys of another issuer, for services that only verify, with the feature `jwks-client` |
//! | [`mount`] | the endpoints in front of a service |
//! | `axum` | extractors and `IntoResponse`, with the feature `axum` |
//! | `warp` | filters, with the feature `warp` |
//! | `tonic` | the caller of a request, errors as statuses, with the feature `tonic` |
//!
//! What tower-http has (timeouts, request ids, CORS, tracing) is left to tower-http.

pub mod api;
#[cfg(feature = "axum")]
pub mod axum;
mod bearer;
mod body;
pub mod budgets;
mod context;
mod error;
pub mod identify;
#[cfg(feature = "jwks-client")]
pub mod jwks;
pub mod mount;
pub mod require;
mod response;
#[cfg(feature = "tonic")]
pub mod tonic;
pub mod verify;
#[cfg(feature = "warp")]
pub mod warp;

pub use api::service::AuthApi;
pub use body::{ApiBody, ResponseBody};
pub use error::ApiError;
pub use identify::layer::IdentifyLayer;
pub use mount::layer::MountLayer;
pub use require::layer::RequireSuperuserLayer;
pub use require::role::RequireRoleLayer;
pub use verify::layer::VerifyLayer;
