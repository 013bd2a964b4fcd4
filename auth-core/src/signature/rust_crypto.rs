//! The back end in Rust alone. It does not sign with RSA: the library's private operation is not
//! safe against who can measure its time (RUSTSEC-2023-0071).

use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{SigningKey, VerifyingKey};
use p256::ecdsa;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::pkcs1v15;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Algorithm, PrivateForm};

/// A public key, parsed once.
pub(super) enum Verifier {
    EdDsa(VerifyingKey),
    Es256(Box<ecdsa::VerifyingKey>),
    Rs256(pkcs1v15::VerifyingKey<Sha256>),
}

impl Verifier {
    pub(super) fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::EdDsa => VerifyingKey::try_from(key).ok().map(Self::EdDsa),
            Algorithm::Es256 => ecdsa::VerifyingKey::from_sec1_bytes(key)
                .ok()
                .map(|key| Self::Es256(Box::new(key))),
            Algorithm::Rs256 => rsa::PublicKey::from_pkcs1_der(key)
                .ok()
                .map(|key| Self::Rs256(pkcs1v15::VerifyingKey::new(key))),
            Algorithm::Hs256 => None,
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::EdDsa(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Self::Es256(key) => ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::Rs256(key) => pkcs1v15::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

/// A private key, wiped when dropped.
pub(super) enum Signer {
    EdDsa(SigningKey),
    Es256(ecdsa::SigningKey),
}

impl Signer {
    pub(super) fn from_der(form: PrivateForm, der: &[u8]) -> Option<Self> {
        match form {
            PrivateForm::Pkcs8 => SigningKey::from_pkcs8_der(der)
                .map(Self::EdDsa)
                .or_else(|_| ecdsa::SigningKey::from_pkcs8_der(der).map(Self::Es256))
                .ok(),
            PrivateForm::Sec1 => p256::SecretKey::from_sec1_der(der)
                .ok()
                .map(|key| Self::Es256(key.into())),
            PrivateForm::Pkcs1 => None,
        }
    }

    pub(super) fn generate(algorithm: Algorithm) -> Option<Self> {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(random.as_mut_slice()).ok()?;
        match algorithm {
            Algorithm::EdDsa => Some(Self::EdDsa(SigningKey::from_bytes(&random))),
            // Refuses a number that is not below the order: one in 2^32.
            Algorithm::Es256 => ecdsa::SigningKey::from_slice(random.as_slice())
                .ok()
                .map(Self::Es256),
            Algorithm::Rs256 | Algorithm::Hs256 => None,
        }
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Es256(_) => Algorithm::Es256,
        }
    }

    /// The public key as [`Verifier::new`] takes it.
    pub(super) fn public_key(&self) -> Vec<u8> {
        match self {
            Self::EdDsa(key) => key.verifying_key().as_bytes().to_vec(),
            Self::Es256(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::EdDsa(key) => Some(key.try_sign(message).ok()?.to_bytes().to_vec()),
            Self::Es256(key) => {
                let signature: ecdsa::Signature = key.try_sign(message).ok()?;
                Some(signature.to_bytes().to_vec())
            }
        }
    }

    pub(super) fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let der = match self {
            Self::EdDsa(key) => key.to_pkcs8_der(),
            Self::Es256(key) => key.to_pkcs8_der(),
        };
        Some(Zeroizing::new(der.ok()?.as_bytes().to_vec()))
    }
}
