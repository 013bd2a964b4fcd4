//! Asymmetric signatures: keys from PEM and JWK, and what computes with them.
//!
//! A key tells its algorithm itself: Ed25519 is for EdDSA, P-256 for ES256, RSA for RS256. What
//! can be wrong with a key is found when it is read, never when a token comes.
//!
//! ```
//! # #[cfg(feature = "aws-lc")]
//! # fn main() -> Result<(), auth_core::signature::KeyError> {
//! use auth_core::signature::{Algorithm, PrivateKey, PublicKey};
//!
//! let key = PrivateKey::generate(Algorithm::EdDsa)?;
//! let stored = key.to_pem()?;
//! let key = PrivateKey::from_pem(stored.expose())?;
//! let public = PublicKey::from_jwk(&key.public_key().to_jwk())?;
//! assert!(public.verify(b"message", &key.sign(b"message")?));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "aws-lc"))]
//! # fn main() {}
//! ```

mod algorithm;
#[cfg(feature = "aws-lc")]
mod aws_lc;
mod error;
mod jwk;
#[cfg(not(any(feature = "aws-lc", feature = "rust-crypto")))]
mod none;
mod private_key;
mod public_key;
#[cfg(feature = "rust-crypto")]
#[cfg_attr(
    all(feature = "aws-lc", not(test)),
    expect(dead_code, reason = "the other back end comes first")
)]
mod rust_crypto;

#[cfg(feature = "aws-lc")]
use aws_lc as back_end;
#[cfg(not(any(feature = "aws-lc", feature = "rust-crypto")))]
use none as back_end;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc")))]
use rust_crypto as back_end;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use error::KeyError;
pub(crate) use jwk::{read_jwk, read_secret_jwk};
pub use private_key::{PrivateKey, PrivateKeyPem};
pub use public_key::PublicKey;

/// How the DER of a private key is laid out.
#[derive(Clone, Copy, Debug)]
enum PrivateForm {
    /// Any key (RFC 5958).
    Pkcs8,
    /// An RSA key (RFC 8017).
    Pkcs1,
    /// A key of an elliptic curve (RFC 5915).
    Sec1,
}

#[cfg(test)]
mod tests;
