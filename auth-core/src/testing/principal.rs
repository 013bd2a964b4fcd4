//! Callers out of thin air.

use std::time::Duration;

use crate::{Clock as _, Principal, SessionId, SystemClock, UserId};

/// Makes a caller whom nobody knows, for five minutes from now: the principal that a test injects.
///
/// In front of a handler it is put where [`VerifyLayer`] would put it, into the request's
/// extensions: `request.extensions_mut().insert(principal())`, or for all requests with axum's
/// `Extension(principal())` as a layer. For an application with its `VerifyLayer` in place,
/// `TestAuth::issue` makes a token.
///
/// [`VerifyLayer`]: https://docs.rs/auth-tower/latest/auth_tower/struct.VerifyLayer.html
#[must_use]
pub fn principal() -> Principal {
    let now = SystemClock.now();
    let expires = now + Duration::from_secs(300);
    Principal::new(UserId::generate(), SessionId::generate(), now, expires)
}
