//! Sugar for [axum](https://docs.rs/axum): an extractor, and errors as responses.
//!
//! ```
//! use auth_tower::axum::Authenticated;
//!
//! async fn me(Authenticated(caller): Authenticated) -> String {
//!     caller.user_id.to_string()
//! }
//! # let _: axum::Router = axum::Router::new().route("/me", axum::routing::get(me));
//! ```

use std::convert::Infallible;

use auth_core::Principal;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::ApiError;

/// Extracts the caller that [`VerifyLayer`](crate::VerifyLayer) has verified.
///
/// A request without one is refused with 401 `authentication_required`; as
/// `Option<Authenticated>` it is let through, which suits
/// [`VerifyLayer::optional`](crate::VerifyLayer::optional).
#[derive(Clone, Debug)]
pub struct Authenticated(pub Principal);

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Principal>().cloned();
        caller.map(Self).ok_or(ApiError::AuthenticationRequired)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Authenticated {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Principal>().cloned().map(Self))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Self::into_response(self).map(axum_core::body::Body::new)
    }
}
