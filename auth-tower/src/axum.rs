//! Sugar for [axum](https://docs.rs/axum): extractors, and errors as responses.
//!
//! ```
//! use auth_tower::axum::{Authenticated, Claims, RoleName, WithRole};
//!
//! async fn me(Authenticated(caller): Authenticated) -> String {
//!     caller.user_id.to_string()
//! }
//!
//! struct Editor;
//!
//! impl RoleName for Editor {
//!     const NAME: &'static str = "editor";
//! }
//!
//! async fn publish(editor: WithRole<Editor>) -> String {
//!     format!("published by {}", editor.caller.user_id)
//! }
//!
//! // What a `ClaimsHook` of yours has put into the token.
//! #[derive(serde::Deserialize)]
//! struct Membership {
//!     tenant: String,
//! }
//!
//! async fn notes(Claims(membership): Claims<Membership>) -> String {
//!     format!("the notes of {}", membership.tenant)
//! }
//! # let _: axum::Router = axum::Router::new()
//! #     .route("/me", axum::routing::get(me))
//! #     .route("/notes", axum::routing::get(notes))
//! #     .route("/publish", axum::routing::post(publish));
//! ```

use std::any::type_name;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;

use auth_core::{AuthError, Principal};
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::ApiError;
use crate::require::role::demand;

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

/// Extracts the host's [claims](auth_core::claims) of the caller that
/// [`VerifyLayer`](crate::VerifyLayer) has verified.
///
/// A request without a caller is refused with 401 `authentication_required`. A token without these
/// claims is refused with 401 `token_invalid`, so that a client whose token is from before the
/// claims were added refreshes it; the log says what could not be read.
#[derive(Clone, Debug)]
pub struct Claims<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Claims<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Principal>();
        let caller = caller.ok_or(ApiError::AuthenticationRequired)?;
        caller.claims().map(Self).map_err(|error| {
            let (claims, error) = (type_name::<T>(), &error as &dyn std::error::Error);
            tracing::warn!(
                claims,
                error,
                "a token lacks the claims that a handler reads"
            );
            ApiError::Bearer(AuthError::TokenInvalid)
        })
    }
}

/// Names a role, so that a handler can ask for it by its type.
pub trait RoleName {
    /// The name.
    const NAME: &'static str;
}

/// Extracts the caller that [`VerifyLayer`](crate::VerifyLayer) has verified, if the token carries
/// the role.
///
/// A request without a caller is refused with 401 `authentication_required`, a caller without the
/// role with 403 `permission_denied`.
pub struct WithRole<R> {
    /// The caller.
    pub caller: Principal,
    role: PhantomData<fn() -> R>,
}

impl<R> Clone for WithRole<R> {
    fn clone(&self) -> Self {
        Self {
            caller: self.caller.clone(),
            role: PhantomData,
        }
    }
}

impl<R> fmt::Debug for WithRole<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithRole")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

impl<S: Sync, R: RoleName> FromRequestParts<S> for WithRole<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = demand(parts.extensions.get::<Principal>(), R::NAME)?;
        Ok(Self {
            caller: caller.clone(),
            role: PhantomData,
        })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Self::into_response(self).map(axum_core::body::Body::new)
    }
}
