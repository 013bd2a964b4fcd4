//! Requires rights that must hold now, not only when the token was issued.
//!
//! The layer stands inside of [`VerifyLayer`](crate::VerifyLayer): it takes the
//! [`Principal`](auth_core::Principal) from the request's extensions and asks the store. A
//! request that was let through carries the proof, a [`Superuser`](auth_core::Superuser), in its
//! extensions. If the store cannot answer, the request is refused.
//!
//! ```
//! use std::sync::Arc;
//!
//! use auth_core::{AccessTokenVerifier, AuthService};
//! use auth_tower::{RequireSuperuserLayer, VerifyLayer};
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
//! ```

mod future;
pub(crate) mod layer;
mod service;

pub use future::ResponseFuture;
pub use service::RequireSuperuser;
