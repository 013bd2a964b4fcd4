//! The ring of keys for access tokens: one signs, all verify.

use std::fmt;

use hmac::Mac as _;

use super::keys::{HmacSha256, SecretKey, hmac, symmetric_key_id};
use crate::signature::{Algorithm, KeyError, PrivateKey, PublicKey};

/// The ring of keys for access tokens: one signs, all verify.
///
/// Every key of a ring is for the same algorithm, so that a token cannot choose how it is
/// verified (RFC 8725 section 3.1).
///
/// ```
/// # #[cfg(feature = "aws-lc")]
/// # fn main() -> Result<(), auth_core::signature::KeyError> {
/// use auth_core::JwtKeys;
/// use auth_core::signature::{Algorithm, PrivateKey};
///
/// let (current, next) = (PrivateKey::generate(Algorithm::Es256)?, PrivateKey::generate(Algorithm::Es256)?);
/// // The next one is published already: who verifies knows it before it signs.
/// let keys = JwtKeys::asymmetric(current).add_public_key(next.public_key().clone())?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "aws-lc"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct JwtKeys {
    signing: SigningKey,
    verifying: Vec<VerifyingKey>,
}

impl JwtKeys {
    /// Makes a ring with one secret for HS256, shared by all who verify.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the caller keeps no copy of the secret"
    )]
    pub fn hs256(secret: SecretKey) -> Self {
        Self {
            signing: SigningKey::Secret(hmac(secret.expose())),
            verifying: vec![VerifyingKey::hs256(&secret)],
        }
    }

    /// Makes a ring whose tokens everybody can verify who has the public key.
    ///
    /// Its tokens always name their key (`kid`).
    #[must_use]
    pub fn asymmetric(key: PrivateKey) -> Self {
        Self {
            verifying: vec![VerifyingKey::public(key.public_key().clone())],
            signing: SigningKey::Private(key),
        }
    }

    /// Accepts the access tokens of an earlier secret, too.
    ///
    /// From then on tokens name their key (`kid`), and a token that names none is refused.
    ///
    /// # Errors
    ///
    /// [`KeyError::OtherAlgorithm`] if the ring is not for HS256, [`KeyError::Duplicate`] if the
    /// secret is in it already.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the caller keeps no copy of the secret"
    )]
    pub fn add_fallback(self, earlier: SecretKey) -> Result<Self, KeyError> {
        self.add(VerifyingKey::hs256(&earlier))
    }

    /// Accepts the access tokens of another key, too, and publishes it: an earlier one, or one
    /// that is to sign soon.
    ///
    /// # Errors
    ///
    /// [`KeyError::OtherAlgorithm`] if it is not for the algorithm of the ring,
    /// [`KeyError::Duplicate`] if it is in it already.
    pub fn add_public_key(self, key: PublicKey) -> Result<Self, KeyError> {
        self.add(VerifyingKey::public(key))
    }

    fn add(mut self, key: VerifyingKey) -> Result<Self, KeyError> {
        let expected = self.algorithm();
        if key.algorithm() != expected {
            return Err(KeyError::OtherAlgorithm {
                found: key.algorithm(),
                expected,
            });
        }
        if self.verifying.iter().any(|other| other.id == key.id) {
            return Err(KeyError::Duplicate);
        }
        self.verifying.push(key);
        Ok(self)
    }

    /// What all its keys are for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match &self.signing {
            SigningKey::Secret(_) => Algorithm::Hs256,
            SigningKey::Private(key) => key.public_key().algorithm(),
        }
    }

    /// The ids of the keys, which tell nothing of secrets; the signing one first.
    #[must_use]
    pub fn key_ids(&self) -> Vec<&str> {
        self.verifying.iter().map(|key| key.id.as_str()).collect()
    }

    pub(super) const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    pub(super) fn verifying(&self) -> &[VerifyingKey] {
        &self.verifying
    }
}

impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKeys")
            .field("algorithm", &self.algorithm())
            .field("key_ids", &self.key_ids())
            .finish_non_exhaustive()
    }
}

/// The key that signs.
#[derive(Clone)]
pub(super) enum SigningKey {
    Secret(HmacSha256),
    Private(PrivateKey),
}

impl SigningKey {
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::Secret(mac) => {
                let mac = mac.clone().chain_update(message).finalize();
                Ok(mac.into_bytes().to_vec())
            }
            Self::Private(key) => key.sign(message),
        }
    }
}

/// A key that verifies, bound to its algorithm.
#[derive(Clone)]
pub(super) struct VerifyingKey {
    pub(super) id: String,
    pub(super) material: Material,
}

#[derive(Clone)]
pub(super) enum Material {
    Secret(HmacSha256),
    Public(PublicKey),
}

impl VerifyingKey {
    fn hs256(secret: &SecretKey) -> Self {
        Self {
            id: symmetric_key_id(secret),
            material: Material::Secret(hmac(secret.expose())),
        }
    }

    pub(super) fn public(key: PublicKey) -> Self {
        Self {
            id: key.id().to_owned(),
            material: Material::Public(key),
        }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match &self.material {
            Material::Secret(_) => Algorithm::Hs256,
            Material::Public(key) => key.algorithm(),
        }
    }
}
