//! Requires rights: those that a token carries, and those that must hold now.
//!
//! [`RequireRoleLayer`](crate::RequireRoleLayer) reads the roles in the token and asks nobody.
//! [`RequireSuperuserLayer`](crate::RequireSuperuserLayer) asks the store, since what a superuser
//! may do is worth a question.
//!
//! Each layer stands inside of [`VerifyLayer`](crate::VerifyLayer): it takes the
//! [`Principal`](auth_core::Principal) from the request's extensions. A request that the store was
//! asked about carries the proof, a [`Superuser`](auth_core::Superuser), in its extensions. If the
//! store cannot answer, the request is refused.
//!
//! ```
//! use std::sync::Arc;
//!
//! use auth_core::{AccessTokenVerifier, AuthService};
//! use auth_tower::{RequireRoleLayer, RequireSuperuserLayer, VerifyLayer};
//! use tower::{Layer, ServiceBuilder};
//!
//! fn superusers_only<S>(
//!     verifier: AccessTokenVerifier,
//!     auth: Arc<dyn AuthService>,
//!     inner: S,
//! ) -> impl Clone
//! where
//!     S: Clone,
//! {
//!     ServiceBuilder::new()
//!         .layer(VerifyLayer::new(verifier))
//!         .layer(RequireSuperuserLayer::new(auth))
//!         .service(inner)
//! }
//!
//! fn editors_only<S>(verifier: AccessTokenVerifier, inner: S) -> impl Clone
//! where
//!     S: Clone,
//! {
//!     ServiceBuilder::new()
//!         .layer(VerifyLayer::new(verifier))
//!         .layer(RequireRoleLayer::new("editor"))
//!         .service(inner)
//! }
//! ```

mod future;
pub(crate) mod layer;
pub(crate) mod role;
mod service;

pub use future::ResponseFuture;
pub use role::RequireRole;
pub use service::RequireSuperuser;
