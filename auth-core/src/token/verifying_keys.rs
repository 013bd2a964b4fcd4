//! The keys that verify access tokens, replaced while they are in use.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::jws::{self, KeySet, MAX_PAYLOAD_BYTES, TokenType};
use super::jwt_keys::{JwtKeys, Material, VerifyingKey};
use super::keys::hmac;
use crate::SecretKey;
use crate::signature::{Algorithm, KeyError, read_jwk, read_secret_jwk};

/// The keys that an [`AccessTokenVerifier`](crate::AccessTokenVerifier) goes by; clones share
/// them, and see it when they are replaced.
///
/// To read them takes no lock. All of them are for one algorithm.
///
/// ```
/// use std::sync::Arc;
/// use auth_core::signature::Algorithm;
/// use auth_core::{AccessTokenVerifier, SystemClock, VerifyingKeys};
///
/// let keys = VerifyingKeys::for_algorithm(Algorithm::EdDsa);
/// let issuer = "https://auth.example.org";
/// let verifier = AccessTokenVerifier::new(&keys, issuer, issuer, Arc::new(SystemClock));
/// # #[cfg(feature = "aws-lc")]
/// # {
/// // What the issuer's /.well-known/jwks.json answers; `auth-tower` has a client for it.
/// let document = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA",
///     "kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// keys.replace_with_jwks(document)?;
/// assert_eq!(keys.key_ids(), ["1"]);
/// # }
/// # Ok::<(), auth_core::JwksError>(())
/// ```
#[derive(Clone)]
pub struct VerifyingKeys {
    shared: Arc<Shared>,
}

struct Shared {
    set: ArcSwap<KeySet>,
    unknown_key: Notify,
}

impl VerifyingKeys {
    /// The most keys that a JWKS may have.
    pub const MAX_KEYS: usize = 64;

    /// Begins without any key: every token is refused.
    #[must_use]
    pub fn for_algorithm(algorithm: Algorithm) -> Self {
        Self::new(KeySet::new(algorithm, Vec::new(), None))
    }

    /// Takes one key in, from a JWK of this algorithm; for [`Algorithm::Hs256`] a secret one.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong with it.
    pub fn from_jwk(algorithm: Algorithm, jwk: &str) -> Result<Self, KeyError> {
        let value = serde_json::from_str(jwk).map_err(|_| KeyError::NotJwk)?;
        let key = if algorithm == Algorithm::Hs256 {
            let (id, secret) = read_secret_jwk(&value)?;
            if secret.len() < SecretKey::MIN_BYTES {
                return Err(KeyError::ShortSecret);
            }
            VerifyingKey {
                id: id.unwrap_or_default(),
                material: Material::Secret(hmac(&secret)),
            }
        } else {
            VerifyingKey::public(read_jwk(&value)?)
        };
        if key.algorithm() != algorithm {
            return Err(KeyError::OtherAlgorithm {
                found: key.algorithm(),
                expected: algorithm,
            });
        }
        Ok(Self::new(KeySet::new(algorithm, vec![key], None)))
    }

    fn new(set: KeySet) -> Self {
        Self {
            shared: Arc::new(Shared {
                set: ArcSwap::from_pointee(set),
                unknown_key: Notify::new(),
            }),
        }
    }

    /// Replaces the keys by those of a ring.
    pub fn replace(&self, keys: &JwtKeys) {
        self.shared.set.store(Arc::new(KeySet::of_ring(keys)));
    }

    /// Replaces the keys by those of a JWK Set (RFC 7517 section 5) that are for the algorithm;
    /// it ignores the others. Where it fails, or they are the same, the keys stay as they are.
    ///
    /// # Errors
    ///
    /// [`JwksError`] says what is wrong with the document.
    pub fn replace_with_jwks(&self, document: &[u8]) -> Result<(), JwksError> {
        let current = self.current();
        let set = read_jwks(current.algorithm(), document)?;
        // Verified tokens are remembered for the very set: an equal one would have all verified anew.
        let is_new = current.signing().is_some() || current.jwks().digest != set.jwks().digest;
        if is_new {
            self.shared.set.store(Arc::new(set));
        }
        Ok(())
    }

