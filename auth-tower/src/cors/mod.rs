//! Lets pages of other origins call (feature `cors`): exact origins, and no others.
//!
//! The headers come from tower-http's `cors`; this layer sees to it that only requests from a listed
//! [`Origin`] get any of them. For a page of a listed origin, compared byte for byte:
//!
//! - a preflight (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) is answered with
//!   204 and `Access-Control-Allow-Origin`, `-Methods` (GET, POST, PATCH, DELETE), `-Headers`
//!   (`authorization`, `content-type`, `idempotency-key`) and `-Max-Age` (two hours, the most that
//!   browsers take);
//! - every other answer, refusals included, has `Access-Control-Allow-Origin` and
//!   `Access-Control-Expose-Headers` (`WWW-Authenticate`, `Retry-After`).
//!
//! All other requests reach the inner service as if there were no layer, and no answer to them has an
//! `Access-Control-*` header. Every answer has `Vary: Origin`, for the caches in between. Cookies
//! are not let through: nothing here reads any.
//!
//! ```
//! use auth_tower::cors::OriginError;
//! use auth_tower::{AuthApi, CorsLayer};
//! use tower::Layer;
//!
//! # fn mount(api: AuthApi) -> Result<(), OriginError> {
//! let cors = CorsLayer::new(["https://app.example.org".parse()?]);
//! let service = cors.layer(api);
//! # Ok(())
//! # }
//! ```

mod future;
pub(crate) mod layer;
mod origin;
mod service;

pub use future::ResponseFuture;
pub use origin::{Origin, OriginError};
pub use service::Cors;
