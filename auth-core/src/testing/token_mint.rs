//! Tokens without an engine.

use std::time::Duration;

use crate::claims::ExtraClaims;
use crate::token::{AccessTokenIssuer, RefreshTokens, TokenScope};
use crate::{
    AccessToken, AuthError, Generation, JwtKeys, RefreshToken, SecretKeys, SessionId, Timestamp,
    UserId,
};

/// Makes tokens as an engine with the same keys does, for sessions that need not exist.
///
/// For tests of protected routes, and for tests and benchmarks that fill a store by themselves.
///
/// ```
/// use std::sync::Arc;
/// use auth_core::testing::TokenMint;
/// use auth_core::{
///     AccessTokenVerifier, Clock, Generation, JwtKeys, SecretKey, SecretKeys, SessionId,
///     SystemClock, UserId,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret_keys = SecretKeys::new(SecretKey::generate()?);
/// let jwt_keys = JwtKeys::hs256(SecretKey::generate()?);
/// let issuer = "https://auth.example.org";
/// let mint = TokenMint::new(&secret_keys, &jwt_keys, issuer);
///
/// let (alice, session) = (UserId::generate(), SessionId::generate());
/// let token = mint.access_token(alice, session, &["editor"], SystemClock.now())?;
/// let verifier = AccessTokenVerifier::new(&jwt_keys, issuer, issuer, Arc::new(SystemClock));
/// assert_eq!(verifier.verify(token.expose())?.user_id, alice);
///
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

    /// Makes an access token.
    ///
    /// # Errors
    ///
    /// [`AuthError::Internal`] if the operating system gives no random numbers.
    pub fn access_token(
        &self,
        user: UserId,
        session: SessionId,
        roles: &[&str],
        now: Timestamp,
    ) -> Result<AccessToken, AuthError> {
        self.access_tokens
            .issue(user, session, roles, &ExtraClaims::default(), now)
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
