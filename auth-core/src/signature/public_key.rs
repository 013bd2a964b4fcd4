use std::fmt;
use std::sync::Arc;

use der::asn1::UintRef;
use der::{Decode as _, Document, Encode as _};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use pkcs1::RsaPublicKey;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::back_end::Verifier;
use super::jwk;
use super::{Algorithm, KeyError};

/// RFC 8410 section 3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// RFC 5480 section 2.1.1.
const ELLIPTIC_CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// RFC 8017 appendix A.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A public key, parsed and checked; cheap to clone.
#[derive(Clone)]
pub struct PublicKey {
    inner: Arc<Inner>,
}

struct Inner {
    algorithm: Algorithm,
    id: String,
    members: AlgorithmParameters,
    verifier: Verifier,
}

impl PublicKey {
    /// Reads a key of Ed25519, P-256 (uncompressed) or RSA: what stands between
    /// `-----BEGIN PUBLIC KEY-----` and its end (RFC 5280).
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong with it.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (label, der) = Document::from_pem(pem).map_err(|_| KeyError::NotPem)?;
        if label != "PUBLIC KEY" {
            return Err(KeyError::NotPem);
        }
        let info = SubjectPublicKeyInfoRef::from_der(der.as_bytes());
        let info = info.map_err(|_| KeyError::Unusable)?;
        let algorithm = match info.algorithm.oid {
            ED25519 => Algorithm::EdDsa,
            ELLIPTIC_CURVE if info.algorithm.parameters_oid() == Ok(P256) => Algorithm::Es256,
            RSA => Algorithm::Rs256,
            _ => return Err(KeyError::Unusable),
        };
        let key = info.subject_public_key.as_bytes();
        Self::from_raw(algorithm, key.ok_or(KeyError::Unusable)?, None)
    }

    /// Reads a JWK (RFC 7517) of Ed25519, P-256 or RSA. Its `use`, `key_ops` and `alg` must fit if
    /// they are there; its id is its `kid`, or else the thumbprint.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong with it.
    pub fn from_jwk(jwk: &str) -> Result<Self, KeyError> {
        let value = serde_json::from_str(jwk).map_err(|_| KeyError::NotJwk)?;
        jwk::read_jwk(&value)
    }

    /// Takes the key in as a signature library writes it: the 32 bytes of Ed25519, the
    /// uncompressed point of P-256, the DER of PKCS#1 for RSA. Its id is the thumbprint unless
    /// another is given.
    pub(super) fn from_raw(
        algorithm: Algorithm,
        key: &[u8],
        id: Option<&str>,
    ) -> Result<Self, KeyError> {
        let members = match algorithm {
            Algorithm::EdDsa => {
                check_ed25519(key)?;
                jwk::of_ed25519(key)
            }
            Algorithm::Es256 => match key.split_first() {
                Some((4, point)) if point.len() == 64 => {
                    let (x, y) = point.split_at(32);
                    jwk::of_p256(x, y)
                }
                _ => return Err(KeyError::Unusable),
            },
            Algorithm::Rs256 => {
                let key = RsaPublicKey::<UintRef<'_>>::from_der(key);
                let key = key.map_err(|_| KeyError::Unusable)?;
                let (modulus, exponent) = (key.modulus.as_bytes(), key.public_exponent.as_bytes());
                check_rsa(modulus, exponent)?;
                jwk::of_rsa(modulus, exponent)
            }
            Algorithm::Hs256 => return Err(KeyError::NotPublic),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                algorithm,
                id: id.map_or_else(|| jwk::thumbprint(&members), str::to_owned),
                members,
                verifier: Verifier::new(algorithm, key).ok_or(KeyError::Unusable)?,
            }),
        })
    }

    /// Coordinates have their full length, with leading zeros (RFC 7518 section 6.2.1.2).
    pub(super) fn from_p256(x: &[u8], y: &[u8], id: Option<&str>) -> Result<Self, KeyError> {
        if x.len() != 32 || y.len() != 32 {
            return Err(KeyError::Unusable);
        }
        Self::from_raw(Algorithm::Es256, &[&[4], x, y].concat(), id)
    }

    pub(super) fn from_rsa(
        modulus: &[u8],
        exponent: &[u8],
        id: Option<&str>,
    ) -> Result<Self, KeyError> {
        let key = UintRef::new(modulus).and_then(|modulus| {
            let public_exponent = UintRef::new(exponent)?;
            let key = RsaPublicKey {
                modulus,
                public_exponent,
            };
            key.to_der()
        });
        Self::from_raw(Algorithm::Rs256, &key.map_err(|_| KeyError::Unusable)?, id)
    }

    /// What the key is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.inner.algorithm
    }

    /// The id that tokens name it by (`kid`): the SHA-256 thumbprint of RFC 7638, unless a JWK
    /// said otherwise.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Whether this is a signature of the message; one of another length or form is none.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.inner.verifier.verify(message, signature)
    }

    /// The key as a JWK, with `kid`, `use` and `alg`.
    #[must_use]
    pub fn to_jwk(&self) -> String {
        serde_json::json!(self.published()).to_string()
    }

    pub(crate) fn published(&self) -> Jwk {
        jwk::published(self.algorithm(), self.id(), &self.inner.members)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("algorithm", &self.algorithm())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// The points of small order, by their y coordinate (little-endian, without the sign of x): under
/// such a key there are signatures that fit many messages.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
];

/// Refuses what a back end may let pass: points of small order, and coordinates that are not
/// below 2^255 - 19 (RFC 8032 section 5.1.3).
fn check_ed25519(key: &[u8]) -> Result<(), KeyError> {
    let mut y: [u8; 32] = key.try_into().map_err(|_| KeyError::Unusable)?;
    y[31] &= 0x7f;
    let [lowest, middle @ .., highest] = y;
    if lowest >= 0xed && middle == [0xff; 30] && highest == 0x7f {
        return Err(KeyError::Unusable);
    }
    if SMALL_ORDER.contains(&y) {
        return Err(KeyError::SmallOrder);
    }
    Ok(())
}

fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), KeyError> {
    let bits = modulus.first().map_or(0, |first| {
        modulus.len() * 8 - first.leading_zeros() as usize
    });
    let exponent = exponent
        .iter()
        .try_fold(0_u32, |value, byte| {
            value.checked_mul(256)?.checked_add(u32::from(*byte))
        })
        .unwrap_or_default();
    if !(2048..=8192).contains(&bits) || exponent < 65_537 || exponent % 2 == 0 {
        return Err(KeyError::RsaLimits);
    }
    Ok(())
}
