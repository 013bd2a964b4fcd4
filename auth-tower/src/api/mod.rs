//! The endpoints as one service, to be mounted in any framework built on tower.
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/register/` by a superuser, or where registration is open by anybody | 201 |
//! | `GET`, `POST /api/register/verify/` | the page behind the link in the mail, and its button |
//! | `POST /api/register/resend/` | 202, whether or not the address is known |
//! | `POST /api/register/invite/` by a superuser | 202 |
//! | `GET`, `POST /api/register/accept/` | the page behind the invitation, and its form: 201 |
//! | `POST /api/auth/token/` | 200, access and refresh token |
//! | `POST /api/auth/token/refresh/` | 200, another access token |
//! | `POST /api/auth/logout/` | 200 |
//! | `GET /api/auth/me/` | 200, the caller |
//! | `GET /api/auth/sessions/` | 200, the caller's sessions |
//! | `DELETE /api/auth/sessions/{id}/` | 204 |
//! | `POST /api/auth/logout/all/` | 204 |
//! | `POST /api/auth/password/change/` | 204 |
//! | `POST /api/auth/password/reset/` | 202, whether or not the address is known |
//! | `GET`, `POST /api/auth/password/reset/confirm/` | the page behind the link, and its form: 204 |
//! | `POST /api/auth/email/change/` | 202 |
//! | `GET`, `POST /api/auth/email/change/confirm/` | the page behind the link, and its button: 204 |
//! | `GET`, `POST /api/auth/email/change/undo/` | the same behind the link in the notice |
//! | `GET /api/admin/users/`, `POST` | 200, a page of users; 201, the new user |
//! | `GET`, `PATCH`, `DELETE /api/admin/users/{id}/` | 200, the user; 200, the changed user; 204 |
//! | `POST /api/admin/users/{id}/logout/` | 204 |
//! | `GET /api/admin/events/` | 200, a page of audit events |
//! | `GET /.well-known/jwks.json` | 200, the public keys |
//! | `GET /livez`, `GET /readyz` | 200, or 503 with what fails |
//! | `GET /openapi.json`, `GET /docs/` | 200, the description of what is served, for programs and people |
//!
//! Registration that is open or by invitation is served only
//! [on demand](crate::AuthApi::with_enrollment), and then as the service's mode says.
//! From `me` to `email/change/undo` they are the group `account`, which is served only
//! [on demand](crate::AuthApi::with_account); those of superusers are the group `admin`, which is
//! another [such](crate::AuthApi::with_administration). The description comes with the feature
//! `openapi` and `AuthApi::with_openapi`.
//!
//! Every path is served with and without the trailing slash; all others are answered with 404,
//! other methods with 405 (`OPTIONS` too: cross-origin requests are the host's decision, with
//! the CORS layer of `tower-http` around this service). Every body is read up to a limit of
//! [16 KiB](crate::AuthApi::with_max_body); a limit of time is the host's: a body error that has an
//! [`std::io::ErrorKind::TimedOut`] among its sources is answered with 408.
//!
//! # Mounting
//!
//! axum, beside routes of its own:
//!
//! ```
//! # fn mount(api: auth_tower::AuthApi) -> axum::Router {
//! axum::Router::new()
//!     .route("/", axum::routing::get(|| async { "hello" }))
//!     .fallback_service(api)
//! # }
//! ```
//!
//! An axum router that has a fallback of its own takes the routes one by one, with
//! `route_service("/api/auth/{*rest}", api.clone())` and so on. hyper serves it as it is:
//!
//! ```
//! # async fn serve<I>(io: I, api: auth_tower::AuthApi) -> hyper::Result<()>
//! # where I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static {
//! use hyper_util::service::TowerToHyperService;
//!
//! hyper::server::conn::http1::Builder::new()
//!     .serve_connection(io, TowerToHyperService::new(api))
//!     .await
//! # }
//! ```
//!
//! warp makes a service of its filters; [`AuthApi::handles`] tells which of the two a request is
//! for:
//!
//! ```
//! use std::convert::Infallible;
//!
//! use auth_tower::AuthApi;
//! use http::{Request, Response};
//! use tower::ServiceExt;
//! use warp::Filter;
//!
//! async fn serve(
//!     api: AuthApi,
//!     request: Request<hyper::body::Incoming>,
//! ) -> Result<Response<impl http_body::Body>, Infallible> {
//!     let hello = warp::service(warp::path::end().map(|| "hello"));
//!     if api.handles(request.uri().path()) {
//!         let response = api.oneshot(request).await?;
//!         return Ok(response.map(http_body_util::Either::Left));
//!     }
//!     let response = hello.oneshot(request).await?;
//!     Ok(response.map(http_body_util::Either::Right))
//! }
//! ```
//!
//! [`AuthApi::handles`]: crate::AuthApi::handles

mod account;
mod admin;
mod future;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod health;
mod json;
mod jwks;
mod link;
#[cfg(feature = "openapi")]
pub mod openapi;
mod pages;
mod query;
mod read;
mod registration;
mod route;
pub(crate) mod service;
mod session;
mod utc;

pub use future::ResponseFuture;
pub use pages::{PageTemplateError, PageTemplates};
