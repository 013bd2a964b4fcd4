//! Tokens: access tokens (JWT), refresh tokens and verification tokens (opaque, derived).

use crate::secret::secret_string;

secret_string! {
    /// An access token: a JWT of the type `at+jwt` (RFC 9068).
    AccessToken
}

secret_string! {
    /// A refresh token: `art_` and base64url.
    RefreshToken
}
