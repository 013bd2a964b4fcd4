//! Tokens without an engine.

use std::time::Duration;

use super::principal::issue_to;
use crate::token::{AccessTokenIssuer, RefreshTokens, TokenScope};
use crate::{
    AccessToken, AuthError, Generation, JwtKeys, Principal, RefreshToken, SecretKeys, SessionId,
};

/// Makes tokens as an engine with the same keys does, for sessions that need not exist.
///
/// For tests of protected routes, and for tests and benchmarks that fill a store by themselves. A
/// test of a whole service has `TestAuth`, which makes the tokens of its engine.
///
/// ```
/// use std::sync::Arc;
/// use auth_core::testing::{TokenMint, principal};
/// use auth_core::{
///     AccessTokenVerifier, Generation, JwtKeys, SecretKey, SecretKeys, SessionId, SystemClock,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret_keys = SecretKeys::new(SecretKey::generate()?);
/// let jwt_keys = JwtKeys::hs256(SecretKey::generate()?);
/// let issuer = "https://auth.example.org";
/// let mint = TokenMint::new(&secret_keys, &jwt_keys, issuer);
///
/// let editor = principal().with_roles(["editor"]);
/// let token = mint.access_token(&editor)?;
/// let verifier = AccessTokenVerifier::new(&jwt_keys, issuer, issuer, Arc::new(SystemClock));
/// assert_eq!(verifier.verify(token.expose())?.user_id, editor.user_id);
///
/// let session = SessionId::generate();
/// let token = mint.refresh_token(session, Generation::FIRST);
/// let opened = mint.open_refresh_token(token.expose());
/// assert_eq!(opened, Some((session, Generation::FIRST)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TokenMint {
    access_tokens: AccessTokenIssuer,
    refresh_tokens: RefreshTokens,
}

impl TokenMint {
    /// Makes tokens of an engine with these keys, whose public URL is `issuer`; access tokens live
    /// for five minutes.
    #[must_use]
    pub fn new(secret_keys: &SecretKeys, jwt_keys: &JwtKeys, issuer: &str) -> Self {
        let scope = TokenScope {
            issuer: issuer.to_owned(),
            audience: issuer.to_owned(),
            client_id: "auth".to_owned(),
        };
        Self {
            access_tokens: AccessTokenIssuer::new(
                jwt_keys.into(),
                scope,
                Duration::from_secs(5 * 60),
            ),
            refresh_tokens: RefreshTokens::new(secret_keys),
        }
    }

    /// Makes an access token of this caller, with the roles and the
    /// [claims](Principal::with_claims), issued when the caller says. It lives for its five minutes,
    /// up to 5 % less, whatever the caller says of its end.
    ///
    /// # Errors
    ///
    /// - [`AuthError::Claims`] if a claim is reserved, or the token would be too long;
    /// - [`AuthError::Internal`] if the operating system gives no random numbers.
    pub fn access_token(&self, caller: &Principal) -> Result<AccessToken, AuthError> {
        issue_to(caller, &self.access_tokens, caller.issued_at)
    }

    /// Makes the refresh token of a session's generation.
    #[must_use]
    pub fn refresh_token(&self, session: SessionId, generation: Generation) -> RefreshToken {
        self.refresh_tokens.derive(session, generation)
    }

    /// Reads a refresh token that was made with these keys, and nothing of any other string.
    #[must_use]
    pub fn open_refresh_token(&self, token: &str) -> Option<(SessionId, Generation)> {
        self.refresh_tokens.open(token)
    }
}
