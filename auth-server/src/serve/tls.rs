//! TLS, by rustls.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::private;

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, followed by those that vouch for it.
    pub cert: PathBuf,
    /// The private key, which only its owner may read.
    pub key: PathBuf,
}

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate cannot be read.
    #[error("the certificate {} (AUTH_TLS_CERT) cannot be read", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The key cannot be read.
    #[error("the key {} (AUTH_TLS_KEY) cannot be read", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// Others can read the key.
    #[error("AUTH_TLS_KEY: {0}")]
    KeyReadable(String),
    /// Certificate and key do not fit together.
    #[error("AUTH_TLS_CERT and AUTH_TLS_KEY do not fit together")]
    Mismatch(#[source] rustls::Error),
}

/// TLS 1.2 and 1.3, ready to be served; the clones share a certificate.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<TlsAcceptor>>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    ///
    /// [`TlsError`] says which file is wrong.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let acceptor = acceptor(files)?;
        Ok(Self(Arc::new(RwLock::new(acceptor))))
    }

    /// Reads a renewed certificate and its key, for the connections to come.
    ///
    /// # Errors
    ///
    /// [`TlsError`] says which file is wrong; the certificate of before is served on.
    pub fn reload(&self, files: &TlsFiles) -> Result<(), TlsError> {
        let acceptor = acceptor(files)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let acceptor = self.0.read().unwrap_or_else(PoisonError::into_inner);
        acceptor.clone()
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    private::check(&files.key).map_err(TlsError::KeyReadable)?;
    let certificate = |source| TlsError::Certificate {
        path: files.cert.clone(),
        source,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .map_err(certificate)?
        .collect::<Result<_, _>>()
        .map_err(certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::Key {
        path: files.key.clone(),
        source,
    })?;
    // Named, not the process-wide default, which another crate may have chosen or left out.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Mismatch)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
