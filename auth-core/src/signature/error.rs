use super::Algorithm;

/// Why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is no PEM, or of another kind.
    #[error(
        "is not a key in PEM: expected is one of PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY \
         or PUBLIC KEY, and nothing before it"
    )]
    NotPem,
    /// The text is no JWK.
    #[error("is not a JSON Web Key")]
    NotJwk,
    /// The JWK is of a secret or private key where a public one is expected.
    #[error("is not a public key")]
    NotPublic,
    /// The JWK says that it is for something else: its `use`, `key_ops` or `alg`.
    #[error("is not meant to verify signatures of its algorithm")]
    OtherPurpose,
    /// The key is broken, of another curve, or what [its back end](crate::signature) cannot use.
    #[error(
        "is not a valid key of Ed25519, P-256 or RSA (RSA private keys need the feature `aws-lc`)"
    )]
    Unusable,
    /// An RSA key of less than 2048 or more than 8192 bits, or with an exponent below 65537.
    #[error("is an RSA key of other than 2048 to 8192 bits, or with an exponent below 65537")]
    RsaLimits,
    /// An Ed25519 public key under which a signature proves nothing (RFC 8032 section 5.1.7).
    #[error("is an Ed25519 key of small order")]
    SmallOrder,
    /// A secret of fewer than 32 bytes (RFC 7518 section 3.2).
    #[error("is a secret of fewer than 32 bytes")]
    ShortSecret,
    /// The key is for another algorithm than expected.
    #[error("is a key for {found}, not for {expected}")]
    OtherAlgorithm {
        /// What the key is for.
        found: Algorithm,
        /// What was asked for.
        expected: Algorithm,
    },
    /// The key is in the ring already.
    #[error("is given twice")]
    Duplicate,
    /// The algorithm has no keys of this kind, or no back end of this build makes them.
    #[error("keys for {0} cannot be made here")]
    NotGenerated(Algorithm),
    /// The library failed to sign, as when there is no randomness.
    #[error("signing failed")]
    SigningFailed,
}
