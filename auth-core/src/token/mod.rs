//! Tokens: access tokens (JWT), refresh tokens and verification tokens (opaque, derived).

mod access;
mod claims;
mod jws;
mod jwt_keys;
mod key_file;
mod keys;
mod links;
mod members;
mod opaque;
mod refresh;
mod throttle;
mod verification;
mod verifying_keys;

pub use access::{AccessToken, AccessTokenVerifier, LeewayTooLong};
pub(crate) use access::{AccessTokenIssuer, TokenOwner, TokenScope};
pub(crate) use claims::{is_reserved, other_members};
pub(crate) use jws::MAX_TOKEN_BYTES;
pub use jwt_keys::JwtKeys;
pub use key_file::KeyFileError;
pub use keys::{RandomnessUnavailable, SecretKey, SecretKeys, WeakKey};
pub(crate) use links::{PasswordResetTokens, RecordClaim, RecordTokens};
pub use refresh::RefreshToken;
pub(crate) use refresh::RefreshTokens;
pub(crate) use throttle::ThrottleKeys;
pub(crate) use verification::VerificationTokens;
pub use verifying_keys::{Jwks, JwksError, VerifyingKeys};
