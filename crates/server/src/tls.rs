//! The server's certificate.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// A certificate chain and its key, ready to be shown.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

/// A key is never shown.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// Why a certificate is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The chain is none.
    #[error("the certificate holds no PEM certificate chain; give the server's own first")]
    BadChain,
    /// The key is none.
    #[error("the key holds no PEM private key (PKCS#8, PKCS#1 or SEC1)")]
    BadKey,
    /// They do not belong together, or are of a kind that is not taken.
    #[error("certificate and key cannot be used together: {0}")]
    Refused(String),
}

impl Tls {
    /// Reads a chain and its key from PEM files.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            let unreadable =
                |error| TlsError::Unreadable { path: path.display().to_string(), error };
            std::fs::read(path).map_err(unreadable)
        };
        Self::from_pem(&read(chain)?, &read(key)?)
    }

    /// The same from PEM text.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsError::BadChain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::BadKey)?;
        let refused = |error: tokio_rustls::rustls::Error| TlsError::Refused(error.to_string());
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(refused)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}
