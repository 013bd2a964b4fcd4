use std::fmt;
use std::sync::Arc;

use der::SecretDocument;
use der::pem::LineEnding;

use super::back_end::Signer;
use super::{Algorithm, KeyError, PrivateForm, PublicKey};
use crate::secret::secret_string;

secret_string! {
    /// A private key as PEM (PKCS#8).
    pub PrivateKeyPem
}

/// A private key, wiped when dropped, never shown; cheap to clone.
#[derive(Clone)]
pub struct PrivateKey {
    signer: Arc<Signer>,
    public: PublicKey,
}

impl PrivateKey {
    /// Reads a key of Ed25519, P-256 or RSA: PKCS#8, or the older forms of RSA (PKCS#1) and
    /// elliptic curves (SEC 1). An encrypted key cannot be read.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong with it.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (label, der) = SecretDocument::from_pem(pem).map_err(|_| KeyError::NotPem)?;
        let form = match label {
            "PRIVATE KEY" => PrivateForm::Pkcs8,
            "RSA PRIVATE KEY" => PrivateForm::Pkcs1,
            "EC PRIVATE KEY" => PrivateForm::Sec1,
            _ => return Err(KeyError::NotPem),
        };
        Self::new(Signer::from_der(form, der.as_bytes()).ok_or(KeyError::Unusable)?)
    }

    /// Makes a key; one of RSA has 3072 bits.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotGenerated`] for [`Algorithm::Hs256`], without a back end (RSA keys need
    /// the feature `aws-lc`), and if there is no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        Self::new(Signer::generate(algorithm).ok_or(KeyError::NotGenerated(algorithm))?)
    }

    fn new(signer: Signer) -> Result<Self, KeyError> {
        let public = PublicKey::from_raw(signer.algorithm(), &signer.public_key(), None)?;
        Ok(Self {
            signer: Arc::new(signer),
            public,
        })
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Hands the key out, for the one place that stores it.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unusable`] if the library cannot write it.
    pub fn to_pem(&self) -> Result<PrivateKeyPem, KeyError> {
        let der = self.signer.to_pkcs8().ok_or(KeyError::Unusable)?;
        let document = SecretDocument::try_from(der.as_slice()).map_err(|_| KeyError::Unusable)?;
        let pem = document.to_pem("PRIVATE KEY", LineEnding::LF);
        let pem = pem.map_err(|_| KeyError::Unusable)?;
        Ok(PrivateKeyPem::new(pem.as_str()))
    }

    /// Signs a message; the form of the signature is that of RFC 7518 section 3.
    ///
    /// # Errors
    ///
    /// [`KeyError::SigningFailed`], as when there is no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.signer.sign(message).ok_or(KeyError::SigningFailed)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}
