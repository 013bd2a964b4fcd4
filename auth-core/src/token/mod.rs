//! Tokens: access tokens (JWT), refresh tokens and verification tokens (opaque, derived).

mod access;
mod claims;
mod keys;
mod links;
mod members;
mod opaque;
mod refresh;
mod throttle;
mod verification;

pub use access::{AccessToken, AccessTokenVerifier};
pub(crate) use access::{AccessTokenIssuer, TokenScope};
pub use keys::{JwtKeys, RandomnessUnavailable, SecretKey, SecretKeys, WeakKey};
pub(crate) use links::{EmailChangeTokens, PasswordResetTokens};
pub use refresh::RefreshToken;
pub(crate) use refresh::RefreshTokens;
pub(crate) use throttle::ThrottleKeys;
pub(crate) use verification::VerificationTokens;
