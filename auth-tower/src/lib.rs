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
//! # From nothing to a protected route
//!
//! ```console
//! $ cargo new notes && cd notes
//! $ cargo add auth-core
//! $ cargo add auth-tower --features axum
//! $ cargo add axum
//! $ cargo add tokio --features full
//! ```
//!
//! In axum (hyper and warp: see [`api`]):
//!
#![cfg_attr(feature = "axum", doc = "```no_run")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use std::error::Error;
//! use std::future::pending;
//! use std::sync::Arc;
//!
//! use auth_core::mail::FolderTransport;
//! use auth_core::store::SqliteStore;
//! use auth_core::{Bootstrap, Engine, JwtKeys, Password, Registration, SecretKey, SecretKeys};
//! use auth_tower::axum::Authenticated;
//! use auth_tower::{AuthApi, VerifyLayer};
//! use axum::Router;
//! use axum::routing::get;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn Error>> {
//!     let store = SqliteStore::open("auth.sqlite3").await?;
//!     store.migrate().await?;
//!     let engine = Engine::builder(
//!         Arc::new(store),
//!         // Read yours from where you keep secrets: new ones log everybody out.
//!         SecretKeys::new(SecretKey::generate()?),
//!         JwtKeys::hs256(SecretKey::generate()?),
//!     )
//!     .with_public_url("http://127.0.0.1:3000")
//!     .build()?;
//!
//!     // On each node, one worker sends mails, and another learns of logouts elsewhere.
//!     let outbox = FolderTransport::new("outbox", "auth@localhost".parse()?)?;
//!     tokio::spawn(engine.mail_worker(Arc::new(outbox)).run(pending()));
//!     tokio::spawn(engine.revocation_follower().run(pending()));
//!
//!     // The first user, who can register the others.
//!     let password = Password::new("correct horse battery");
//!     let admin = Registration::new("admin", password, "admin@example.org");
//!     engine.create_superuser(admin, Bootstrap::FirstSuperuser).await?;
//!
//!     let verifier = engine.access_token_verifier();
//!     let app = Router::new()
//!         .route("/notes", get(notes))
//!         .route_layer(VerifyLayer::new(verifier.clone()))
//!         .fallback_service(AuthApi::new(Arc::new(engine), verifier));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, app).await?;
//!     Ok(())
//! }
//!
//! async fn notes(Authenticated(caller): Authenticated) -> String {
//!     format!("the notes of user {}\n", caller.user_id)
//! }
//! ```
//!
//! ```console
//! $ curl -i http://127.0.0.1:3000/notes
//! HTTP/1.1 401 Unauthorized
//! $ curl http://127.0.0.1:3000/api/auth/token/ -H 'Content-Type: application/json' \
//!     -d '{"username":"admin","password":"correct horse battery"}'
//! {"access_token":"eyJ…","refresh_token":"art_…"}
//! $ curl http://127.0.0.1:3000/notes -H 'Authorization: Bearer eyJ…'
//! the notes of user 019a…
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
//! | `cors` | calls from pages of other origins, with the feature `cors` |
//! | `drain` | the rest of a refused request's body, with the feature `drain` |
//! | [`mount`] | the endpoints in front of a service |
//! | `axum` | extractors and `IntoResponse`, with the feature `axum` |
//! | `warp` | filters, with the feature `warp` |
//! | `tonic` | the caller of a request, errors as statuses, with the feature `tonic` |
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `axum` | | extractors and `IntoResponse` |
//! | `cors` | | `CorsLayer`: exact origins from which pages may call |
//! | `drain` | | `DrainLayer`: no refusal breaks a kept-alive connection |
//! | `openapi` | | the description of the endpoints (OpenAPI 3.1), and a page of it |
//!
//! What tower-http has (timeouts, request ids, tracing) is left to tower-http.

pub mod api;
#[cfg(feature = "axum")]
pub mod axum;
mod bearer;
mod body;
pub mod budgets;
mod context;
#[cfg(feature = "cors")]
pub mod cors;
#[cfg(feature = "drain")]
pub mod drain;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
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
#[cfg(feature = "cors")]
pub use cors::layer::CorsLayer;
#[cfg(feature = "drain")]
pub use drain::layer::DrainLayer;
pub use error::ApiError;
pub use identify::layer::IdentifyLayer;
pub use mount::layer::MountLayer;
pub use require::layer::RequireSuperuserLayer;
pub use require::role::RequireRoleLayer;
pub use verify::layer::VerifyLayer;
