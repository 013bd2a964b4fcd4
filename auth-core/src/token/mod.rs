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
pub(crate) use access::{AccessTokenIssuer, MAX_TOKEN_BYTES, TokenScope};
pub(crate) use claims::{is_reserved, other_members};
pub use keys::{JwtKeys, RandomnessUnavailable, SecretKey, SecretKeys, WeakKey};
pub(crate) use links::{EmailChangeTokens, PasswordResetTokens};
pub use refresh::RefreshToken;
pub(crate) use refresh::RefreshTokens;
pub(crate) use throttle::ThrottleKeys;
pub(crate) use verification::VerificationTokens;
