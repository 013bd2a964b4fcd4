//! The back end of aws-lc.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use zeroize::Zeroizing;

use super::{Algorithm, PrivateForm};

/// A public key, parsed once.
pub(super) struct Verifier(ParsedPublicKey);

impl Verifier {
    pub(super) fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        let parsed = match algorithm {
            Algorithm::EdDsa => ParsedPublicKey::new(&ED25519, key),
            Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key),
            Algorithm::Rs256 => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key),
            Algorithm::Hs256 => return None,
        };
        parsed.ok().map(Self)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

/// A private key, wiped by aws-lc when dropped.
pub(super) enum Signer {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl Signer {
    pub(super) fn from_der(form: PrivateForm, der: &[u8]) -> Option<Self> {
        let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
        match form {
            PrivateForm::Pkcs8 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                .map(Self::EdDsa)
                .or_else(|_| EcdsaKeyPair::from_pkcs8(curve, der).map(Self::Es256))
                .or_else(|_| RsaKeyPair::from_pkcs8(der).map(Self::Rs256)),
            PrivateForm::Pkcs1 => RsaKeyPair::from_der(der).map(Self::Rs256),
            PrivateForm::Sec1 => EcdsaKeyPair::from_private_key_der(curve, der).map(Self::Es256),
        }
        .ok()
    }

    pub(super) fn generate(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Self::EdDsa),
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::Es256)
            }
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa3072).map(Self::Rs256),
            Algorithm::Hs256 => return None,
        }
        .ok()
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Es256(_) => Algorithm::Es256,
            Self::Rs256(_) => Algorithm::Rs256,
        }
    }

    /// The public key as [`Verifier::new`] takes it.
    pub(super) fn public_key(&self) -> Vec<u8> {
        match self {
            Self::EdDsa(key) => key.public_key().as_ref().to_vec(),
            Self::Es256(key) => key.public_key().as_ref().to_vec(),
            Self::Rs256(key) => key.public_key().as_ref().to_vec(),
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::EdDsa(key) => Some(key.try_sign(message).ok()?.as_ref().to_vec()),
            Self::Es256(key) => Some(key.sign(&random, message).ok()?.as_ref().to_vec()),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .ok()?;
                Some(signature)
            }
        }
    }

    pub(super) fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::EdDsa(key) => Some(Zeroizing::new(key.to_pkcs8v1().ok()?.as_ref().to_vec())),
            Self::Es256(key) => Some(Zeroizing::new(key.to_pkcs8v1().ok()?.as_ref().to_vec())),
            Self::Rs256(key) => {
                let der: Pkcs8V1Der<'_> = key.as_der().ok()?;
                Some(Zeroizing::new(der.as_ref().to_vec()))
            }
        }
    }
}
