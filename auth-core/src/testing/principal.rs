//! Callers out of thin air.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::claims::ExtraClaims;
use crate::token::{AccessTokenIssuer, TokenOwner};
use crate::{
    AccessToken, AuthError, Clock as _, Principal, Role, SessionId, SystemClock, Timestamp, UserId,
};

/// Makes a caller whom nobody knows, for five minutes from now: the principal that a test injects.
///
/// In front of a handler it is put where [`VerifyLayer`] would put it, into the request's
/// extensions: `request.extensions_mut().insert(principal())`, or for all requests with axum's
/// `Extension(principal())` as a layer. For an application with its `VerifyLayer` in place,
/// `TestAuth::access_token` makes a token.
/// Without an engine [`TokenMint::access_token`](super::TokenMint::access_token) does.
///
/// [`VerifyLayer`]: https://docs.rs/auth-tower/latest/auth_tower/struct.VerifyLayer.html
#[must_use]
pub fn principal() -> Principal {
    let now = SystemClock.now();
    let expires = now + Duration::from_secs(300);
    Principal::new(UserId::generate(), SessionId::generate(), now, expires)
}

/// Issues a token that tells of this caller, new at this time.
pub(crate) fn issue_to(
    caller: &Principal,
    issuer: &AccessTokenIssuer,
    now: Timestamp,
) -> Result<AccessToken, AuthError> {
    let claims: Map<String, Value> = caller
        .claims()
        .map_err(|error| AuthError::Internal(Box::new(error)))?;
    let claims = ExtraClaims::new(&claims)?;
    let roles: Vec<&str> = caller.roles.iter().map(Role::as_str).collect();
    let owner = TokenOwner {
        user: caller.user_id,
        session: caller.session_id,
        epoch: caller.token_epoch,
    };
    issuer.issue(owner, &roles, &claims, now)
}
