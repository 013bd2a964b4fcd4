//! The keys of another issuer, for a service that only verifies (feature `jwks-client`).
//!
//! A [`JwksClient`] fetches the issuer's JWK Set and keeps it fresh in the background; verifying
//! stays synchronous, and waits for nobody.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use auth_core::signature::Algorithm;
//! use auth_core::{AccessTokenVerifier, SystemClock};
//! use auth_tower::VerifyLayer;
//! use auth_tower::jwks::JwksClient;
//!
//! # async fn start() -> Result<(), auth_tower::jwks::JwksClientError> {
//! let issuer = "https://auth.example.org";
//! let client = JwksClient::new(&format!("{issuer}/.well-known/jwks.json"), Algorithm::EdDsa)?;
//! let verifier = AccessTokenVerifier::new(client.keys(), issuer, issuer, Arc::new(SystemClock));
//! let layer = VerifyLayer::new(verifier);
//! // Not needed, but then a wrong URL is found out at the start.
//! client.fetch().await?;
//! tokio::spawn(client.run(std::future::pending()));
//! # Ok(())
//! # }
//! ```
//!
//! The keys are fetched
//!
//! - at once, when it begins to run;
//! - every five minutes, which is how long `auth-server` lets its keys be cached: an issuer must
//!   have published a key for that time before it signs;
//! - when a token names a key that is not among them, but never within ten seconds of the last
//!   fetch: whoever makes up key ids cannot make this service press its issuer.
//!
//! While the issuer does not answer, or answers nonsense, the keys from before stay. Fetched is
//! over TLS, or from this machine; a redirect is not followed, and an answer must come within ten
//! seconds and be of no more than 256 KiB.

mod client;
mod error;

pub use client::JwksClient;
pub use error::JwksClientError;