    /// What all keys are for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.current().algorithm()
    }

    /// The ids of the keys; where one signs, that one first.
    #[must_use]
    pub fn key_ids(&self) -> Vec<String> {
        self.current().key_ids()
    }

    /// The public keys as a JWK Set: none where there are only secrets.
    #[must_use]
    pub fn jwks(&self) -> Jwks {
        self.current().jwks().clone()
    }

    /// Verifies a compact JWS (RFC 7515) of any type, and gives what is signed.
    ///
    /// The header is held to the rules of access tokens, but for its `typ`. For access tokens,
    /// whose claims count, there is the [`AccessTokenVerifier`](crate::AccessTokenVerifier).
    #[must_use]
    pub fn verify_jws(&self, jws: &str) -> Option<Vec<u8>> {
        let payload = &mut [0; MAX_PAYLOAD_BYTES];
        let payload = self.verified_payload(&self.current(), jws, TokenType::Any, payload)?;
        Some(payload.to_vec())
    }

    /// Waits until a token comes that names a key which is not here, as the first one does that
    /// is signed with a new key. Anybody can make such tokens.
    pub async fn unknown_key_seen(&self) {
        self.shared.unknown_key.notified().await;
    }

    /// Verifies with what [`current`](Self::current) has given.
    pub(super) fn verified_payload<'b>(
        &self,
        current: &KeySet,
        token: &str,
        token_type: TokenType,
        buffer: &'b mut [u8; MAX_PAYLOAD_BYTES],
    ) -> Option<&'b [u8]> {
        match jws::verified_payload(current, token, token_type, buffer) {
            Ok(payload) => Some(payload),
            Err(jws::Refusal::UnknownKey) => {
                self.shared.unknown_key.notify_one();
                None
            }
            Err(jws::Refusal::Invalid) => None,
        }
    }

    pub(super) fn current(&self) -> Guard<Arc<KeySet>> {
        self.shared.set.load()
    }
}

impl From<&JwtKeys> for VerifyingKeys {
    fn from(keys: &JwtKeys) -> Self {
        Self::new(KeySet::of_ring(keys))
    }
}

impl From<&Self> for VerifyingKeys {
    fn from(keys: &Self) -> Self {
        keys.clone()
    }
}

impl fmt::Debug for VerifyingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKeys")
            .field("algorithm", &self.algorithm())
            .field("key_ids", &self.key_ids())
            .finish()
    }
}

/// Public keys as JSON, and a name for just these.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Jwks {
    /// The JWK Set (RFC 7517 section 5).
    pub document: Arc<str>,
    /// A digest of it, such as an `ETag` needs.
    pub digest: Arc<str>,
}

impl Jwks {
    pub(super) fn of(keys: &[VerifyingKey]) -> Self {
        let public = keys.iter().filter_map(|key| match &key.material {
            Material::Public(key) => Some(key.published()),
            Material::Secret(_) => None,
        });
        let set = JwkSet {
            keys: public.collect(),
        };
        let document = serde_json::to_string(&set).expect("JWKs can be written as JSON");
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&document));
        Self {
            document: document.into(),
            digest: digest.into(),
        }
    }
}

fn read_jwks(algorithm: Algorithm, document: &[u8]) -> Result<KeySet, JwksError> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<Value>,
    }

    let document: Document = serde_json::from_slice(document).map_err(|_| JwksError::NotJwks)?;
    if document.keys.len() > VerifyingKeys::MAX_KEYS {
        return Err(JwksError::TooManyKeys);
    }
    let mut keys: Vec<VerifyingKey> = Vec::new();
    let known = document.keys.iter().filter_map(|key| read_jwk(key).ok());
    for key in known.filter(|key| key.algorithm() == algorithm) {
        if keys.iter().any(|other| other.id == key.id()) {
            return Err(JwksError::DuplicateId);
        }
        keys.push(VerifyingKey::public(key));
    }
    if keys.is_empty() {
        return Err(JwksError::NoKey(algorithm));
    }
    Ok(KeySet::new(algorithm, keys, None))
}

/// Why a JWK Set is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// It is no JSON object with an array of `keys`.
    #[error("the document is not a JWK Set")]
    NotJwks,
    /// More than [`VerifyingKeys::MAX_KEYS`].
    #[error("the JWK Set has more than 64 keys")]
    TooManyKeys,
    /// Two usable keys have the same id.
    #[error("two keys of the JWK Set have the same id")]
    DuplicateId,
    /// None of its keys can verify tokens of this algorithm.
    #[error("the JWK Set has no usable key for {0}")]
    NoKey(Algorithm),
}
