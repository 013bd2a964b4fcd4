//! Finds out where a request comes from: its [`RequestContext`](auth_core::RequestContext) goes
//! into its extensions.
//!
//! Budgets, the throttling of logins and the audit trail go by it. The layer stands outside of the
//! services that need it, and inside of what tells the [`PeerAddr`] and sets the request's id
//! (`x-request-id`, taken from the header as it is).
//!
//! # The client
//!
//! The client is the peer, the other end of the connection, whatever the headers say. Only of a
//! peer in a [trusted](crate::IdentifyLayer::with_trusted_proxies) network the headers count:
//!
//! - `X-Forwarded-For`, or where there is none, `Forwarded` (RFC 7239). A proxy that writes
//!   `Forwarded` must therefore delete the other.
//! - Read from the right, the entries of trusted proxies are passed over: the first other one is
//!   the client. If all are trusted, the left-most is.
//! - An entry that names nobody, or cannot be read, ends the search: the client is unknown. So it is
//!   if the proxy sent neither header.
//!
//! An unknown client has no budget: all of them in one would be refused together. Logins are then
//! throttled by account alone.
//!
//! # Examples
//!
//! In axum, which tells the peer in its own type:
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use auth_tower::{AuthApi, IdentifyLayer, identify::PeerAddr};
//! use axum::{Router, extract::{ConnectInfo, Request}};
//! use tower::ServiceBuilder;
//!
//! fn peer(mut request: Request) -> Request {
//!     if let Some(&ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
//!         request.extensions_mut().insert(PeerAddr::new(peer));
//!     }
//!     request
//! }
//!
//! fn app(api: AuthApi) -> Result<Router, ipnet::AddrParseError> {
//!     let proxies = ["10.0.0.0/8".parse()?];
//!     Ok(Router::new().fallback_service(api).layer(
//!         ServiceBuilder::new()
//!             .map_request(peer)
//!             .layer(IdentifyLayer::new().with_trusted_proxies(proxies)),
//!     ))
//! }
//! // To be served with `app.into_make_service_with_connect_info::<SocketAddr>()`.
//! ```

mod forwarded;
pub(crate) mod layer;
mod peer;
mod service;

#[cfg(feature = "fuzzing")]
pub(crate) use forwarded::client as forwarded_client;
pub use peer::PeerAddr;
pub use service::Identify;
